//! `codis-drill sentinels`: quorums without a cluster around them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use codis_chaos::preflight::Programs;
use codis_chaos::quorum::mixed::{self, Mix};
use codis_chaos::quorum::times::{self, Fault};
use codis_chaos::quorum::{Breed, Breeds};
use codis_chaos::quorum::{rolling, scale, storm};
use codis_chaos::talk::Talk;

use super::{EXIT_FAIL, Output, show};

/// What to do with a quorum.
#[derive(Subcommand)]
pub enum Sentinels {
    /// How long ours and a stock quorum take to replace a killed and a stopped master.
    Times {
        /// Trials of each combination.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
        trials: u16,
        /// The down-afters, in milliseconds.
        #[arg(long, value_delimiter = ',', default_value = "500,1000,5000")]
        down_after: Vec<u64>,
        #[command(flatten)]
        place: Place,
    },
    /// Quorums of ours with sentinels of other versions, with either side as leader.
    Mixed {
        /// Failovers of each mix.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
        times: u16,
        #[command(flatten)]
        place: Place,
    },
    /// Replace the sentinels of other versions one by one by ours, and go back, with a failover
    /// after each step.
    Rolling {
        #[command(flatten)]
        place: Place,
    },
    /// What three sentinels cost that watch many (simulated) masters, and how long it takes to
    /// replace many that die at once.
    Scale {
        /// Masters, each with one replica.
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..))]
        masters: u16,
        /// Masters that die at once.
        #[arg(long, default_value_t = 150)]
        die: u16,
        /// The down-after, in milliseconds.
        #[arg(long, default_value_t = 5000)]
        down_after: u64,
        /// Seconds for which the idle cost is measured.
        #[arg(long, default_value_t = 20)]
        idle: u64,
        #[command(flatten)]
        place: Place,
    },
    /// A failover while thousands of connections, noise and deaf subscribers load the ports.
    Storm {
        /// Connections to the first sentinel that are held open.
        #[arg(long, default_value_t = 10_000)]
        connections: u16,
        #[command(flatten)]
        place: Place,
    },
}

/// Where the labs run.
#[derive(Args)]
pub struct Place {
    /// Labs at the same time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=32))]
    parallel: u16,
    /// The first two bytes of all addresses.
    #[arg(long, default_value = "127.77")]
    net: String,
    /// Where data, config and logs are kept while a lab runs, and after a failure.
    #[arg(long, default_value = "run/sentinels")]
    state: PathBuf,
    /// The directory of our programs [default: that of this one].
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl Place {
    fn breeds(&self) -> anyhow::Result<Breeds> {
        let programs = match &self.bin_dir {
            Some(dir) => Programs::in_dir(std::path::absolute(dir)?),
            None => Programs::beside_this()?,
        };
        Ok(Breeds::beside(programs))
    }

    fn two_bytes(&self) -> anyhow::Result<(u8, u8)> {
        let bytes = self
            .net
            .split_once('.')
            .and_then(|(first, second)| Some((first.parse().ok()?, second.parse().ok()?)));
        bytes.with_context(|| format!("--net {}: expected two bytes, such as 127.77", self.net))
    }
}

/// Carries out a command.
pub async fn run(command: Sentinels, talk: &Talk) -> anyhow::Result<ExitCode> {
    match command {
        Sentinels::Times {
            trials,
            down_after,
            place,
        } => {
            let plan = times::Plan {
                breeds: vec![Breed::Ours, Breed::Redis70],
                faults: vec![Fault::Kill, Fault::Stop],
                down_afters: down_after.into_iter().map(Duration::from_millis).collect(),
                trials: usize::from(trials),
                parallel: usize::from(place.parallel),
                net: place.net.clone(),
            };
            let results = times::run(&place.breeds()?, &plan, &place.state, talk).await?;
            show(&results, place.output)?;
            Ok(code(results.failures.is_empty()))
        }
        Sentinels::Mixed { times, place } => {
            let mixes = Mix::all(&Breed::OTHERS);
            let results = mixed::run(
                &place.breeds()?,
                &mixes,
                usize::from(times),
                usize::from(place.parallel),
                &place.net,
                &place.state,
                talk,
            )
            .await?;
            show(&results, place.output)?;
            Ok(code(results.failures.is_empty()))
        }
        Sentinels::Rolling { place } => roll(&place, talk).await,
        Sentinels::Scale {
            masters,
            die,
            down_after,
            idle,
            place,
        } => {
            let plan = scale::Plan {
                masters: usize::from(masters),
                die: usize::from(die),
                down_after: Duration::from_millis(down_after),
                idle: Duration::from_secs(idle),
                net: place.two_bytes()?,
            };
            let (breeds, mut results) = (place.breeds()?, Vec::new());
            for breed in [Breed::Ours, Breed::Redis70] {
                results.push(scale::run(&breeds, breed, &plan, &place.state, talk).await?);
            }
            show(&scale::Comparison(results), place.output)?;
            Ok(code(true))
        }
        Sentinels::Storm { connections, place } => {
            let plan = storm::Plan {
                connections: usize::from(connections),
                noisy: 4,
                deaf: 8,
                net: format!("{}.1", place.net),
            };
            let results = storm::run(&place.breeds()?, &plan, &place.state, talk).await?;
            show(&results, place.output)?;
            Ok(code(true))
        }
    }
}

async fn roll(place: &Place, talk: &Talk) -> anyhow::Result<ExitCode> {
    let breeds = place.breeds()?;
    for (number, other) in Breed::OTHERS.into_iter().enumerate() {
        let net = format!("{}.{number}", place.net);
        let results = rolling::run(&breeds, other, &net, &place.state, talk).await?;
        show(&results, place.output)?;
    }
    Ok(code(true))
}

fn code(passed: bool) -> ExitCode {
    ExitCode::from(if passed { 0 } else { EXIT_FAIL })
}
