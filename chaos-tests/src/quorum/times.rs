//! How long a quorum takes to replace a master: ours and a stock one side by side, in the same run.
//!
//! Each trial is a lab of its own: a master, two replicas, three sentinels. The master is killed or
//! stopped, and three moments are taken: the first `+odown` and the first `+switch-master` at a
//! subscriber, and the first write that the new master acknowledged to a client which goes where
//! the first `+switch-master` points.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde::Serialize;

use super::breed::{Breed, Breeds};
use super::lab::{Lab, Spec};
use super::watch::Watch;
use crate::query;
use crate::scenario::table;
use crate::talk::Talk;

/// A trial that takes this much longer than down-after has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Waits between two tries to write.
const WRITE_PAUSE: Duration = Duration::from_millis(1);

/// What happens to the master.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL: connections are reset, new ones refused.
    Kill,
    /// SIGSTOP: it hangs with open connections.
    Stop,
}

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which quorums: all three sentinels of one breed.
    pub breeds: Vec<Breed>,
    /// Which faults.
    pub faults: Vec<Fault>,
    /// Which down-afters.
    pub down_afters: Vec<Duration>,
    /// Trials of each combination.
    pub trials: usize,
    /// Labs that run at the same time.
    pub parallel: usize,
    /// The first two bytes of addresses, such as `127.77`.
    pub net: String,
}

/// One combination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Case {
    breed: Breed,
    fault: Fault,
    down_after: Duration,
}

/// The moments of one trial, in milliseconds after the fault.
#[derive(Clone, Copy, Debug)]
struct Trial {
    odown: f64,
    switch: f64,
    write: f64,
}

/// Smallest, middle and greatest, in milliseconds after the fault.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The middle one.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// All three sentinels are of this breed.
    pub sentinels: Breed,
    /// What happened to the master.
    pub fault: Fault,
    /// `down-after-milliseconds`.
    pub down_after_ms: u64,
    /// Trials in which the quorum failed over.
    pub trials: usize,
    /// Trials in which it did not, or too late to be waited for.
    pub failed: usize,
    /// First `+odown`.
    pub odown: Option<Spread>,
    /// First `+switch-master` at a subscriber.
    pub switch_master: Option<Spread>,
    /// First write on the new master.
    pub first_write: Option<Spread>,
}

/// The table.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// The lines, ours and stock of one case beside each other.
    pub lines: Vec<Line>,
    /// Why trials failed.
    pub failures: Vec<String>,
}

/// Measures everything of the plan; trials of all cases are interleaved, so that a noisy minute
/// hits them alike.
///
/// # Errors
/// A program is missing.
pub async fn run(
    breeds: &Breeds,
    plan: &Plan,
    state: &Path,
    talk: &Talk,
) -> anyhow::Result<Results> {
    for breed in &plan.breeds {
        breeds.sentinel(*breed)?;
    }
    let cases = cases(plan);
    let jobs: Vec<(usize, Case)> = (0..plan.trials)
        .flat_map(|_| cases.iter().copied().enumerate())
        .collect();
    let total = jobs.len();
    let trials = jobs.into_iter().enumerate().map(|(number, (case, what))| {
        let net = format!("{}.{}", plan.net, number % 250);
        async move {
            // The pings of the sentinels must not be in step with the trials.
            let phase = Duration::from_millis(number as u64 * 379 % 1000);
            (case, trial(breeds, what, &net, phase, state).await)
        }
    });
    let mut running = futures_util::stream::iter(trials).buffer_unordered(plan.parallel.max(1));
    let mut done: Vec<Vec<Trial>> = vec![Vec::new(); cases.len()];
    let mut failed = vec![0; cases.len()];
    let mut failures = Vec::new();
    let mut count = 0;
    while let Some((case, result)) = running.next().await {
        count += 1;
        talk.step(format!("trial {count} of {total}"));
        match result {
            Ok(trial) => done[case].push(trial),
            Err(error) => {
                failed[case] += 1;
                failures.push(format!("{:?}: {error:#}", cases[case]));
            }
        }
    }
    talk.rest();
    let lines = cases.iter().zip(&done).zip(&failed);
    Ok(Results {
        lines: lines
            .map(|((case, trials), failed)| line(*case, trials, *failed))
            .collect(),
        failures,
    })
}

fn cases(plan: &Plan) -> Vec<Case> {
    let mut cases = Vec::new();
    for &fault in &plan.faults {
        for &down_after in &plan.down_afters {
            cases.extend(plan.breeds.iter().map(|&breed| Case {
                breed,
                fault,
                down_after,
            }));
        }
    }
    cases
}

async fn trial(
    breeds: &Breeds,
    case: Case,
    net: &str,
    phase: Duration,
    state: &Path,
) -> anyhow::Result<Trial> {
    let spec = Spec {
        net: net.to_owned(),
        sentinels: vec![case.breed; 3],
        replicas: 2,
        quorum: 2,
        down_after: case.down_after,
        lines: String::new(),
        env: Vec::new(),
    };
    let mut lab = Lab::start(breeds, &spec, state).await?;
    let mut watch = Watch::start(&lab.sentinels).await?;
    tokio::time::sleep(phase).await;
    watch.clear();
    let master = &mut lab.servers[0].process;
    let fault = Instant::now();
    match case.fault {
        Fault::Kill => drop(master.kill()),
        Fault::Stop => master.freeze(),
    }
    let since = |at: Instant| at.duration_since(fault).as_secs_f64() * 1000.0;
    let patience = case.down_after + PATIENCE;
    let mut odown = None;
    loop {
        let said = watch.next(patience).await?;
        if said.name == "+odown" {
            odown.get_or_insert(since(said.at));
        }
        let Some(new) = said.switched_to() else {
            continue;
        };
        while query::ask(&new, &["SET", "lab", "1"]).await.is_err() {
            anyhow::ensure!(fault.elapsed() < patience, "{new} takes no write");
            tokio::time::sleep(WRITE_PAUSE).await;
        }
        return Ok(Trial {
            odown: odown.unwrap_or(f64::NAN),
            switch: since(said.at),
            write: since(Instant::now()),
        });
    }
}

fn line(case: Case, trials: &[Trial], failed: usize) -> Line {
    let of = |read: fn(&Trial) -> f64| spread(trials.iter().map(read).collect());
    Line {
        sentinels: case.breed,
        fault: case.fault,
        down_after_ms: u64::try_from(case.down_after.as_millis()).unwrap_or(u64::MAX),
        trials: trials.len(),
        failed,
        odown: of(|it| it.odown),
        switch_master: of(|it| it.switch),
        first_write: of(|it| it.write),
    }
}

/// The middle of an even number of values is the mean of the two in the middle.
fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let (min, max) = (*values.first()?, *values.last()?);
    let half = values.len() / 2;
    let median = if values.len() % 2 == 1 {
        values[half]
    } else {
        f64::midpoint(values[half - 1], values[half])
    };
    Some(Spread { min, median, max })
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = [
            "fault",
            "down-after",
            "sentinels",
            "trials",
            "failed",
            "+odown",
            "+switch-master",
            "first write",
            "median over down-after",
        ];
        let mut table = table(&header);
        for line in &self.lines {
            let over = line
                .first_write
                .map(|it| format!("{:+.0}", it.median - line.down_after_ms as f64));
            table.add_row([
                format!("{:?}", line.fault).to_lowercase(),
                line.down_after_ms.to_string(),
                line.sentinels.to_string(),
                line.trials.to_string(),
                line.failed.to_string(),
                shown(line.odown),
                shown(line.switch_master),
                shown(line.first_write),
                over.unwrap_or_default(),
            ]);
        }
        writeln!(f, "{table}")?;
        write!(
            f,
            "milliseconds after the fault: minimum / median / maximum"
        )?;
        for failure in &self.failures {
            write!(f, "\nfailed: {failure}")?;
        }
        Ok(())
    }
}

fn shown(spread: Option<Spread>) -> String {
    spread.map_or_else(String::new, |Spread { min, median, max }| {
        format!("{min:.0} / {median:.0} / {max:.0}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_is_between_the_two() {
        let spread = spread(vec![4.0, 1.0, f64::NAN, 2.0, 9.0]).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 3.0, 9.0));
        assert!(super::spread(Vec::new()).is_none());
    }
}
