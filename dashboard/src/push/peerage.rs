//! Whether a proxy that did not take slots in time can still serve clients.
//!
//! A step of a slot action must not be taken while a proxy serves by the routes of the step before.
//! It need not wait for one that cannot serve: a process that is gone, or one that is stopped and
//! will, when it goes on, hold its clients' requests until it was told the routes of now (the stall
//! fence, which a proxy announces in its statistics). Everything else counts as serving, above all
//! a proxy that we cannot reach: its clients may.
//!
//! A stopped process is told from a broken network by its kernel, which goes on accepting
//! connections. The silence is counted from the sending of a call that has no answer, so a proxy
//! that counts as silent was stopped for all of that time, longer than its fence needs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use codis_core::api::ProxyStats;
use codis_runtime::http::ClientError;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How long a kernel may take to accept a connection.
const ACCEPT_MAX: Duration = Duration::from_millis(300);

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
    /// Whether a new connection was accepted while calls were unanswered. The queue of a stopped
    /// process fills up after a while, so it is asked once.
    accepted: bool,
    refused: bool,
    /// The number of stalls for which the fence was lifted last; until then it is not armed.
    lifted: Option<u64>,
}

impl Pulse {
    /// The proxy answered a call, be it with an error.
    pub fn handle_answer(&self) {
        let mut signs = self.signs();
        signs.unanswered = None;
        signs.accepted = false;
        signs.refused = false;
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
        signs.unanswered.is_some() || signs.refused
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

    /// Asks the kernel of a proxy that does not answer whether it accepts connections.
    pub async fn probe(&self, addr: &str) {
        let asks = {
            let signs = self.signs();
            signs.unanswered.is_some() && !signs.accepted
        };
        if asks {
            let opened = tokio::time::timeout(ACCEPT_MAX, TcpStream::connect(addr)).await;
            if matches!(opened, Ok(Ok(_))) {
                let mut signs = self.signs();
                signs.accepted = signs.unanswered.is_some();
            }
        }
    }

    /// What the proxy is to clients now. It counts as stopped after `silent_max`, which must be
    /// longer than the gap that raises the fence there, 2.5 s.
    pub fn peerage(&self, silent_max: Duration) -> Peerage {
        let signs = self.signs();
        if signs.refused {
            return Peerage::Gone;
        }
        let is_fenced = signs.lifted.is_some() && signs.accepted;
        match signs.unanswered.map(|sent| sent.elapsed()) {
            Some(since) if is_fenced && since > silent_max => Peerage::Silent { since },
            Some(_) | None => Peerage::Serving,
        }
    }

    fn signs(&self) -> MutexGuard<'_, Signs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(3);

    fn timeout() -> ClientError {
        ClientError::Timeout {
            after: MAX,
            url: String::new(),
        }
    }

    fn stats(stalls: u64) -> ProxyStats {
        ProxyStats {
            stall_fence: true,
            stalls,
            ..ProxyStats::default()
        }
    }

    async fn listener() -> (tokio::net::TcpListener, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        (listener, addr)
    }

    fn ago(seconds: u64) -> Instant {
        Instant::now()
            .checked_sub(Duration::from_secs(seconds))
            .unwrap()
    }

    #[tokio::test]
    async fn only_a_fenced_proxy_whose_kernel_accepts_is_silent() {
        let (_listener, addr) = listener().await;
        let (pulse, original) = (Pulse::default(), Pulse::default());
        assert_eq!(pulse.handle_stats(&stats(0)), Some(0));
        pulse.handle_lifted(0);
        assert_eq!(pulse.handle_stats(&stats(0)), None, "armed already");
        assert_eq!(original.handle_stats(&ProxyStats::default()), None);
        for pulse in [&pulse, &original] {
            pulse.handle_failure(ago(4), &timeout());
            assert_eq!(pulse.peerage(MAX), Peerage::Serving, "perhaps the network");
            pulse.probe(&addr).await;
        }
        assert!(matches!(pulse.peerage(MAX), Peerage::Silent { .. }));
        assert_eq!(original.peerage(MAX), Peerage::Serving, "it has no fence");
        pulse.handle_answer();
        assert_eq!(pulse.peerage(MAX), Peerage::Serving);
        assert_eq!(pulse.handle_stats(&stats(2)), Some(2), "it stood still");
    }

    #[tokio::test]
    async fn silence_counts_from_the_first_call_without_an_answer() {
        let (_listener, addr) = listener().await;
        let pulse = Pulse::default();
        pulse.handle_lifted(0);
        pulse.handle_failure(ago(2), &timeout());
        pulse.probe(&addr).await;
        assert_eq!(pulse.peerage(MAX), Peerage::Serving, "not long enough");
        pulse.handle_failure(ago(5), &timeout());
        assert!(matches!(pulse.peerage(MAX), Peerage::Silent { .. }));
        pulse.handle_failure(ago(1), &ClientError::Remote("no".to_owned()));
        assert_eq!(
            pulse.peerage(MAX),
            Peerage::Serving,
            "an error is an answer"
        );
    }

    #[tokio::test]
    async fn a_proxy_that_nobody_listens_for_is_gone() {
        let (listener, addr) = listener().await;
        drop(listener);
        let client = codis_runtime::http::Client::new(MAX, MAX);
        let error = client.get::<String>(&addr, "/").await.unwrap_err();
        let pulse = Pulse::default();
        pulse.handle_failure(Instant::now(), &error);
        assert_eq!(pulse.peerage(MAX), Peerage::Gone);
        pulse.handle_failure(Instant::now(), &timeout());
        assert_eq!(
            pulse.peerage(MAX),
            Peerage::Serving,
            "somebody listens again"
        );
    }
}
