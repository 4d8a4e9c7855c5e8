//! The last answers of peers, and of those that do not answer the last good one.
//!
//! A peer that hangs is shown as it was, with an age, not as nothing: an operator at night wants to
//! know what it was doing. The members of the original keep their meaning; age and last good answer
//! are further ones, and there only while a peer is stale.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use codis_core::api::{ProxyReport, SentinelStats, ServerStats};

/// An answer that is older than this is stale even if it was good: asking takes 2 s at most, and
/// servers are asked every 3 s while nobody reads.
const FRESH_MAX: Duration = Duration::from_secs(6);

/// What is polled of a kind of peer.
pub trait Report: Clone {
    /// Whether the peer answered.
    fn is_good(&self) -> bool;

    /// Marks it as `age` old, with the last good answer when this is none.
    fn mark(&mut self, age: Duration, last: Option<Self>);
}

/// The answers of one kind of peer, by address or token.
#[derive(Debug)]
pub struct Answers<T> {
    peers: BTreeMap<String, Aged<T>>,
}

#[derive(Debug)]
struct Aged<T> {
    report: T,
    good: Option<T>,
    /// When it last answered, or was first asked.
    heard: Instant,
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self {
            peers: BTreeMap::new(),
        }
    }
}

impl<T: Report> Answers<T> {
    /// Takes what came of asking a peer.
    pub fn insert(&mut self, key: String, report: T) {
        self.insert_at(key, report, Instant::now());
    }

    fn insert_at(&mut self, key: String, report: T, now: Instant) {
        let good = report.is_good();
        let aged = self.peers.entry(key).or_insert_with(|| Aged {
            report: report.clone(),
            good: None,
            heard: now,
        });
        if good {
            (aged.heard, aged.good) = (now, None);
        } else if aged.report.is_good() {
            aged.good = Some(aged.report.clone());
        }
        aged.report = report;
    }

    /// Keeps the peers that `keep` names.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.peers.retain(|key, _| keep(key));
    }

    /// The last good answer of each peer that ever gave one.
    pub fn good(&self) -> impl Iterator<Item = (&String, &T)> {
        self.peers.iter().filter_map(|(key, aged)| {
            let good = aged.report.is_good().then_some(&aged.report);
            Some((key, good.or(aged.good.as_ref())?))
        })
    }

    /// The last good answer of a peer.
    pub fn get(&self, key: &str) -> Option<&T> {
        let aged = self.peers.get(key)?;
        if aged.report.is_good() {
            Some(&aged.report)
        } else {
            aged.good.as_ref()
        }
    }

    /// The last answer of a peer, unless it failed to give one.
    pub fn newest(&self, key: &str) -> Option<&T> {
        let aged = self.peers.get(key)?;
        aged.report.is_good().then_some(&aged.report)
    }

    /// All answers, those that are stale marked.
    pub fn shown(&self) -> BTreeMap<String, T> {
        self.shown_at(Instant::now())
    }

    fn shown_at(&self, now: Instant) -> BTreeMap<String, T> {
        let shown = self.peers.iter().map(|(key, aged)| {
            let mut report = aged.report.clone();
            if aged.is_stale(now) {
                let age = now.saturating_duration_since(aged.heard);
                report.mark(age, aged.good.clone());
            }
            (key.clone(), report)
        });
        shown.collect()
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

impl<T: Report> Aged<T> {
    fn is_stale(&self, now: Instant) -> bool {
        !self.report.is_good() || now.saturating_duration_since(self.heard) > FRESH_MAX
    }
}

/// The three kinds have the same members for this.
macro_rules! report {
    ($kind:ty) => {
        impl Report for $kind {
            fn is_good(&self) -> bool {
                self.error.is_none() && !self.timeout
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

#[cfg(test)]
mod tests {
    use super::*;

    fn good(run_id: &str) -> ServerStats {
        ServerStats {
            stats: BTreeMap::from([("run_id".to_owned(), run_id.to_owned())]),
            unixtime: 7,
            ..ServerStats::default()
        }
    }

    fn hung() -> ServerStats {
        ServerStats {
            timeout: true,
            unixtime: 8,
            ..ServerStats::default()
        }
    }

    #[test]
    fn a_peer_that_hangs_is_shown_as_it_was_with_its_age() {
        let (begun, key) = (Instant::now(), || "s:1".to_owned());
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut answers = Answers::default();
        answers.insert_at(key(), good("one"), begun);
        assert_eq!(answers.shown_at(after(1))["s:1"], good("one"));
        for at in 2..10 {
            answers.insert_at(key(), hung(), after(at));
        }
        let shown = answers.shown_at(after(10)).remove("s:1").unwrap();
        assert!(shown.timeout && shown.stats.is_empty(), "as the original");
        assert_eq!((shown.unixtime, shown.age_ms), (8, Some(10_000)));
        assert_eq!(shown.last.as_deref(), Some(&good("one")));
        assert_eq!(answers.get("s:1"), Some(&good("one")));
        assert_eq!(answers.good().count(), 1);
        answers.insert_at(key(), good("two"), after(11));
        assert_eq!(answers.shown_at(after(11))["s:1"], good("two"));
    }

    #[test]
    fn one_that_never_answered_has_an_age_and_nothing_else() {
        let begun = Instant::now();
        let mut answers = Answers::default();
        answers.insert_at("s:1".to_owned(), hung(), begun);
        let shown = answers.shown_at(begun + Duration::from_millis(1500));
        assert_eq!(shown["s:1"].age_ms, Some(1500));
        assert_eq!(shown["s:1"].last, None);
        assert_eq!(answers.get("s:1"), None);
        assert_eq!(answers.stale(), 1);
        assert!(answers.oldest().is_some());
        answers.retain(|key| key != "s:1");
        assert_eq!((answers.stale(), answers.oldest()), (0, None));
    }

    /// A poller that is stuck itself leaves an answer that only looks good.
    #[test]
    fn a_good_answer_gets_old() {
        let begun = Instant::now();
        let mut answers = Answers::default();
        answers.insert_at("s:1".to_owned(), good("one"), begun);
        let later = begun + FRESH_MAX + Duration::from_secs(1);
        let shown = answers.shown_at(later).remove("s:1").unwrap();
        assert_eq!((shown.age_ms, shown.last), (Some(7000), None));
        assert_eq!(shown.stats["run_id"], "one");
    }
}
