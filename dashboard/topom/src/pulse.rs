//! What the calls to one proxy process have shown, and what follows for a step that it is behind
//! with.
//!
//! A step of a slot action must not be taken while a proxy serves by the routes of the step before.
//! It need not wait for one that cannot serve: a process that is gone, or one that is stopped and
//! will, when it goes on, hold its clients' requests until it was told the routes of now (the stall
//! fence, which a proxy announces in its statistics). Everything else counts as serving, above all
//! a proxy that we cannot reach: its clients may.
//!
//! A stopped process is told from a broken network by a witness: a call that its kernel took and
//! that it has left without an answer for long enough; at the end its kernel must take connections
//! still. A proxy that counts as silent was stopped for all of the time since, longer than its
//! fence needs. Whatever answer comes, on whatever call, ends that.

use std::time::Duration;

use codis_core::time::Time;

/// From when on an answer is late, and a witness is sought.
pub const LATE: Duration = Duration::from_millis(300);
/// How long a kernel may take to accept the connection of a witness.
pub const ACCEPT_MAX: Duration = Duration::from_millis(300);

/// What a proxy that is behind is to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peerage {
    /// It serves, or may: it answers, is slow, or cannot be reached from here.
    Serving,
    /// It is stopped and fenced: it accepts connections and answers nothing.
    Silent {
        /// For how long it has left calls unanswered.
        since: Duration,
    },
    /// There is no process: its address refuses connections.
    Gone,
}

impl Peerage {
    /// Whether what comes next must wait until the proxy is no longer behind.
    pub const fn blocks(self) -> bool {
        match self {
            Self::Serving => true,
            Self::Silent { .. } | Self::Gone => false,
        }
    }
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An answer, be it an error.
    Answer,
    /// Nobody listens.
    Refused,
    /// No answer in time.
    Timeout,
    /// The call failed on the way.
    Broken,
}

/// The signs.
#[derive(Debug, Default)]
pub struct Pulse {
    /// A call has no answer, nor has any later one.
    unanswered: bool,
    refused: bool,
    witness: Option<Witness>,
    /// The number of stalls for which the fence was lifted last; until then it is not armed.
    lifted: Option<u64>,
}

/// A call that the proxy's kernel took, and that has no answer.
#[derive(Clone, Copy, Debug)]
struct Witness {
    sent: Time,
    /// It has waited for long enough, and the network still carries connections.
    is_silence: bool,
}

impl Pulse {
    /// A call has ended.
    pub const fn handle(&mut self, heard: Heard) {
        match heard {
            Heard::Answer => {
                self.unanswered = false;
                self.refused = false;
                self.witness = None;
            }
            Heard::Refused => {
                self.refused = true;
                self.witness = None;
            }
            Heard::Timeout => {
                self.refused = false;
                self.unanswered = true;
            }
            Heard::Broken => self.refused = false,
        }
    }

    /// The proxy sent its figures. Gives the number of stalls for which its fence is to be lifted,
    /// once it holds the newest routes.
    pub fn handle_stats(&mut self, stall_fence: bool, stalls: u64) -> Option<u64> {
        self.handle(Heard::Answer);
        if !stall_fence {
            self.lifted = None;
            return None;
        }
        (self.lifted != Some(stalls)).then_some(stalls)
    }

    /// The proxy lifted its fence, so from now on it is armed.
    pub const fn handle_lifted(&mut self, stalls: u64) {
        self.lifted = Some(stalls);
    }

    /// The proxy's kernel took a call, which was sent at `sent`.
    pub const fn handle_witness(&mut self, sent: Time) {
        self.witness = Some(Witness {
            sent,
            is_silence: false,
        });
    }

    /// That call has waited long enough, and the kernel has just taken a connection once more;
    /// false when something else was heard meanwhile.
    pub fn handle_silence(&mut self, sent: Time) -> bool {
        let witness = self.witness.as_mut();
        let counts = witness.filter(|witness| witness.sent == sent);
        counts.map(|witness| witness.is_silence = true).is_some()
    }

    /// That call shows nothing any more.
    pub fn handle_witness_lost(&mut self, sent: Time) {
        self.witness.take_if(|witness| witness.sent == sent);
    }

    /// Whether that call still is the one that counts.
    pub fn is_witness(&self, sent: Time) -> bool {
        self.witness.is_some_and(|witness| witness.sent == sent)
    }

    /// Whether a call that counts is out.
    pub const fn has_witness(&self) -> bool {
        self.witness.is_some()
    }

    /// Whether calls were left without an answer, or nobody listened, when last heard of.
    pub const fn is_quiet(&self) -> bool {
        self.unanswered || self.refused
    }

    /// What the proxy is to clients now.
    pub fn peerage(&self, now: Time) -> Peerage {
        match self.witness {
            _ if self.refused => Peerage::Gone,
            Some(Witness { sent, is_silence }) if is_silence && self.lifted.is_some() => {
                let since = now.since(sent);
                Peerage::Silent { since }
            }
            Some(_) | None => Peerage::Serving,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_origin(Duration::from_millis(millis))
    }

    /// One whose fence is armed, and which has left a witness of time 0 without an answer.
    fn silent() -> Pulse {
        let mut pulse = Pulse::default();
        pulse.handle_lifted(0);
        pulse.handle(Heard::Timeout);
        pulse.handle_witness(at(0));
        assert!(pulse.handle_silence(at(0)));
        pulse
    }

    #[test]
    fn only_silence_behind_an_armed_fence_or_no_process_lets_a_step_go_on() {
        let since = Duration::from_secs(4);
        assert_eq!(silent().peerage(at(4_000)), Peerage::Silent { since });
        assert!(!silent().peerage(at(4_000)).blocks());
        for heard in [Heard::Answer, Heard::Refused, Heard::Timeout, Heard::Broken] {
            let mut pulse = Pulse::default();
            pulse.handle_lifted(0);
            pulse.handle(heard);
            let gone = heard == Heard::Refused;
            assert_eq!(pulse.peerage(at(9_000)).blocks(), !gone, "{heard:?}");
        }
        let mut original = Pulse::default();
        assert_eq!(original.handle_stats(false, 0), None);
        original.handle_witness(at(0));
        assert!(original.handle_silence(at(0)));
        assert!(original.peerage(at(9_000)).blocks(), "it has no fence");
    }

    #[test]
    fn any_answer_ends_the_silence_and_the_witness() {
        let mut pulse = silent();
        pulse.handle(Heard::Answer);
        assert!(pulse.peerage(at(5_000)).blocks());
        assert!(!pulse.is_witness(at(0)) && !pulse.is_quiet());
        assert!(!pulse.handle_silence(at(0)), "it was heard meanwhile");
        assert_eq!(silent().handle_stats(true, 1), Some(1), "it stood still");
    }

    #[test]
    fn what_a_broken_call_shows_leaves_a_silence_as_it_is() {
        let mut pulse = silent();
        pulse.handle(Heard::Timeout);
        pulse.handle(Heard::Broken);
        pulse.handle_witness_lost(at(1));
        assert!(!pulse.peerage(at(5_000)).blocks());
        pulse.handle_witness_lost(at(0));
        assert!(pulse.peerage(at(5_000)).blocks());
    }
}
