//! Links: the connections to one server process, and the PING that proves it alive.
//!
//! A lost connection is opened again at once, then soon and less and less often, and after
//! down-after at the pace of PING. Every time that feeds a
//! judgement about the server is *awake time* (see [`crate::stall`]): silence counts only while
//! this process could have heard something.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;

use crate::effect::{Auth, Command, Effect};
use crate::ids::{CommandId, LinkId};
use crate::input::{Channel, DisconnectReason, PingReply};
use crate::schedule::{MasterId, User, sooner};

mod pace;
mod probe;
mod refusals;

pub(crate) use pace::Pace;
pub(crate) use refusals::Refusals;

/// A connection that was open for longer than this was not refused.
const LONG_OPEN: Duration = pace::CONNECT_TIMEOUT_MIN;
/// Commands without a reply, for each user of a link, beyond which no more are sent.
const PENDING_MAX: usize = 100;

/// Where orders to the shell wait to be drained.
#[derive(Default, Debug)]
pub(crate) struct Outbox {
    effects: VecDeque<Effect>,
    commands: u64,
}

impl Outbox {
    pub(crate) fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(crate) fn pop(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }
}

/// What a command in flight was sent for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    Ping,
    Info,
    Publish(MasterId),
    Ask(Question),
    Reconfigure,
    Follow,
    ScriptKill,
    WriteProbe,
}

/// What an IS-MASTER-DOWN-BY-ADDR asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Question {
    pub(crate) master: MasterId,
    /// Which of the master's addresses it was about.
    pub(crate) era: u64,
    /// The epoch for which the vote was wanted.
    pub(crate) vote: Option<Epoch>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Idle,
    Connecting,
    /// Open since, and when it was last heard of.
    Up {
        since: Time,
        heard: Time,
    },
}

/// One connection.
#[derive(Debug)]
struct Conn {
    state: State,
    attempted: Option<Time>,
}

impl Conn {
    const fn new() -> Self {
        Self {
            state: State::Idle,
            attempted: None,
        }
    }

    const fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }
}

/// What PING has shown, in awake time.
#[derive(Default, Debug)]
pub(crate) struct Ping {
    in_flight: Option<CommandId>,
    sent: Option<Time>,
    /// When the oldest PING without an acceptable reply was sent.
    pub(crate) waiting_since: Option<Time>,
    /// When the last acceptable reply came.
    pub(crate) proof: Option<Time>,
    /// When the last reply of any kind came.
    pub(crate) replied: Option<Time>,
}

/// The connections to one server process.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) addr: Addr,
    pub(crate) auth: Auth,
    pub(crate) pace: Pace,
    /// The instances that stand behind it: several masters share the link of a sentinel.
    pub(crate) users: BTreeSet<User>,
    /// Those of them that are S_DOWN.
    pub(crate) down: BTreeSet<User>,
    pub(crate) pending: BTreeMap<CommandId, Purpose>,
    pub(crate) ping: Ping,
    /// The local address of the command connection.
    pub(crate) local_ip: String,
    /// Counts the command connections opened so far.
    pub(crate) opened: u64,
    /// Counts the connections that were tried.
    pub(crate) attempts: u64,
    /// Refused connections since the last proof of life.
    pub(crate) refusals: Option<Refusals>,
    /// Awake time since which the command connection is down.
    down_since: Option<Time>,
    command: Conn,
    pubsub: Option<Conn>,
    /// While the writes of the server are checked.
    probe: Option<probe::Probe>,
}

/// All connections that a link may have.
const CHANNELS: [Channel; 3] = [Channel::Command, Channel::PubSub, Channel::Probe];

impl Link {
    pub(crate) fn new(id: LinkId, addr: Addr, auth: Auth, pace: Pace) -> Self {
        let pubsub = match auth {
            Auth::Data { .. } => Some(Conn::new()),
            Auth::Sentinel => None,
        };
        Self {
            id,
            addr,
            auth,
            pace,
            users: BTreeSet::new(),
            down: BTreeSet::new(),
            pending: BTreeMap::new(),
            ping: Ping::default(),
            local_ip: String::new(),
            opened: 0,
            attempts: 0,
            refusals: None,
            down_since: None,
            command: Conn::new(),
            pubsub,
            probe: None,
        }
    }

    /// Whether commands can be sent.
    pub(crate) fn is_up(&self) -> bool {
        self.command.is_up()
    }

    /// Whether every connection that it should have is open.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_up() && self.pubsub.as_ref().is_none_or(Conn::is_up)
    }

    /// Whether `command` still waits for its reply.
    pub(crate) fn waits_for(&self, command: Option<CommandId>) -> bool {
        command.is_some_and(|id| self.pending.contains_key(&id))
    }

    /// Sends a command, unless the link is down or has too many without a reply.
    pub(crate) fn send(
        &mut self,
        out: &mut Outbox,
        purpose: Purpose,
        command: Command,
    ) -> Option<CommandId> {
        if !self.is_up() || self.pending.len() >= PENDING_MAX * self.users.len().max(1) {
            return None;
        }
        out.commands += 1;
        let id = CommandId(out.commands);
        self.pending.insert(id, purpose);
        out.push(Effect::Send {
            link: self.id,
            id,
            command,
        });
        Some(id)
    }

    /// A connection is open.
    pub(crate) fn connected(&mut self, now: Time, channel: Channel, local_ip: String) {
        let up = State::Up {
            since: now,
            heard: now,
        };
        if self
            .conn(channel)
            .is_none_or(|it| it.state != State::Connecting)
        {
            // The report of a connection that was given up meanwhile.
            return;
        }
        if channel == Channel::Command {
            self.local_ip = local_ip;
            self.opened += 1;
            self.down_since = None;
            self.ping.in_flight = None;
            self.ping.sent = None;
        }
        if let Some(conn) = self.conn_mut(channel) {
            conn.state = up;
        }
    }

    /// A connection is gone, and with it everything in flight on it.
    pub(crate) fn lost(&mut self, awake: Time, channel: Channel, reason: DisconnectReason) {
        if self.conn(channel).is_none_or(|it| it.state == State::Idle) {
            return;
        }
        match channel {
            Channel::Command => {
                self.note_refusal(awake, reason);
                self.forget_hang();
                self.down_since.get_or_insert(awake);
                self.pending
                    .retain(|_, purpose| *purpose == Purpose::WriteProbe);
                self.ping.in_flight = None;
                self.ping.waiting_since.get_or_insert(awake);
            }
            Channel::PubSub => {}
            Channel::Probe => self.lost_probe(reason == DisconnectReason::TimedOut),
        }
        if let Some(conn) = self.conn_mut(channel) {
            conn.state = State::Idle;
        }
    }

    fn note_refusal(&mut self, awake: Time, reason: DisconnectReason) {
        self.refusals = match reason {
            DisconnectReason::Refused => {
                let long_open = match self.command.state {
                    State::Up { since, .. } => awake.since(since) > LONG_OPEN,
                    State::Idle | State::Connecting => false,
                };
                Some(Refusals::more(self.refusals, awake, long_open))
            }
            DisconnectReason::Closed => self.refusals,
            DisconnectReason::TimedOut | DisconnectReason::Other => None,
        };
    }

    /// Something arrived on the pub/sub connection.
    pub(crate) fn heard(&mut self, now: Time) {
        if let Some(Conn {
            state: State::Up { heard, .. },
            ..
        }) = &mut self.pubsub
        {
            *heard = now;
        }
    }

    /// A PING was answered. True when the reply is a proof of life.
    pub(crate) fn pinged(&mut self, awake: Time, command: CommandId, reply: PingReply) -> bool {
        if self.ping.in_flight == Some(command) {
            self.ping.in_flight = None;
        }
        self.ping.replied = Some(awake);
        let alive = match reply {
            PingReply::Pong | PingReply::Loading | PingReply::MasterDown => true,
            PingReply::Busy | PingReply::Misconf | PingReply::Other => false,
        };
        if alive {
            self.ping.proof = Some(awake);
            self.ping.waiting_since = None;
            self.refusals = None;
        }
        alive
    }

    /// Closes whatever is open, for instance because the password changed. It opens again at once.
    pub(crate) fn close(&mut self, awake: Time, out: &mut Outbox) {
        for channel in CHANNELS {
            self.drop_conn(awake, channel, out);
            if let Some(conn) = self.conn_mut(channel) {
                conn.attempted = None;
            }
        }
    }

    fn drop_conn(&mut self, awake: Time, channel: Channel, out: &mut Outbox) {
        if self.conn(channel).is_some_and(|it| it.state != State::Idle) {
            let link = self.id;
            out.push(Effect::Disconnect { link, channel });
            self.lost(awake, channel, DisconnectReason::TimedOut);
        }
    }

    /// Opens, closes and pings as due; the next deadline. True in the second place when the command
    /// connection was closed.
    pub(crate) fn sweep(
        &mut self,
        now: Time,
        stalled: Duration,
        out: &mut Outbox,
    ) -> (Option<Time>, bool) {
        if self.addr.port() == 0 {
            return (None, false);
        }
        let awake = now.before(stalled);
        let closed = self
            .silent_at(stalled, Channel::Command)
            .is_some_and(|at| at <= now);
        for channel in CHANNELS {
            if self.silent_at(stalled, channel).is_some_and(|at| at <= now) {
                self.drop_conn(awake, channel, out);
            }
            self.open(now, stalled, channel, out);
        }
        let ping = self.ping_if_due(awake, out).map(|at| at + stalled);
        let probe = self.probe_if_due(awake, out).map(|at| at + stalled);
        let mut next = sooner(ping, probe);
        for channel in CHANNELS {
            next = sooner(next, self.silent_at(stalled, channel));
            next = sooner(next, self.retry_at(stalled, channel));
        }
        (next, closed)
    }

    fn conn(&self, channel: Channel) -> Option<&Conn> {
        match channel {
            Channel::Command => Some(&self.command),
            Channel::PubSub => self.pubsub.as_ref(),
            Channel::Probe => self.probe.as_ref().map(|it| &it.conn),
        }
    }

    fn conn_mut(&mut self, channel: Channel) -> Option<&mut Conn> {
        match channel {
            Channel::Command => Some(&mut self.command),
            Channel::PubSub => self.pubsub.as_mut(),
            Channel::Probe => self.probe.as_mut().map(|it| &mut it.conn),
        }
    }

    /// When the connection has been silent, or opening, for too long.
    fn silent_at(&self, stalled: Duration, channel: Channel) -> Option<Time> {
        let conn = self.conn(channel)?;
        match (conn.state, channel) {
            (State::Idle, _) => None,
            (State::Connecting, _) => Some(conn.attempted? + self.pace.connect_timeout()),
            (State::Up { since, .. }, Channel::Command) => {
                self.ping.in_flight?;
                let sent = self.ping.sent? + self.pace.patience / 2 + stalled;
                Some(sent.max(since + self.pace.command_age_min()))
            }
            (State::Up { since, heard }, Channel::PubSub) => {
                Some((heard + self.pace.pubsub_silence_max).max(since + self.pace.age_min))
            }
            (State::Up { .. }, Channel::Probe) => self.probe_silent_at(stalled),
        }
    }

    /// When an idle connection may be tried again.
    fn retry_at(&self, stalled: Duration, channel: Channel) -> Option<Time> {
        let conn = self.conn(channel)?;
        let useless = channel == Channel::Probe && !self.is_up();
        if conn.state != State::Idle || useless {
            return None;
        }
        let attempted = conn.attempted.unwrap_or(Time::ZERO);
        let gap = match (channel, self.down_since) {
            (Channel::Command, Some(since)) => {
                self.pace.retry_gap(attempted.before(stalled).since(since))
            }
            _ => self.pace.ping_period,
        };
        Some(attempted + gap)
    }

    fn open(&mut self, now: Time, stalled: Duration, channel: Channel, out: &mut Outbox) {
        let Some(retry_at) = self.retry_at(stalled, channel) else {
            return;
        };
        let (link, addr, auth) = (self.id, self.addr.clone(), self.auth.clone());
        let Some(conn) = self.conn_mut(channel) else {
            return;
        };
        if conn.attempted.is_some() && now < retry_at {
            return;
        }
        conn.state = State::Connecting;
        conn.attempted = Some(now);
        self.attempts += 1;
        out.push(Effect::Connect {
            link,
            channel,
            addr,
            auth,
        });
    }

    /// Sends a PING when due; when the next one is, in awake time.
    fn ping_if_due(&mut self, awake: Time, out: &mut Outbox) -> Option<Time> {
        if !self.is_up() || self.ping.in_flight.is_some() {
            return None;
        }
        let due = self.ping.sent.map(|sent| sent + self.pace.ping_period);
        if due.is_some_and(|at| awake < at) {
            return due;
        }
        self.ping.sent = Some(awake);
        self.ping.in_flight = self.send(out, Purpose::Ping, Command::Ping);
        if self.ping.in_flight.is_some() {
            self.ping.waiting_since.get_or_insert(awake);
            return None;
        }
        Some(awake + self.pace.ping_period)
    }
}

#[cfg(test)]
mod tests;
