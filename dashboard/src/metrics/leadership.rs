//! What is counted of leadership: calls that a standby passes on, and what was refused to a
//! dashboard that does not lead any more.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// What became of a call that a standby passed on to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// The leader answered, whatever it said.
    Answered,
    /// It did not, or not in time, and the standby answered from its own records.
    OwnRecords,
    /// It was not reached, and nothing was done.
    NotSent,
    /// It did not answer: a change may or may not have been carried out.
    Unknown,
}

impl Forwarded {
    const ALL: [Self; 4] = [
        Self::Answered,
        Self::OwnRecords,
        Self::NotSent,
        Self::Unknown,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::OwnRecords => "own_records",
            Self::NotSent => "not_sent",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

/// Calls passed on, by outcome and duration. Clones share them.
#[derive(Clone, Debug)]
pub struct Forwards(Family<ByOutcome, Histogram, fn() -> Histogram>);

impl Default for Forwards {
    fn default() -> Self {
        // 1 ms to 131 s: a promotion may take its time.
        let buckets = || Histogram::new(exponential_buckets(0.001, 2.0, 18));
        let family = Family::new_with_constructor(buckets as fn() -> Histogram);
        for outcome in Forwarded::ALL {
            // A family shows what was asked for once: zero is a figure too.
            let outcome = outcome.name();
            drop(family.get_or_create(&ByOutcome { outcome }));
        }
        Self(family)
    }
}

impl Forwards {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Calls passed on to the leader, by what became of them";
        registry.register("forwarded_duration_seconds", help, self.0.clone());
    }

    /// Counts one.
    pub fn count(&self, outcome: Forwarded, took: Duration) {
        let outcome = outcome.name();
        let family = self.0.get_or_create(&ByOutcome { outcome });
        family.observe(took.as_secs_f64());
    }
}

/// Who stood against an order or a change of a dashboard that does not lead any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedBy {
    /// This process itself: its lease was over.
    Lease,
    /// The store: another dashboard has written that it leads.
    Store,
    /// A proxy that was told of a higher term.
    Proxy,
}

impl RefusedBy {
    const ALL: [Self; 3] = [Self::Lease, Self::Store, Self::Proxy];

    const fn name(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Store => "store",
            Self::Proxy => "proxy",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct By {
    by: &'static str,
}

/// Refusals to a leader that is none any more. Clones share them.
#[derive(Clone, Debug)]
pub struct Refusals(Family<By, Counter>);

impl Default for Refusals {
    fn default() -> Self {
        let family = Family::default();
        for by in RefusedBy::ALL {
            let by = by.name();
            drop(family.get_or_create(&By { by }));
        }
        Self(family)
    }
}

impl Refusals {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Orders and changes refused because this dashboard does not lead any more";
        registry.register("stale_leader_refusals", help, self.0.clone());
    }

    /// Counts one.
    pub fn count(&self, by: RefusedBy) {
        let by = by.name();
        self.0.get_or_create(&By { by }).inc();
    }

    /// How many were counted.
    pub fn get(&self, by: RefusedBy) -> u64 {
        let by = by.name();
        self.0.get_or_create(&By { by }).get()
    }
}
