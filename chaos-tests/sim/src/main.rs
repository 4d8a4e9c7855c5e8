//! `sim`: runs seeds of the simulator and replays one.

mod moves;
mod table;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::str::FromStr;
use std::thread;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use codis_sim::outcome::Outcome;
use codis_sim::profile::Profile;
use codis_sim::runner;
use codis_sim::world::Sabotage;
use indicatif::{ProgressBar, ProgressStyle};

use table::Sum;

/// Failing seeds that are listed one by one.
const LISTED_MAX: usize = 20;

/// Simulates sentinels, or dashboards and proxies, and the network between them in virtual time.
#[derive(Parser)]
#[command(name = "sim", version)]
struct Cli {
    #[command(subcommand)]
    command: Verb,
}

/// What is simulated.
#[derive(Clone, Copy, ValueEnum)]
enum World {
    /// Quorums of sentinels that fail masters over.
    Sentinels,
    /// Dashboards that lead and move slots, with their store, proxies and servers.
    Topom,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs many seeds; exit code 1 when one of them breaks a rule.
    Run {
        /// What is simulated.
        #[arg(long, value_enum, default_value_t = World::Sentinels)]
        world: World,
        /// How many.
        #[arg(long, default_value_t = 1_000)]
        seeds: u64,
        /// The first one.
        #[arg(long, default_value_t = 0)]
        start: u64,
        /// Of sentinels one of calm, crash, partition, disk, freeze, lossy, operator, everything,
        /// mixed, votes, stall, restart, sick, forget, amnesia; of topom one of calm, crash, pause,
        /// store, hang, restart, cut, lie, servers, original, stuck, everything. Without it the
        /// seed decides.
        #[arg(long)]
        profile: Option<String>,
        /// Threads; all cores when absent.
        #[arg(long)]
        jobs: Option<usize>,
    },
    /// Runs one seed and prints all that happens.
    Replay {
        /// The seed.
        seed: u64,
        /// What is simulated.
        #[arg(long, value_enum, default_value_t = World::Sentinels)]
        world: World,
        /// The profile; without it the seed decides.
        #[arg(long)]
        profile: Option<String>,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Verb::Run {
            world,
            seeds,
            start,
            profile,
            jobs,
        } => {
            let cores = || thread::available_parallelism().map_or(1, usize::from);
            let jobs = jobs.unwrap_or_else(cores);
            // A panic of a machine is a result; its text is in the outcome.
            std::panic::set_hook(Box::new(|_| {}));
            match world {
                World::Sentinels => run(start, seeds, named(profile), jobs),
                World::Topom => moves::run(start, seeds, named(profile), jobs),
            }
        }
        Verb::Replay {
            seed,
            world,
            profile,
        } => match world {
            World::Sentinels => replay(seed, named(profile)),
            World::Topom => moves::replay(seed, named(profile)),
        },
    }
}

/// The profile of that name, if one was given. It depends on the world which there are.
fn named<P: FromStr<Err = String>>(name: Option<String>) -> Option<P> {
    let parsed = name.map(|name| name.parse::<P>()).transpose();
    parsed.unwrap_or_else(|error| {
        let error = Cli::command().error(ErrorKind::InvalidValue, error);
        error.exit()
    })
}

fn replay(seed: u64, profile: Option<Profile>) -> ExitCode {
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

fn run(start: u64, seeds: u64, profile: Option<Profile>, jobs: usize) -> ExitCode {
    let bar = progress(seeds);
    let mut sums: Vec<Sum> = Vec::new();
    let mut failed: Vec<Outcome> = Vec::new();
    runner::run_many(start, seeds, profile, jobs, |outcome| {
        bar.inc(1);
        let known = sums.iter_mut().find(|sum| sum.profile == outcome.profile);
        let is_failed = u64::from(outcome.violation.is_some());
        match known {
            Some(sum) => {
                sum.runs += 1;
                sum.failed += is_failed;
                sum.stats.add(&outcome.stats);
            }
            None => sums.push(Sum {
                profile: outcome.profile,
                runs: 1,
                failed: is_failed,
                stats: outcome.stats.clone(),
            }),
        }
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

fn progress(seeds: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {eta} left {msg}");
    ProgressBar::new(seeds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn tell(sums: &[Sum], failed: &[Outcome]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{}\n\n{}",
        table::happenings(sums),
        table::failovers(sums)
    )?;
    for outcome in failed.iter().take(LISTED_MAX) {
        let Some(violation) = &outcome.violation else {
            continue;
        };
        writeln!(
            out,
            "FAILED seed {} profile {}: {violation}",
            outcome.seed, outcome.profile
        )?;
        writeln!(
            out,
            "  cargo run -p codis-sim --bin sim -- replay {} --profile {}",
            outcome.seed, outcome.profile
        )?;
    }
    if failed.len() > LISTED_MAX {
        writeln!(out, "... and {} more", failed.len() - LISTED_MAX)?;
    }
    Ok(())
}
