//! The last answers of peers, and of those that do not answer the last good one.
//!
//! A peer that hangs is shown as it was, with an age, not as nothing: an operator at night wants to
//! know what it was doing. The members of the original keep their meaning; age and last good answer
//! are further ones, and there only while a peer is stale.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use codis_core::api::{ProxyReport, ProxyStats, RemoteError, SentinelStats, ServerStats};
use codis_runtime::http::ClientError;
use codis_runtime::peer::{self, Info};

/// An answer that is older than this is stale even if it was good: a server is asked again after
/// 4.5 s at the latest while nobody reads, and asking takes a second at most.
const FRESH_MAX: Duration = Duration::from_secs(6);

/// What a kind of peer tells. It is kept as it came, and made into a report when somebody reads it.
pub trait Figures {
    /// How it is shown.
    type Report: Report;

    /// As it is shown, before the time is set.
    fn report(&self) -> Self::Report;
}

/// An entry of `/topom/stats`.
pub trait Report {
    /// One of a peer that told nothing: what went wrong, or that it did not answer in time.
    fn failed(error: Option<RemoteError>, timeout: bool) -> Self;

    /// Sets when it was asked, in seconds since 1970.
    fn set_time(&mut self, unixtime: i64);

    /// Marks it as `age` old, with the last good answer when this is none.
    fn mark(&mut self, age: Duration, last: Option<Self>)
    where
        Self: Sized;
}

/// Why a peer told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It did not answer in time.
    TimedOut,
    /// What went wrong.
    Error(String),
}

/// What came of asking a peer once.
pub type Outcome<F> = Result<F, Failure>;

/// The answers of one kind of peer, by address or token.
#[derive(Debug)]
pub struct Answers<F> {
    peers: BTreeMap<String, Aged<F>>,
}

#[derive(Debug)]
struct Aged<F> {
    /// The last good answer, and when it came in seconds since 1970.
    good: Option<(Arc<F>, i64)>,
    /// What went wrong since.
    failed: Option<(Failure, i64)>,
    /// When it last answered, or was first asked.
    heard: Instant,
}

impl<F> Default for Answers<F> {
    fn default() -> Self {
        Self {
            peers: BTreeMap::new(),
        }
    }
}

impl<F: Figures> Answers<F> {
    /// Takes what came of asking a peer; `unixtime` is now for people.
    pub fn insert(&mut self, key: &str, outcome: Outcome<F>, unixtime: i64) {
        self.insert_at(key, outcome, unixtime, Instant::now());
    }

    fn insert_at(&mut self, key: &str, outcome: Outcome<F>, unixtime: i64, now: Instant) {
        if !self.peers.contains_key(key) {
            let asked = Aged {
                good: None,
                failed: None,
                heard: now,
            };
            self.peers.insert(key.to_owned(), asked);
        }
        let Some(aged) = self.peers.get_mut(key) else {
            return;
        };
        match outcome {
            Ok(figures) => {
                aged.good = Some((Arc::new(figures), unixtime));
                aged.failed = None;
                aged.heard = now;
            }
            Err(failure) => aged.failed = Some((failure, unixtime)),
        }
    }

    /// Keeps the peers that `keep` names.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.peers.retain(|key, _| keep(key));
    }

    /// The last good answer of each peer that ever gave one.
    pub fn good(&self) -> impl Iterator<Item = (&String, &F)> {
        self.peers
            .iter()
            .filter_map(|(key, aged)| Some((key, aged.good()?)))
    }

    /// The last good answer of a peer.
    pub fn get(&self, key: &str) -> Option<&F> {
        self.peers.get(key)?.good()
    }

    /// The last answer of a peer, unless it failed to give one.
    pub fn newest(&self, key: &str) -> Option<&F> {
        let aged = self.peers.get(key)?;
        aged.good().filter(|_| aged.failed.is_none())
    }

    /// All answers, those that are stale marked.
    pub fn shown(&self) -> BTreeMap<String, F::Report> {
        self.shown_at(Instant::now())
    }

    fn shown_at(&self, now: Instant) -> BTreeMap<String, F::Report> {
        let shown = |(key, aged): (&String, &Aged<F>)| (key.clone(), aged.shown(now));
        self.peers.iter().map(shown).collect()
    }

    /// How long ago the peer that answered longest ago did.
    pub fn oldest(&self) -> Option<Duration> {
        let heard = self.peers.values().map(|aged| aged.heard).min()?;
        Some(heard.elapsed())
    }

    /// How many are stale.
    pub fn stale(&self) -> usize {
        let now = Instant::now();
        self.peers
            .values()
            .filter(|aged| aged.is_stale(now))
            .count()
    }
}

impl<F: Figures> Aged<F> {
    fn good(&self) -> Option<&F> {
        self.good.as_ref().map(|(figures, _)| &**figures)
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.failed.is_some() || now.saturating_duration_since(self.heard) > FRESH_MAX
    }

    fn shown(&self, now: Instant) -> F::Report {
        let good = self.good.as_ref().map(|(figures, unixtime)| {
            let mut report = figures.report();
            report.set_time(*unixtime);
            report
        });
        let (mut report, last) = match (&self.failed, good) {
            (Some((failure, unixtime)), last) => {
                let mut report: F::Report = failure.shown();
                report.set_time(*unixtime);
                (report, last)
            }
            (None, Some(good)) => (good, None),
            (None, None) => (F::Report::failed(None, false), None),
        };
        if self.is_stale(now) {
            report.mark(now.saturating_duration_since(self.heard), last);
        }
        report
    }
}

/// A copy for a reader, who needs a while: the figures themselves are shared.
impl<F> Clone for Answers<F> {
    fn clone(&self) -> Self {
        let aged = |(key, aged): (&String, &Aged<F>)| {
            let aged = Aged {
                good: aged.good.clone(),
                failed: aged.failed.clone(),
                heard: aged.heard,
            };
            (key.clone(), aged)
        };
        Self {
            peers: self.peers.iter().map(aged).collect(),
        }
    }
}

impl From<peer::Error> for Failure {
    fn from(error: peer::Error) -> Self {
        match error {
            peer::Error::TimedOut { .. } => Self::TimedOut,
            error => Self::Error(error.to_string()),
        }
    }
}

impl From<&ClientError> for Failure {
    fn from(error: &ClientError) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Error(error.to_string())
        }
    }
}

impl Failure {
    fn shown<R: Report>(&self) -> R {
        match self {
            Self::TimedOut => R::failed(None, true),
            Self::Error(cause) => R::failed(Some(RemoteError::new(cause.clone())), false),
        }
    }
}

/// The three kinds have the same members for this.
macro_rules! report {
    ($kind:ty) => {
        impl Report for $kind {
            fn failed(error: Option<RemoteError>, timeout: bool) -> Self {
                Self {
                    error,
                    timeout,
                    ..Self::default()
                }
            }

            fn set_time(&mut self, unixtime: i64) {
                self.unixtime = unixtime;
            }

            fn mark(&mut self, age: Duration, last: Option<Self>) {
                self.age_ms = Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
                self.last = last.map(Box::new);
            }
        }
    };
}

report!(ServerStats);
report!(ProxyReport);
report!(SentinelStats);

impl Figures for Info {
    type Report = ServerStats;

    fn report(&self) -> ServerStats {
        ServerStats {
            stats: self.fields(),
            ..ServerStats::default()
        }
    }
}

impl Figures for ProxyStats {
    type Report = ProxyReport;

    fn report(&self) -> ProxyReport {
        ProxyReport {
            stats: Some(self.clone()),
            ..ProxyReport::default()
        }
    }
}

/// The time is set for all kinds alike.
impl Figures for SentinelStats {
    type Report = Self;

    fn report(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_id(id: &str) -> Outcome<Info> {
        Ok(Info::new(format!("run_id:{id}\r\n")))
    }

    const HUNG: Outcome<Info> = Err(Failure::TimedOut);

    fn good(id: &str, unixtime: i64) -> ServerStats {
        ServerStats {
            stats: BTreeMap::from([("run_id".to_owned(), id.to_owned())]),
            unixtime,
            ..ServerStats::default()
        }
    }

    #[test]
    fn a_peer_that_hangs_is_shown_as_it_was_with_its_age() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut answers = Answers::default();
        answers.insert_at("s:1", run_id("one"), 7, begun);
        assert_eq!(answers.shown_at(after(1))["s:1"], good("one", 7));
        for at in 2..10 {
            answers.insert_at("s:1", HUNG, 8, after(at));
        }
        let shown = answers.shown_at(after(10)).remove("s:1").unwrap();
        assert!(shown.timeout && shown.stats.is_empty(), "as the original");
        assert_eq!((shown.unixtime, shown.age_ms), (8, Some(10_000)));
        assert_eq!(shown.last.as_deref(), Some(&good("one", 7)));
        let last = |answers: &Answers<Info>| {
            let field = |info: &Info| info.field("run_id").unwrap().to_owned();
            (
                answers.get("s:1").map(field),
                answers.newest("s:1").map(field),
            )
        };
        assert_eq!(last(&answers), (Some("one".to_owned()), None));
        assert_eq!(answers.good().count(), 1);
        answers.insert_at("s:1", run_id("two"), 9, after(11));
        assert_eq!(answers.shown_at(after(11))["s:1"], good("two", 9));
        let two = Some("two".to_owned());
        assert_eq!(last(&answers), (two.clone(), two));
    }

    #[test]
    fn one_that_never_answered_has_an_age_and_nothing_else() {
        let begun = Instant::now();
        let mut answers = Answers::default();
        answers.insert_at("s:1", HUNG, 8, begun);
        let shown = answers.shown_at(begun + Duration::from_millis(1500));
        assert_eq!(shown["s:1"].age_ms, Some(1500));
        assert_eq!(shown["s:1"].last, None);
        assert_eq!(answers.get("s:1"), None);
        assert_eq!((answers.good().count(), answers.stale()), (0, 1));
        assert!(answers.oldest().is_some());
        answers.retain(|key| key != "s:1");
        assert_eq!((answers.stale(), answers.oldest()), (0, None));
    }

    #[test]
    fn one_that_refuses_is_shown_with_its_words() {
        let begun = Instant::now();
        let mut answers = Answers::<Info>::default();
        let refused = Failure::Error("ERR no".to_owned());
        answers.insert_at("s:1", Err(refused), 8, begun);
        let shown = answers.shown_at(begun).remove("s:1").unwrap();
        assert_eq!(shown.error, Some(RemoteError::new("ERR no")));
        assert!(!shown.timeout && shown.unixtime == 8 && shown.age_ms == Some(0));
    }

    /// A poller that is stuck itself leaves an answer that only looks good.
    #[test]
    fn a_good_answer_gets_old() {
        let begun = Instant::now();
        let mut answers = Answers::default();
        answers.insert_at("s:1", run_id("one"), 7, begun);
        let later = begun + FRESH_MAX + Duration::from_secs(1);
        let shown = answers.shown_at(later).remove("s:1").unwrap();
        assert_eq!((shown.age_ms, shown.last), (Some(7000), None));
        assert_eq!(shown.stats["run_id"], "one");
    }
}
