//! What came out of a run, and of many.

use std::time::Duration;

use crate::family::Figures;

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
fn permille(spans: &mut [Duration], permille: usize) -> Duration {
    spans.sort_unstable();
    let index = (spans.len() * permille).div_ceil(1000).max(1) - 1;
    spans.get(index).copied().unwrap_or_default()
}

impl Figures for Stats {
    fn add(&mut self, other: &Self) {
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

    fn tables(&self) -> Vec<Vec<(&'static str, String)>> {
        vec![
            vec![
                ("faults", self.faults.to_string()),
                ("crashes", self.crashes.to_string()),
                ("elections", self.elections.to_string()),
                ("failovers", self.failovers.to_string()),
                ("messages", self.messages.to_string()),
                ("demoted", self.demoted.to_string()),
                ("forked", self.forked.to_string()),
                ("unresolved", self.unresolved.to_string()),
                ("settle max", millis(self.settle_max)),
            ],
            self.undisturbed(),
        ]
    }
}

impl Stats {
    /// How the failovers went that nothing else disturbed: how many needed more than one round,
    /// and in milliseconds the time to promotion beyond down-after, and from O_DOWN to a leader.
    fn undisturbed(&self) -> Vec<(&'static str, String)> {
        let last = &self.last;
        let again = last.iter().filter(|failover| failover.rounds > 1).count();
        let share = again as f64 * 100.0 / (last.len().max(1)) as f64;
        let rounds = last.iter().map(|failover| failover.rounds).max();
        let over = |it: &Failover| it.took.saturating_sub(it.down_after);
        let mut promoted: Vec<Duration> = last.iter().map(over).collect();
        let mut elected: Vec<Duration> = last.iter().map(|it| it.decided).collect();
        vec![
            ("undisturbed", last.len().to_string()),
            ("rounds > 1", format!("{share:.1} %")),
            ("rounds max", rounds.unwrap_or(0).to_string()),
            ("promoted p50", millis(permille(&mut promoted, 500))),
            ("p99", millis(permille(&mut promoted, 990))),
            ("max", millis(permille(&mut promoted, 1000))),
            ("elected p50", millis(permille(&mut elected, 500))),
            ("p99", millis(permille(&mut elected, 990))),
            ("max", millis(permille(&mut elected, 1000))),
        ]
    }
}

fn millis(span: Duration) -> String {
    span.as_millis().to_string()
}
