//! Orders to peers: each is written when it ends, with what the peer answered. What is to be done
//! again until the peer takes it fails in the same way again and again; of those failures one in
//! ten minutes is written.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use codis_runtime::http::ClientError;
use codis_runtime::peer;

use super::{AuditLog, Entry, Kind, Ordered, Outcome, ended, held};
use crate::state::Audit;

/// How often a failure that does not change is written.
const REPEAT_EVERY: Duration = Duration::from_secs(600);
/// Failures that are remembered; beyond them, all are forgotten, and written once more.
const REPEATS_MAX: usize = 4096;

/// Why an order was not carried out.
pub trait Fault: fmt::Display {
    /// Whether it surely was not, because the peer or this side said no.
    fn is_no(&self) -> bool;
}

impl Fault for peer::Error {
    fn is_no(&self) -> bool {
        match self {
            Self::Refused(_) | Self::WrongPassword { .. } => true,
            Self::TimedOut { .. } | Self::Broken { .. } => false,
        }
    }
}

impl Fault for ClientError {
    fn is_no(&self) -> bool {
        self.is_answer() || matches!(self, Self::Withheld(_))
    }
}

impl AuditLog {
    /// Gives `order` to the peer at `to` by doing `work`, and writes how that ended. The words are
    /// read by people: no secret may be in them. `work` that is dropped was given up, and the order
    /// may have been taken.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn ordered<T, E: Fault>(
        &self,
        audit: &Audit,
        to: &str,
        order: impl Into<String>,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let order = Order {
            log: self,
            audit,
            ordered: Some(Ordered {
                to: to.to_owned(),
                order: order.into(),
            }),
            begun: Instant::now(),
        };
        let outcome = work.await;
        order.end(match &outcome {
            Ok(_) => Outcome::Done,
            Err(fault) if fault.is_no() => Outcome::Refused(fault.to_string()),
            Err(fault) => Outcome::Failed(fault.to_string()),
        });
        outcome
    }
}

/// An order on its way.
struct Order<'a> {
    log: &'a AuditLog,
    audit: &'a Audit,
    ordered: Option<Ordered>,
    begun: Instant,
}

impl Order<'_> {
    fn end(mut self, outcome: Outcome) {
        self.write(outcome);
    }

    fn write(&mut self, outcome: Outcome) {
        let Some(ordered) = self.ordered.take() else {
            return;
        };
        if self.audit.who.is_own() {
            let mut repeats = held(&self.log.inner.repeats);
            let key = (self.audit.what.clone(), ordered.clone());
            if !repeats.is_news(Instant::now(), key, &outcome) {
                return;
            }
        }
        self.log.record(Entry {
            kind: Kind::Order,
            ordered: Some(ordered),
            ..ended(self.audit, self.begun.elapsed(), outcome)
        });
    }
}

impl Drop for Order<'_> {
    fn drop(&mut self) {
        self.write(Outcome::Failed("given up before the answer".to_owned()));
    }
}

/// The orders that failed last, and how.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    failing: BTreeMap<(String, Ordered), (Outcome, Instant)>,
}

impl Repeats {
    /// Whether an end is to be written.
    fn is_news(&mut self, now: Instant, key: (String, Ordered), outcome: &Outcome) -> bool {
        if *outcome == Outcome::Done {
            self.failing.remove(&key);
            return true;
        }
        let known = self.failing.get(&key);
        if known.is_some_and(|(last, at)| last == outcome && now < *at + REPEAT_EVERY) {
            return false;
        }
        if self.failing.len() >= REPEATS_MAX {
            self.failing.clear();
        }
        self.failing.insert(key, (outcome.clone(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_does_not_change_is_written_now_and_then() {
        let mut repeats = Repeats::default();
        let began = Instant::now();
        let key = |order: &str| {
            let (to, order) = ("s".to_owned(), order.to_owned());
            ("keep".to_owned(), Ordered { to, order })
        };
        let failed = |cause: &str| Outcome::Failed(cause.to_owned());
        let mut at = |seconds, order, outcome: Outcome| {
            repeats.is_news(began + Duration::from_secs(seconds), key(order), &outcome)
        };
        assert!(at(0, "a", failed("x")));
        assert!(!at(5, "a", failed("x")));
        assert!(at(5, "b", failed("x")), "another order");
        assert!(at(6, "a", failed("y")), "another cause");
        assert!(!at(600, "a", failed("y")));
        assert!(at(606, "a", failed("y")), "ten minutes later");
        assert!(at(607, "a", Outcome::Done));
        assert!(at(608, "a", Outcome::Done), "what was done is always told");
        assert!(at(609, "a", failed("y")), "it had been well meanwhile");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut repeats = Repeats::default();
        for n in 0..=REPEATS_MAX {
            let (to, order) = (format!("server {n}"), "a".to_owned());
            let key = (String::new(), Ordered { to, order });
            assert!(repeats.is_news(Instant::now(), key, &Outcome::Refused(String::new())));
        }
        assert!(repeats.failing.len() <= REPEATS_MAX);
    }
}
