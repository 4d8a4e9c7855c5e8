//! `sim`: runs seeds of the simulator and replays one.

mod seeds;

use std::process::ExitCode;
use std::thread;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use codis_sim::family::Family;
use codis_sim::{profile, topom};

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
    /// Dashboards that lead, move slots and promote, with their store, proxies and servers.
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
        /// One family of runs, such as calm or everything; a wrong name lists them. Without it the
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
    let Cli { command } = Cli::parse();
    let world = match &command {
        Verb::Run { world, .. } | Verb::Replay { world, .. } => *world,
    };
    match world {
        World::Sentinels => obey::<profile::Profile>(command),
        World::Topom => obey::<topom::profile::Profile>(command),
    }
}

fn obey<P: Family>(command: Verb) -> ExitCode {
    match command {
        Verb::Run {
            seeds,
            start,
            profile,
            jobs,
            world: _,
        } => {
            let cores = || thread::available_parallelism().map_or(1, usize::from);
            let profile = named::<P>(profile);
            seeds::run((start, seeds), profile, jobs.unwrap_or_else(cores))
        }
        Verb::Replay {
            seed,
            profile,
            world: _,
        } => seeds::replay(seed, named::<P>(profile)),
    }
}

/// The profile of that name, if one was given. It depends on the world which there are.
fn named<P: Family>(name: Option<String>) -> Option<P> {
    let found = name.map(|name| P::named(&name)).transpose();
    found.unwrap_or_else(|error| {
        let error = Cli::command().error(ErrorKind::InvalidValue, error);
        error.exit()
    })
}
