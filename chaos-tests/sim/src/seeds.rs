//! Runs seeds of a world and prints what came of them.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use codis_sim::family::{Family, Figures, Outcome};
use codis_sim::runner;
use comfy_table::Table;
use indicatif::{ProgressBar, ProgressStyle};

/// Failing seeds that are listed one by one.
const LISTED_MAX: usize = 20;

/// The sums of one profile.
struct Sum<P: Family> {
    runs: u64,
    failed: u64,
    stats: P::Stats,
}

/// Runs one seed and prints all that happens.
pub fn replay<P: Family>(seed: u64, profile: Option<P>) -> ExitCode {
    let profile = profile.unwrap_or_else(|| P::of_seed(seed));
    let sink = io::BufWriter::new(io::stdout());
    let outcome = runner::run_with(seed, profile, Default::default(), Some(Box::new(sink)));
    let digest = outcome.digest;
    eprintln!("seed {seed} profile {profile} digest {digest:016x}");
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
pub fn run<P: Family>((start, seeds): (u64, u64), profile: Option<P>, jobs: usize) -> ExitCode {
    // A panic of a machine is a result; its text is in the outcome.
    std::panic::set_hook(Box::new(|_| {}));
    let bar = progress(seeds);
    let mut sums: BTreeMap<P, Sum<P>> = BTreeMap::new();
    let mut failed: Vec<Outcome<P>> = Vec::new();
    runner::run_many(start, seeds, profile, jobs, |outcome| {
        bar.inc(1);
        let sum = sums.entry(outcome.profile).or_insert_with(|| Sum {
            runs: 0,
            failed: 0,
            stats: P::Stats::default(),
        });
        sum.runs += 1;
        sum.stats.add(&outcome.stats);
        if outcome.violation.is_some() {
            sum.failed += 1;
            bar.set_message(format!("{} failed", failed.len() + 1));
            failed.push(outcome);
        }
    });
    bar.finish_and_clear();
    failed.sort_by_key(|outcome| outcome.seed);
    let told = tell(&sums, &failed);
    if told.is_ok() && failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn progress(seeds: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {eta} left {msg}");
    ProgressBar::new(seeds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn tell<P: Family>(sums: &BTreeMap<P, Sum<P>>, failed: &[Outcome<P>]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let tables: Vec<String> = tables(sums).iter().map(ToString::to_string).collect();
    writeln!(out, "{}", tables.join("\n\n"))?;
    for outcome in failed.iter().take(LISTED_MAX) {
        let Some(violation) = &outcome.violation else {
            continue;
        };
        let (seed, profile) = (outcome.seed, outcome.profile);
        writeln!(out, "FAILED seed {seed} profile {profile}: {violation}")?;
        writeln!(out, "  {}", outcome.replay())?;
    }
    if failed.len() > LISTED_MAX {
        writeln!(out, "... and {} more", failed.len() - LISTED_MAX)?;
    }
    Ok(())
}

/// One line for each profile, in as many tables as its figures want.
fn tables<P: Family>(sums: &BTreeMap<P, Sum<P>>) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for (profile, sum) in sums {
        for (at, figures) in sum.stats.tables().into_iter().enumerate() {
            let mut line = vec![("profile", profile.to_string())];
            if at == 0 {
                line.push(("seeds", sum.runs.to_string()));
                line.push(("failed", sum.failed.to_string()));
            }
            line.extend(figures);
            if tables.len() == at {
                let mut table = Table::new();
                table.load_style(comfy_table::presets::NOTHING);
                table.set_header(line.iter().map(|(head, _)| *head));
                tables.push(table);
            }
            tables[at].add_row(line.into_iter().map(|(_, cell)| cell));
        }
    }
    tables
}
