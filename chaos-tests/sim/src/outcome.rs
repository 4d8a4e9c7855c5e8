//! What came out of a run, and of many.

use std::time::Duration;

use crate::check::Violation;
use crate::profile::Profile;

/// What one run did.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Servers ordered to become master.
    pub failovers: u64,
    /// Failovers tried.
    pub elections: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Orders that made a sentinel forget servers and peers.
    pub forgotten: u64,
    /// Packets sent.
    pub messages: u64,
    /// Messages lost, doubled or reordered.
    pub mangled: u64,
    /// Lines of the trace.
    pub lines: u64,
    /// Orders that made the present master a replica.
    pub demoted: u64,
    /// Epochs that a stock sentinel took without the votes, or gave to a second address.
    pub forked: u64,
    /// Runs that ended with two addresses at one epoch because of stock.
    pub unresolved: u64,
    /// The failovers after the last blow, with nothing else wrong.
    pub last: Vec<Failover>,
    /// From the end of the faults to agreement, at most.
    pub settle_max: Duration,
    /// How long the run took on its own clock.
    pub virtual_time: Duration,
}

/// One failover with nothing else wrong.
#[derive(Clone, Copy, Debug)]
pub struct Failover {
    /// From the loss of the master to the word of the new one.
    pub took: Duration,
    /// The down-after that is part of it.
    pub down_after: Duration,
    /// From the first O_DOWN to the first leader.
    pub decided: Duration,
    /// Elections that it took, of all candidates together.
    pub rounds: u64,
}

/// A span at a permille of many: 500 is the median, 1000 the longest.
pub fn permille(spans: &mut [Duration], permille: usize) -> Duration {
    spans.sort_unstable();
    let index = (spans.len() * permille).div_ceil(1000).max(1) - 1;
    spans.get(index).copied().unwrap_or_default()
}

/// One run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The family.
    pub profile: Profile,
    /// Equal digests, equal runs.
    pub digest: u64,
    /// What it did.
    pub stats: Stats,
    /// The first rule that was broken.
    pub violation: Option<Violation>,
}

impl Stats {
    /// Adds another run.
    pub fn add(&mut self, other: &Self) {
        self.failovers += other.failovers;
        self.elections += other.elections;
        self.crashes += other.crashes;
        self.faults += other.faults;
        self.forgotten += other.forgotten;
        self.messages += other.messages;
        self.mangled += other.mangled;
        self.lines += other.lines;
        self.demoted += other.demoted;
        self.forked += other.forked;
        self.unresolved += other.unresolved;
        self.last.extend_from_slice(&other.last);
        self.settle_max = self.settle_max.max(other.settle_max);
        self.virtual_time += other.virtual_time;
    }
}
