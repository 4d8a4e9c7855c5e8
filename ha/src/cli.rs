//! The command line of codis-ha.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use codis_runtime::daemon::{self, Base, Threads};

use crate::watch;

/// Promotes a replica in place of a dead master, for a product without sentinels.
#[derive(Parser, Clone, Debug, Default)]
#[command(name = "codis-ha", infer_long_args = true, disable_version_flag = true)]
pub struct Options {
    /// Admin address of the dashboard; several with commas, tried in turn
    #[arg(
        long,
        value_name = "ADDR",
        value_delimiter = ',',
        required_unless_present = "version"
    )]
    pub dashboard: Vec<String>,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub interval: u32,
    /// Log what is seen, and do nothing
    #[arg(long)]
    pub no_maintains: bool,
    /// Where to serve /live, /ready and /metrics; nowhere when not given
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// What every daemon has
    #[command(flatten)]
    pub base: Base,
}

impl Options {
    /// The time between two looks.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(u64::from(self.interval))
    }
}

/// Runs the command line: 0 after an orderly stop, 1 on any error, as the original.
pub fn main() -> ExitCode {
    daemon::main_of(|options: &Options| options.base.version, start)
}

fn start(options: &Options) -> anyhow::Result<()> {
    let log = options.base.start_log()?;
    let run = watch::run(options.clone(), log.clone());
    options.base.run(Threads::One, &log, run)
}
