//! Whether a proxy that did not take slots in time can still serve clients.
//!
//! A step of a slot action must not be taken while a proxy serves by the routes of the step before.
//! It need not wait for one that cannot serve: a process that is gone, or one that is stopped and
//! will, when it goes on, hold its clients' requests until it was told the routes of now (the stall
//! fence, which a proxy announces in its statistics). Everything else counts as serving, above all
//! a proxy that we cannot reach: its clients may.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use codis_runtime::http::ClientError;
use tokio::time::Instant;

/// A proxy that announced the fence and left a call unanswered for so long counts as stopped. It
/// must be longer than the gap that raises the fence there, 2.5 s.
pub const SILENT_AFTER: Duration = Duration::from_secs(3);
/// An accepted connection proves for so long that the machine and its network are alive.
const ACCEPTED_FOR: Duration = Duration::from_secs(3);

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
    /// When the oldest call was sent that is unanswered since the last answer.
    unanswered: Option<Instant>,
    /// When a new connection was last accepted while calls were unanswered.
    accepted: Option<Instant>,
    fenced: bool,
    refused: bool,
}

impl Pulse {
    /// The proxy answered a call, be it with an error.
    pub fn handle_answer(&self) {
        let mut signs = self.signs();
        signs.unanswered = None;
        signs.accepted = None;
        signs.refused = false;
    }

    /// The proxy says whether it has the stall fence.
    pub fn handle_announced(&self, fenced: bool) {
        self.signs().fenced = fenced;
    }

    /// A call that was sent at `sent` failed.
    pub fn handle_failure(&self, sent: Instant, error: &ClientError) {
        if error.is_answer() {
            return self.handle_answer();
        }
        let mut signs = self.signs();
        signs.refused = error.is_refused();
        if error.is_timeout() {
            let before = signs.unanswered;
            signs.unanswered = Some(before.map_or(sent, |before| before.min(sent)));
        }
    }

    /// A new connection was accepted.
    pub fn handle_accepted(&self) {
        self.signs().accepted = Some(Instant::now());
    }

    /// What the proxy is to clients now.
    pub fn peerage(&self) -> Peerage {
        let signs = self.signs();
        if signs.refused {
            return Peerage::Gone;
        }
        let accepts = signs.accepted.is_some_and(|at| at.elapsed() < ACCEPTED_FOR);
        match signs.unanswered.map(|sent| sent.elapsed()) {
            Some(since) if signs.fenced && accepts && since > SILENT_AFTER => {
                Peerage::Silent { since }
            }
            Some(_) | None => Peerage::Serving,
        }
    }

    fn signs(&self) -> MutexGuard<'_, Signs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
