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
    /// Last blows after which the first election was lost.
    pub split: u64,
    /// From the loss of a master with nothing else wrong to the new one, at most.
    pub failover_max: Duration,
    /// From the end of the faults to agreement, at most.
    pub settle_max: Duration,
    /// How long the run took on its own clock.
    pub virtual_time: Duration,
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
        self.split += other.split;
        self.failover_max = self.failover_max.max(other.failover_max);
        self.settle_max = self.settle_max.max(other.settle_max);
        self.virtual_time += other.virtual_time;
    }
}
