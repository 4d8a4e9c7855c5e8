//! The ways in which a cluster can be broken, and what each run of one shows.

mod failover;
mod judge;
mod leadership;
mod report;
mod scripts;
mod timeline;

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::cluster::{Cluster, Options};
use crate::events::Events;
use crate::talk::Talk;

pub use judge::{ERRORS, ErrorLine, Limit, UNDER_WAY, zero_loss_runs_min};
pub use report::{Failover, Report, Succession, Summary, table};
pub use timeline::Moment;

/// A way to break the cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// `kill -9` of a master, which is started again later.
    KillMaster,
    /// SIGSTOP of a master, which is thawed later.
    FreezeMaster,
    /// `kill -9` of the dashboard that leads, and then of a master.
    KillDashboard,
    /// SIGSTOP of the dashboard that leads, for longer than its lease.
    FreezeDashboard,
}

impl Scenario {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 4] = [
        Self::KillMaster,
        Self::FreezeMaster,
        Self::KillDashboard,
        Self::FreezeDashboard,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KillMaster => "kill-master",
            Self::FreezeMaster => "freeze-master",
            Self::KillDashboard => "kill-dashboard",
            Self::FreezeDashboard => "freeze-dashboard",
        }
    }

    /// What it does, in one line.
    pub const fn about(self) -> &'static str {
        match self {
            Self::KillMaster => {
                "kill -9 of the master of group 1 under a verified workload; it is started again \
                 and must become a replica"
            }
            Self::FreezeMaster => {
                "SIGSTOP of the master of group 1 under a verified workload: it hangs with open \
                 connections; it is thawed and must become a replica"
            }
            Self::KillDashboard => {
                "kill -9 of the dashboard that leads while slots move under a verified workload, \
                 then of the master that they leave: a standby leads, the slots arrive, the \
                 failover is adopted"
            }
            Self::FreezeDashboard => {
                "SIGSTOP of the dashboard that leads while slots move under a verified workload, \
                 until a standby leads and has finished; it is thawed, must change nothing and \
                 stand by"
            }
        }
    }

    /// Whether what is lost hangs, and is thawed later, and does not die.
    pub const fn is_freeze(self) -> bool {
        matches!(self, Self::FreezeMaster | Self::FreezeDashboard)
    }

    /// Whether a dashboard is lost while slots move.
    pub const fn is_about_dashboards(self) -> bool {
        matches!(self, Self::KillDashboard | Self::FreezeDashboard)
    }

    /// The scenario of that name.
    ///
    /// # Errors
    /// There is none; the error lists them.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        let found = Self::ALL
            .into_iter()
            .find(|scenario| scenario.name() == name);
        let names: Vec<_> = Self::ALL.iter().map(|scenario| scenario.name()).collect();
        found.with_context(|| format!("no scenario `{name}`; there are {}", names.join(", ")))
    }
}

/// Brings up a cluster with an empty state directory, breaks it `times` times in a row, and stops
/// it.
///
/// # Errors
/// The cluster does not come up, or a run cannot be carried to its end. A run that ends with bad
/// results is a report and no error.
pub async fn run(
    scenario: Scenario,
    options: &Options,
    times: usize,
    talk: &Talk,
) -> anyhow::Result<Summary> {
    clear(&options.state)?;
    let mut options = options.clone();
    options.settings.gives_slots |= scenario.is_about_dashboards();
    let mut cluster = Cluster::up(&options, talk).await?;
    let events = Events::subscribe(cluster.layout())?;
    let mut reports = Vec::new();
    for run in 1..=times {
        let label = format!("{} {run} of {times}", scenario.name());
        let report = if scenario.is_about_dashboards() {
            leadership::run(scenario, &mut cluster, &events, run, talk).await
        } else {
            failover::run(scenario, &mut cluster, &events, run, talk).await
        };
        let report = report.with_context(|| label.clone())?;
        talk.line(format!("{label}: {}", report.headline()));
        reports.push(report);
    }
    cluster.stop();
    Ok(Summary::new(scenario, reports))
}

/// Empties the state directory of earlier drills: each starts from nothing. A directory that does
/// not look like one of ours is left alone.
///
/// # Errors
/// It is in use, holds something else, or cannot be removed.
pub fn clear(state: &Path) -> anyhow::Result<()> {
    if !state.exists() {
        return Ok(());
    }
    let mut entries = std::fs::read_dir(state)?;
    let ours = state.join("lock").is_file();
    if !ours && entries.next().is_some() {
        anyhow::bail!(
            "{} holds something else than a cluster: not touched",
            state.display()
        );
    }
    if crate::preflight::is_in_use(state) {
        anyhow::bail!(
            "state directory {} is used by a running cluster",
            state.display()
        );
    }
    std::fs::remove_dir_all(state).with_context(|| format!("empty {}", state.display()))
}
