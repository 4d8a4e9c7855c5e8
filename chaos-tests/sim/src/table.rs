//! What `sim run` prints: one line for each profile, two tables.

use std::time::Duration;

use codis_sim::outcome::{Failover, Stats, permille};
use codis_sim::profile::Profile;
use comfy_table::Table;

/// The sums of one profile.
pub struct Sum {
    /// Which.
    pub profile: Profile,
    /// How many seeds.
    pub runs: u64,
    /// How many of them broke a rule.
    pub failed: u64,
    /// All together.
    pub stats: Stats,
}

/// What happened.
pub fn happenings(sums: &[Sum]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        "profile",
        "seeds",
        "failed",
        "faults",
        "crashes",
        "elections",
        "failovers",
        "messages",
        "demoted",
        "forked",
        "unresolved",
        "settle max",
    ]);
    for sum in sums {
        let stats = &sum.stats;
        table.add_row([
            sum.profile.to_string(),
            sum.runs.to_string(),
            sum.failed.to_string(),
            stats.faults.to_string(),
            stats.crashes.to_string(),
            stats.elections.to_string(),
            stats.failovers.to_string(),
            stats.messages.to_string(),
            stats.demoted.to_string(),
            stats.forked.to_string(),
            stats.unresolved.to_string(),
            millis(stats.settle_max),
        ]);
    }
    table
}

/// How the failovers went that nothing else disturbed: how many needed more than one round, and in
/// milliseconds the time to promotion beyond down-after, and from O_DOWN to a leader.
pub fn failovers(sums: &[Sum]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        "profile",
        "undisturbed",
        "rounds > 1",
        "rounds max",
        "promoted p50",
        "p99",
        "max",
        "elected p50",
        "p99",
        "max",
    ]);
    for sum in sums {
        let last = &sum.stats.last;
        let again = last.iter().filter(|failover| failover.rounds > 1).count();
        let share = again as f64 * 100.0 / (last.len().max(1)) as f64;
        let rounds = last.iter().map(|failover| failover.rounds).max();
        let over = |it: &Failover| it.took.saturating_sub(it.down_after);
        let mut promoted: Vec<Duration> = last.iter().map(over).collect();
        let mut elected: Vec<Duration> = last.iter().map(|it| it.decided).collect();
        table.add_row([
            sum.profile.to_string(),
            last.len().to_string(),
            format!("{share:.1} %"),
            rounds.unwrap_or(0).to_string(),
            millis(permille(&mut promoted, 500)),
            millis(permille(&mut promoted, 990)),
            millis(permille(&mut promoted, 1000)),
            millis(permille(&mut elected, 500)),
            millis(permille(&mut elected, 990)),
            millis(permille(&mut elected, 1000)),
        ]);
    }
    table
}

fn millis(span: Duration) -> String {
    format!("{}", span.as_millis())
}
