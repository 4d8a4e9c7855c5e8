//! The write that changes nothing, on a connection of its own.
//!
//! A write that hangs holds back whatever follows on the same connection: on that of PING a check
//! that may only report would make the master look dead.

use super::{Channel, Command, CommandId, Conn, Duration, Effect, Link, Outbox, Purpose, Time};

/// Writes are tried this many times within down-after.
const PROBES_IN_DOWN_AFTER: u32 = 4;
/// The longest time between two of them.
const PROBE_PERIOD_MAX: Duration = Duration::from_secs(1);
/// A write hangs when PING was answered this much later than the write was sent.
const HANG_MIN: Duration = Duration::from_secs(1);

/// The write probe of a link, in awake time.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) conn: Conn,
    /// The one without an answer, and when it was sent.
    in_flight: Option<(CommandId, Time)>,
    sent: Option<Time>,
    /// Since when nothing was answered, also on a connection before this one.
    silent_since: Option<Time>,
}

impl Link {
    /// Starts or ends the check of writes.
    pub(crate) fn watch_writes(&mut self, on: bool, awake: Time, out: &mut Outbox) {
        match (on, &self.probe) {
            (true, None) => {
                self.probe = Some(Probe {
                    conn: Conn::new(),
                    in_flight: None,
                    sent: None,
                    silent_since: None,
                });
            }
            (false, Some(_)) => {
                self.drop_conn(awake, Channel::Probe, out);
                self.probe = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// The connection for writes is gone. When we closed it for its silence, that goes on.
    pub(super) fn lost_probe(&mut self, for_silence: bool) {
        self.pending
            .retain(|_, purpose| *purpose != Purpose::WriteProbe);
        if let Some(probe) = &mut self.probe {
            probe.in_flight = None;
            probe.sent = None;
            probe.silent_since = probe.silent_since.filter(|_| for_silence);
        }
    }

    /// PING is not answered either: what is silent is the server, not its writes.
    pub(super) fn forget_hang(&mut self) {
        if let Some(probe) = &mut self.probe {
            probe.silent_since = None;
        }
    }

    /// A write probe was answered.
    pub(crate) fn write_probed(&mut self) {
        if let Some(probe) = &mut self.probe {
            (probe.in_flight, probe.silent_since) = (None, None);
        }
    }

    /// When the connection for writes has been silent for too long.
    pub(super) fn probe_silent_at(&self, stalled: Duration) -> Option<Time> {
        let (_, sent) = self.probe.as_ref()?.in_flight?;
        Some(sent + self.pace.patience / 2 + stalled)
    }

    /// Since when writes hang while PING is answered: on two connections, if it lasts down-after.
    pub(crate) fn writes_hang_since(&self) -> Option<Time> {
        let probe = self.probe.as_ref()?;
        let since = probe.silent_since?;
        let (_, sent) = probe.in_flight?;
        // The one on the present connection, which may be young, has to hang as well.
        let margin = HANG_MIN.min(self.pace.patience / PROBES_IN_DOWN_AFTER);
        let answers = self.ping.proof.is_some_and(|at| at >= sent + margin);
        answers.then_some(since)
    }

    /// Sends a write probe when due; when the next one is, in awake time.
    pub(super) fn probe_if_due(&mut self, awake: Time, out: &mut Outbox) -> Option<Time> {
        let period = (self.pace.patience / PROBES_IN_DOWN_AFTER).min(PROBE_PERIOD_MAX);
        let probe = self.probe.as_mut()?;
        if !probe.conn.is_up() || probe.in_flight.is_some() {
            return None;
        }
        let due = probe.sent.map(|sent| sent + period);
        if due.is_some_and(|at| awake < at) {
            return due;
        }
        out.commands += 1;
        let id = CommandId(out.commands);
        probe.sent = Some(awake);
        probe.in_flight = Some((id, awake));
        probe.silent_since.get_or_insert(awake);
        self.pending.insert(id, Purpose::WriteProbe);
        out.push(Effect::Send {
            link: self.id,
            id,
            command: Command::WriteProbe,
        });
        None
    }
}
