//! What a run, and a series of runs, showed: as tables for people and as JSON.

use std::fmt::{self, Write as _};

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::checker::Findings;

use super::judge::{ErrorLine, Limit, zero_loss_runs_min};
use super::{Moment, Scenario};

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was done.
    pub scenario: Scenario,
    /// The master that was lost.
    pub old_master: String,
    /// The one that took over.
    pub new_master: String,
    /// The epoch before and after.
    pub epochs: (u64, u64),
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
        let after = self
            .timeline
            .iter()
            .filter(|m| m.what == "first write after");
        let resumed = after.map(|moment| moment.ms).fold(f64::NAN, f64::max);
        format!(
            "{}, writes again after {resumed:.0} ms, {} lost of {} acknowledged",
            verdict(self.passed()),
            self.findings.lost,
            self.findings.acknowledged
        )
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
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (old, new) = (&self.old_master, &self.new_master);
        let (before, after) = self.epochs;
        let name = self.scenario.name();
        writeln!(
            f,
            "{name}: group 1 from {old} (epoch {before}) to {new} (epoch {after})"
        )?;
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
            old_master: "a".to_owned(),
            new_master: "b".to_owned(),
            epochs: (0, 1),
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
