//! What a run, and a series of runs, showed: as tables for people and as JSON.

use std::fmt::{self, Write as _};

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::checker::Findings;

use super::judge::{ErrorLine, Limit, zero_loss_runs_min};
use super::{Moment, Scenario};

/// A group that got another master.
#[derive(Clone, Debug, Serialize)]
pub struct Failover {
    /// Which.
    pub group: u32,
    /// The master that was lost.
    pub old_master: String,
    /// The one that took over.
    pub new_master: String,
    /// The epoch before and after.
    pub epochs: (u64, u64),
}

/// Another dashboard that leads.
#[derive(Clone, Debug, Serialize)]
pub struct Succession {
    /// The one that was lost.
    pub old_leader: String,
    /// The one that took over.
    pub new_leader: String,
    /// The term before and after.
    pub terms: (u64, u64),
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was done.
    pub scenario: Scenario,
    /// The master that was lost, in scenarios that lose one.
    #[serde(flatten)]
    pub failover: Option<Failover>,
    /// The dashboard that was lost, in scenarios that lose one.
    #[serde(flatten)]
    pub succession: Option<Succession>,
    /// The story in milliseconds.
    pub timeline: Vec<Moment>,
    /// Operations of all clients.
    pub operations: usize,
    /// What clients got instead of answers.
    pub errors: Vec<ErrorLine>,
    /// What became of the data.
    pub findings: Findings,
    /// Said of the old master, when there is something to say.
    pub remarks: Vec<String>,
    /// The promises.
    pub limits: Vec<Limit>,
}

impl Report {
    /// Whether every promise was kept.
    pub fn passed(&self) -> bool {
        self.limits.iter().all(|limit| limit.pass)
    }

    /// Whether what was missed may be missed once in ten runs.
    fn passed_in_series(&self) -> bool {
        self.limits
            .iter()
            .all(|limit| limit.pass || limit.once_in_ten)
    }

    /// The run in one line.
    pub fn headline(&self) -> String {
        let told = [
            ("a standby leads after", "standby leads"),
            ("writes again after", "first write after"),
        ];
        let mut line = verdict(self.passed()).to_owned();
        for (words, what) in told {
            let moments = self.timeline.iter().filter(|moment| moment.what == what);
            if let Some(ms) = moments.map(|moment| moment.ms).max_by(f64::total_cmp) {
                let _infallible = write!(line, ", {words} {ms:.0} ms");
            }
        }
        let (lost, all) = (self.findings.lost, self.findings.acknowledged);
        let _infallible = write!(line, ", {lost} lost of {all} acknowledged");
        line
    }
}

/// A series of runs.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// What was done in each.
    pub scenario: Scenario,
    /// Whether the series kept its promises.
    pub passed: bool,
    /// Runs that lost no acknowledged write.
    pub zero_loss_runs: usize,
    /// The runs.
    pub runs: Vec<Report>,
}

impl Summary {
    /// Judges a series: every run must keep every promise, but for one in ten that may lose
    /// acknowledged writes.
    pub fn new(scenario: Scenario, runs: Vec<Report>) -> Self {
        let lossless = |run: &&Report| run.findings.lost + run.findings.reads_stale == 0;
        let zero_loss_runs = runs.iter().filter(lossless).count();
        let enough = zero_loss_runs >= zero_loss_runs_min(runs.len());
        let passed = enough && !runs.is_empty() && runs.iter().all(Report::passed_in_series);
        Self {
            scenario,
            passed,
            zero_loss_runs,
            runs,
        }
    }

    /// The promises that were not kept, one line each.
    pub fn missed(&self) -> Vec<String> {
        let of = |(index, run): (usize, &Report)| {
            let number = index + 1;
            let missed = run.limits.iter().filter(|limit| !limit.pass);
            let told = missed.map(move |limit| format!("run {number} missed: {limit}"));
            told.collect::<Vec<_>>()
        };
        let name = self.scenario.name();
        let lines = self.runs.iter().enumerate().flat_map(of);
        lines.map(|line| format!("{name}, {line}")).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.scenario.name(), self.changes().join("; "))?;
        writeln!(f, "{}", self.timeline_table())?;
        if self.errors.is_empty() {
            writeln!(
                f,
                "No client saw an error in {} operations.",
                self.operations
            )?;
        } else {
            writeln!(f, "{}", self.errors_table())?;
        }
        let data = &self.findings;
        writeln!(
            f,
            "{} operations; {} writes acknowledged, {} lost; {} unknown, of which {} happened.",
            self.operations, data.acknowledged, data.lost, data.unknown, data.unknown_present
        )?;
        for line in data.examples.iter().chain(&self.remarks) {
            writeln!(f, "{line}")?;
        }
        write!(f, "{}", self.limits_table())
    }
}

impl Report {
    /// Who took over from whom.
    fn changes(&self) -> Vec<String> {
        let leader = self.succession.as_ref().map(|change| {
            let (before, after) = change.terms;
            let (old, new) = (&change.old_leader, &change.new_leader);
            format!("lead from {old} (term {before}) to {new} (term {after})")
        });
        let master = self.failover.as_ref().map(|change| {
            let (before, after) = change.epochs;
            let (old, new) = (&change.old_master, &change.new_master);
            let group = change.group;
            format!("group {group} from {old} (epoch {before}) to {new} (epoch {after})")
        });
        leader.into_iter().chain(master).collect()
    }

    fn timeline_table(&self) -> Table {
        let mut table = table(&["moment", "ms", "seen by"]);
        for moment in &self.timeline {
            let ms = format!("{:.1}", moment.ms);
            table.add_row([moment.what.as_str(), &ms, &moment.who]);
        }
        right(&mut table, 1);
        table
    }

    fn errors_table(&self) -> Table {
        let mut table = table(&["client error", "count", "in flight"]);
        for line in &self.errors {
            let (count, in_flight) = (line.count.to_string(), line.in_flight.to_string());
            table.add_row([line.text.as_str(), &count, &in_flight]);
        }
        table
    }

    fn limits_table(&self) -> Table {
        let mut table = table(&["promise", "limit", "measured", ""]);
        for limit in &self.limits {
            let verdict = verdict(limit.pass);
            table.add_row([limit.name.as_str(), &limit.limit, &limit.measured, verdict]);
        }
        table
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.runs.as_slice() {
            [only] => writeln!(f, "{only}")?,
            runs => {
                for (index, run) in runs.iter().enumerate() {
                    writeln!(f, "Run {}: {run}\n", index + 1)?;
                }
                let (count, lossless) = (runs.len(), self.zero_loss_runs);
                let wanted = zero_loss_runs_min(count);
                let mut line = format!("{count} runs, {lossless} without loss");
                let _infallible = write!(line, " (at least {wanted} wanted)");
                for (index, run) in runs.iter().enumerate() {
                    writeln!(f, "{:>3}  {}", index + 1, run.headline())?;
                }
                writeln!(f, "{line}")?;
            }
        }
        write!(f, "{}", verdict(self.passed))
    }
}

const fn verdict(pass: bool) -> &'static str {
    if pass { "PASS" } else { "FAIL" }
}

/// An empty table in the one style of this program.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_header(header.to_vec());
    table
}

fn right(table: &mut Table, column: usize) {
    if let Some(column) = table.column_mut(column) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::judge::data_limits;

    fn report(lost: u64, other: bool) -> Report {
        let findings = Findings {
            lost,
            ..Findings::default()
        };
        let mut limits = data_limits(&findings);
        limits.push(Limit::new("other", 1, 1, other));
        Report {
            scenario: Scenario::KillMaster,
            failover: None,
            succession: None,
            timeline: vec![],
            operations: 1,
            errors: vec![],
            findings,
            remarks: vec![],
            limits,
        }
    }

    fn passes(runs: Vec<Report>) -> bool {
        Summary::new(Scenario::KillMaster, runs).passed
    }

    #[test]
    fn what_was_missed_is_said_with_its_run() {
        let series = vec![report(0, true), report(2, true)];
        let missed = Summary::new(Scenario::KillMaster, series).missed();
        let wanted = "kill-master, run 2 missed: acknowledged writes lost: \
                      2 (and 0 reads too old), allowed 0";
        assert_eq!(missed, [wanted]);
    }

    #[test]
    fn a_single_run_must_lose_nothing() {
        assert!(passes(vec![report(0, true)]));
        assert!(!passes(vec![report(1, true)]));
        assert!(!passes(vec![]));
    }

    #[test]
    fn ten_runs_may_lose_in_one_but_break_nothing_else() {
        let series = |last| (0..9).map(|_| report(0, true)).chain([last]).collect();
        assert!(passes(series(report(3, true))));
        assert!(!passes(series(report(0, false))));
        let two_lossy = (0..8)
            .map(|_| report(0, true))
            .chain([report(1, true), report(1, true)]);
        assert!(!passes(two_lossy.collect()));
    }
}
