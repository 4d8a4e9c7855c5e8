//! The command line.

mod bench;
mod sentinels;
mod status;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use codis_chaos::cluster::Options;
use codis_chaos::layout::Net;
use codis_chaos::plans::Settings;
use codis_chaos::preflight::Programs;
use codis_chaos::scenario::{self, Scenario, table};
use codis_chaos::talk::Talk;
use codis_core::units::TimeSpan;

/// A drill ended and a promise was broken.
const EXIT_FAIL: u8 = 1;
/// Something kept the command from being carried out.
pub const EXIT_ERROR: u8 = 2;
/// Stopped by a signal: 128 + SIGINT.
const EXIT_INTERRUPTED: u8 = 130;

/// Brings up the six-host layout on loopback, breaks it, and judges what it sees.
///
/// Results go to standard output, everything else to standard error. Exit codes: 0 done (for `run`:
/// PASS; for `up`: stopped by Ctrl-C), 1 FAIL (for `status`: one does not answer), 2 could not be
/// carried out, 130 interrupted.
#[derive(Parser)]
#[command(name = "codis-drill", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the cluster and stay in the foreground until Ctrl-C; a later start goes on from there.
    Up {
        /// Where data, config and logs are kept.
        #[arg(long, default_value = "run/up")]
        state: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Ask every process of a cluster that is up who it is, and which dashboard leads.
    ///
    /// Ends with 1 when one does not answer.
    Status {
        /// The first three bytes of all addresses.
        #[arg(long, default_value_t)]
        net: Net,
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Start a fresh cluster, break it, print what happened, and stop it.
    Run {
        /// One of those that `list` shows.
        #[arg(value_parser = Scenario::named)]
        scenario: Scenario,
        /// Where data, config and logs are kept; emptied at the start.
        #[arg(long, default_value = "run/drill")]
        state: PathBuf,
        /// How often the cluster is broken, one time after the other.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
        times: u16,
        /// Keep the state directory also after PASS.
        #[arg(long)]
        keep: bool,
        #[arg(long, value_enum, default_value_t)]
        output: Output,
        #[command(flatten)]
        place: Place,
    },
    /// Show what can be broken.
    List {
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Measure the proxy beside twemproxy, haproxy and a direct server.
    Bench(bench::Bench),
    /// Quorums of sentinels without a cluster around them: how fast, and with whom.
    #[command(subcommand)]
    Sentinels(sentinels::Sentinels),
}

/// Where the cluster runs, and its times.
#[derive(Args)]
struct Place {
    /// The first three bytes of all addresses; another net than that of a running cluster.
    #[arg(long, default_value_t)]
    net: Net,
    /// How long a server stays silent until it counts as down.
    #[arg(long, default_value = "1s")]
    down_after: TimeSpan,
    /// How long a dashboard leads without a word from the coordinator.
    #[arg(long, default_value = "10s")]
    leader_lease: TimeSpan,
    /// The directory of our programs [default: that of this one].
    #[arg(long)]
    bin_dir: Option<PathBuf>,
}

/// The form of results.
#[derive(Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

impl Place {
    fn options(self, state: PathBuf) -> anyhow::Result<Options> {
        let programs = match self.bin_dir {
            Some(dir) => Programs::in_dir(std::path::absolute(dir)?),
            None => Programs::beside_this()?,
        };
        let settings = Settings {
            down_after: self.down_after.duration(),
            leader_lease: self.leader_lease.duration(),
            ..Settings::default()
        };
        Ok(Options {
            net: self.net,
            state,
            programs,
            settings,
        })
    }
}

/// Carries out a command.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let talk = Talk::to_stderr();
    let is_up = matches!(cli.command, Command::Up { .. });
    let work = async {
        match cli.command {
            Command::Up { state, place } => up::run(&place.options(state)?, &talk).await,
            Command::Run {
                scenario,
                state,
                times,
                keep,
                output,
                place,
            } => drill(scenario, place.options(state)?, times, keep, output, &talk).await,
            Command::Status { net, output } => status::run(net, output).await,
            Command::List { output } => list(output),
            Command::Bench(command) => bench::run(command, &talk).await,
            Command::Sentinels(command) => sentinels::run(command, &talk).await,
        }
    };
    tokio::select! {
        done = work => done,
        name = interrupted() => {
            talk.line(format!("{}: everything is stopped", name?));
            Ok(if is_up { ExitCode::SUCCESS } else { ExitCode::from(EXIT_INTERRUPTED) })
        }
    }
}

/// Waits for a request to stop. What was being done is dropped, which stops its processes.
async fn interrupted() -> anyhow::Result<&'static str> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "interrupted",
        _ = terminate.recv() => "terminated",
        _ = hangup.recv() => "terminal closed",
    })
}

async fn drill(
    scenario: Scenario,
    options: Options,
    times: u16,
    keep: bool,
    output: Output,
    talk: &Talk,
) -> anyhow::Result<ExitCode> {
    let summary = scenario::run(scenario, &options, usize::from(times), talk).await?;
    show(&summary, output)?;
    if summary.passed && !keep {
        std::fs::remove_dir_all(&options.state)?;
    } else {
        talk.line(format!("logs and data: {}", options.state.display()));
    }
    let code = if summary.passed { 0 } else { EXIT_FAIL };
    Ok(ExitCode::from(code))
}

fn list(output: Output) -> anyhow::Result<ExitCode> {
    #[derive(Serialize)]
    struct Entry {
        name: &'static str,
        about: &'static str,
    }
    let entries = Scenario::ALL.map(|scenario| Entry {
        name: scenario.name(),
        about: scenario.about(),
    });
    let mut table = table(&["scenario", "what it does"]);
    for entry in &entries {
        table.add_row([entry.name, entry.about]);
    }
    match output {
        Output::Table => println!("{table}"),
        Output::Json => println!("{}", serde_json::to_string_pretty(&entries)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn show<T: Serialize + std::fmt::Display>(result: &T, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Table => println!("{result}"),
        Output::Json => println!("{}", serde_json::to_string_pretty(result)?),
    }
    Ok(())
}
