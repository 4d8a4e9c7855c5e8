//! What was heard of each proxy process, for those who wait for its row and those who call it.
//!
//! [`codis_topom::pulse`] decides; here is the clock, and the lock that several tasks share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use codis_core::api::ProxyStats;
use codis_core::time::Time;
use codis_runtime::http::ClientError;
use codis_topom::pulse::{self, Heard};
use tokio::time::Instant;

pub use codis_topom::pulse::Peerage;

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
        let blocks = |behind: &&Behind| behind.peer.blocks();
        self.behind
            .iter()
            .filter(blocks)
            .map(|behind| behind.token.as_str())
    }
}

/// What the calls to one proxy process have shown.
#[derive(Debug)]
pub struct Pulse {
    origin: Instant,
    signs: Mutex<pulse::Pulse>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            signs: Mutex::default(),
        }
    }
}

impl Pulse {
    /// The proxy answered a call, be it with an error.
    pub fn handle_answer(&self) {
        self.signs().handle(Heard::Answer);
    }

    /// The proxy sent its figures. Gives the number of stalls for which its fence is to be lifted,
    /// once it holds the newest routes.
    pub fn handle_stats(&self, stats: &ProxyStats) -> Option<u64> {
        self.signs().handle_stats(stats.stall_fence, stats.stalls)
    }

    /// The proxy lifted its fence, so from now on it is armed.
    pub fn handle_lifted(&self, stalls: u64) {
        self.signs().handle_lifted(stalls);
    }

    /// Whether calls were left without an answer, or nobody listened, when last heard of.
    pub fn is_quiet(&self) -> bool {
        self.signs().is_quiet()
    }

    /// A call failed.
    pub fn handle_failure(&self, error: &ClientError) {
        self.signs().handle(match error {
            error if error.is_answer() => Heard::Answer,
            error if error.is_refused() => Heard::Refused,
            error if error.is_timeout() => Heard::Timeout,
            _ => Heard::Broken,
        });
    }

    /// The proxy's kernel took a call, which was sent at `sent`.
    pub(super) fn handle_witness(&self, sent: Instant) {
        self.signs().handle_witness(self.time(sent));
    }

    /// That call has waited long enough; false when something else was heard meanwhile.
    pub(super) fn handle_silence(&self, sent: Instant) -> bool {
        self.signs().handle_silence(self.time(sent))
    }

    /// That call shows nothing any more.
    pub(super) fn handle_witness_lost(&self, sent: Instant) {
        self.signs().handle_witness_lost(self.time(sent));
    }

    /// Whether that call still is the one that counts.
    pub(super) fn is_witness(&self, sent: Instant) -> bool {
        self.signs().is_witness(self.time(sent))
    }

    /// What the proxy is to clients now.
    pub fn peerage(&self) -> Peerage {
        self.signs().peerage(self.time(Instant::now()))
    }

    fn time(&self, at: Instant) -> Time {
        Time::from_origin(at.saturating_duration_since(self.origin))
    }

    fn signs(&self) -> MutexGuard<'_, pulse::Pulse> {
        self.signs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
