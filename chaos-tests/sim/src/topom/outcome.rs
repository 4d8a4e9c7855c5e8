//! What came out of a run, and of many.

use std::time::Duration;

use crate::family::Figures;

/// What one run did.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Faults that struck.
    pub faults: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Times that a board went online.
    pub terms: u64,
    /// Calls of boards.
    pub calls: u64,
    /// Commits and terms that the store took.
    pub commits: u64,
    /// Keys that moved.
    pub moved: u64,
    /// Requests of clients.
    pub requests: u64,
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Requests that did not happen.
    pub failed: u64,
    /// Writes that nobody knows the outcome of.
    pub unknown: u64,
    /// Keys that show nothing, because a proxy lied or was not heard for longer than its fence.
    pub tainted: u64,
    /// Actions that said that they wait for a proxy that never goes on.
    pub blocked: u64,
    /// Servers that became masters.
    pub promoted: u64,
    /// Orders that reached a server when another board led.
    pub late: u64,
    /// How long a promotion that was undone held its slots at most, for the sake of the proxies.
    pub undo_max: Duration,
    /// Lines of the trace.
    pub lines: u64,
    /// From the end of the faults to rest, at most.
    pub settle_max: Duration,
    /// How long the run took on its own clock.
    pub virtual_time: Duration,
}

impl Figures for Stats {
    fn add(&mut self, other: &Self) {
        self.faults += other.faults;
        self.crashes += other.crashes;
        self.terms += other.terms;
        self.calls += other.calls;
        self.commits += other.commits;
        self.moved += other.moved;
        self.requests += other.requests;
        self.writes += other.writes;
        self.failed += other.failed;
        self.unknown += other.unknown;
        self.tainted += other.tainted;
        self.blocked += other.blocked;
        self.promoted += other.promoted;
        self.late += other.late;
        self.undo_max = self.undo_max.max(other.undo_max);
        self.lines += other.lines;
        self.settle_max = self.settle_max.max(other.settle_max);
        self.virtual_time += other.virtual_time;
    }

    fn tables(&self) -> Vec<Vec<(&'static str, String)>> {
        vec![vec![
            ("faults", self.faults.to_string()),
            ("crashes", self.crashes.to_string()),
            ("terms", self.terms.to_string()),
            ("commits", self.commits.to_string()),
            ("keys moved", self.moved.to_string()),
            ("promoted", self.promoted.to_string()),
            ("late", self.late.to_string()),
            ("writes", self.writes.to_string()),
            ("refused", self.failed.to_string()),
            ("unknown", self.unknown.to_string()),
            ("tainted", self.tainted.to_string()),
            ("settle max", self.settle_max.as_millis().to_string()),
        ]]
    }
}
