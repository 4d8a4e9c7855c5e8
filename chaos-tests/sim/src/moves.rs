//! `sim run --world topom` and `sim replay --world topom`.

use std::io::{self, Write};
use std::process::ExitCode;

use codis_sim::topom::outcome::{Outcome, Stats};
use codis_sim::topom::profile::Profile;
use codis_sim::topom::runner;
use codis_sim::topom::sabotage::Sabotage;
use comfy_table::Table;

use crate::{LISTED_MAX, progress};

/// The sums of one profile.
struct Sum {
    profile: Profile,
    runs: u64,
    failed: u64,
    stats: Stats,
}

/// Runs one seed and prints all that happens.
pub fn replay(seed: u64, profile: Option<Profile>) -> ExitCode {
    let profile = profile.unwrap_or_else(|| Profile::of_seed(seed));
    let sink = io::BufWriter::new(io::stdout());
    let outcome = runner::run_with(seed, profile, Sabotage::None, Some(Box::new(sink)));
    eprintln!(
        "seed {seed} profile {profile} digest {:016x}",
        outcome.digest
    );
    eprintln!("{:?}", outcome.stats);
    match outcome.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            eprintln!("{violation}");
            ExitCode::FAILURE
        }
    }
}

/// Runs many seeds.
pub fn run(start: u64, seeds: u64, profile: Option<Profile>, jobs: usize) -> ExitCode {
    let bar = progress(seeds);
    let mut sums: Vec<Sum> = Vec::new();
    let mut failed: Vec<Outcome> = Vec::new();
    runner::run_many(start, seeds, profile, jobs, |outcome| {
        bar.inc(1);
        let at = sums.iter().position(|sum| sum.profile == outcome.profile);
        let at = at.unwrap_or_else(|| {
            sums.push(Sum {
                profile: outcome.profile,
                runs: 0,
                failed: 0,
                stats: Stats::default(),
            });
            sums.len() - 1
        });
        sums[at].runs += 1;
        sums[at].failed += u64::from(outcome.violation.is_some());
        sums[at].stats.add(&outcome.stats);
        if outcome.violation.is_some() {
            bar.set_message(format!("{} failed", failed.len() + 1));
            failed.push(outcome);
        }
    });
    bar.finish_and_clear();
    sums.sort_by_key(|sum| sum.profile);
    failed.sort_by_key(|outcome| outcome.seed);
    let told = tell(&sums, &failed);
    if told.is_ok() && failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn tell(sums: &[Sum], failed: &[Outcome]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", happenings(sums))?;
    for outcome in failed.iter().take(LISTED_MAX) {
        let Some(violation) = &outcome.violation else {
            continue;
        };
        let (seed, profile) = (outcome.seed, outcome.profile);
        writeln!(out, "FAILED seed {seed} profile {profile}: {violation}")?;
        writeln!(
            out,
            "  cargo run -p codis-sim --bin sim -- replay {seed} --world topom --profile {profile}",
        )?;
    }
    if failed.len() > LISTED_MAX {
        writeln!(out, "... and {} more", failed.len() - LISTED_MAX)?;
    }
    Ok(())
}

fn happenings(sums: &[Sum]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        "profile",
        "seeds",
        "failed",
        "faults",
        "crashes",
        "terms",
        "commits",
        "keys moved",
        "writes",
        "refused",
        "unknown",
        "tainted",
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
            stats.terms.to_string(),
            stats.commits.to_string(),
            stats.moved.to_string(),
            stats.writes.to_string(),
            stats.failed.to_string(),
            stats.unknown.to_string(),
            stats.tainted.to_string(),
            stats.settle_max.as_millis().to_string(),
        ]);
    }
    table
}
