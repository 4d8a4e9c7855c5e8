//! Whether a proxy that did not take slots in time can still serve clients.
//!
//! A step of a slot action must not be taken while a proxy serves by the routes of the step before.
//! It need not wait for one that cannot serve: a process that is gone, or one that is stopped and
//! will, when it goes on, hold its clients' requests until it was told the routes of now (the stall
//! fence, which a proxy announces in its statistics). Everything else counts as serving, above all
//! a proxy that we cannot reach: its clients may.
//!
//! A stopped process is told from a broken network by a call that its kernel took and it did not
//! answer; see [`super::witness`]. A proxy that counts as silent was stopped for all of the time
//! since, longer than its fence needs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use codis_core::api::ProxyStats;
use codis_runtime::http::ClientError;
use tokio::time::Instant;

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

/// A proxy that does not hold what was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Its token.
    pub token: String,
    /// What it is to clients.
    pub peer: Peerage,
}

/// Which proxies do not hold some slots yet. They are told as soon as they answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// By token.
    pub behind: Vec<Behind>,
}

impl Pushed {
    /// Whether a proxy that may serve clients is behind: what comes next must wait.
    pub fn blocks(&self) -> bool {
        self.blocking().next().is_some()
    }

    /// The proxies that may serve and are behind.
    pub fn blocking(&self) -> impl Iterator<Item = &str> {
        let serving = |behind: &&Behind| behind.peer == Peerage::Serving;
        self.behind
            .iter()
            .filter(serving)
            .map(|behind| behind.token.as_str())
    }
}

/// What the calls to one proxy process have shown.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<Signs>);

#[derive(Debug, Default)]
struct Signs {
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
    sent: Instant,
    /// It has waited for long enough, and the network still carries connections.
    is_silence: bool,
}

impl Pulse {
    /// The proxy answered a call, be it with an error.
    pub fn handle_answer(&self) {
        let mut signs = self.signs();
        signs.unanswered = false;
        signs.refused = false;
        signs.witness = None;
    }

    /// The proxy sent its figures. Gives the number of stalls for which its fence is to be lifted,
    /// once it holds the newest routes.
    pub fn handle_stats(&self, stats: &ProxyStats) -> Option<u64> {
        self.handle_answer();
        let mut signs = self.signs();
        if !stats.stall_fence {
            signs.lifted = None;
            return None;
        }
        (signs.lifted != Some(stats.stalls)).then_some(stats.stalls)
    }

    /// The proxy lifted its fence, so from now on it is armed.
    pub fn handle_lifted(&self, stalls: u64) {
        self.signs().lifted = Some(stalls);
    }

    /// Whether calls were left without an answer, or nobody listened, when last heard of.
    pub fn is_quiet(&self) -> bool {
        let signs = self.signs();
        signs.unanswered || signs.refused
    }

    /// A call failed.
    pub fn handle_failure(&self, error: &ClientError) {
        if error.is_answer() {
            return self.handle_answer();
        }
        let mut signs = self.signs();
        signs.refused = error.is_refused();
        signs.unanswered |= error.is_timeout();
        if signs.refused {
            signs.witness = None;
        }
    }

    /// The proxy's kernel took a call, which was sent at `sent`.
    pub(super) fn handle_witness(&self, sent: Instant) {
        self.signs().witness = Some(Witness {
            sent,
            is_silence: false,
        });
    }

    /// That call has waited long enough; false when something else was heard meanwhile.
    pub(super) fn handle_silence(&self, sent: Instant) -> bool {
        let mut signs = self.signs();
        let witness = signs
            .witness
            .as_mut()
            .filter(|witness| witness.sent == sent);
        let counts = witness.map(|witness| witness.is_silence = true);
        counts.is_some()
    }

    /// That call shows nothing any more.
    pub(super) fn handle_witness_lost(&self, sent: Instant) {
        self.signs().witness.take_if(|witness| witness.sent == sent);
    }

    /// Whether that call still is the one that counts.
    pub(super) fn is_witness(&self, sent: Instant) -> bool {
        self.signs()
            .witness
            .is_some_and(|witness| witness.sent == sent)
    }

    /// What the proxy is to clients now.
    pub fn peerage(&self) -> Peerage {
        let signs = self.signs();
        match signs.witness {
            _ if signs.refused => Peerage::Gone,
            Some(Witness { sent, is_silence }) if is_silence && signs.lifted.is_some() => {
                let since = sent.elapsed();
                Peerage::Silent { since }
            }
            Some(_) | None => Peerage::Serving,
        }
    }

    fn signs(&self) -> MutexGuard<'_, Signs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
