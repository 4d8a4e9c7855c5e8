//! The frame of a daemon's `main`: the flags that all have, and what happens around the run.
//!
//! Exit codes are those of the original: 0 after an orderly stop, 1 on any error.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use crate::config::{Document, Problems};
use crate::pidfile::PidFile;
use crate::{build, host, telemetry};

/// The flags that every daemon has.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Base {
    /// Log file, rolled daily; stderr when not given
    #[arg(short, long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// ERROR, WARN, INFO, DEBUG or NONE
    #[arg(long, value_name = "LEVEL", default_value = "INFO")]
    pub log_level: String,
    /// File for the process id
    #[arg(long, value_name = "FILE")]
    pub pidfile: Option<PathBuf>,
    /// Print version and build
    #[arg(long)]
    pub version: bool,
}

/// The flags of a daemon with a settings file.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Common {
    /// Settings file
    #[arg(short, long, value_name = "CONF")]
    pub config: Option<PathBuf>,
    /// What every daemon has
    #[command(flatten)]
    pub base: Base,
    /// Print a commented settings file
    #[arg(long)]
    pub default_config: bool,
}

/// On how many threads a daemon works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// On that of `main`.
    One,
    /// On so many, or on one for each CPU.
    Many(Option<u16>),
}

/// The command line of a daemon with a settings file.
pub trait Flags: Parser {
    /// The flags of every such daemon.
    fn common(&self) -> &Common;
}

/// Reads the command line and runs `start`, or prints what was asked for.
pub fn main<F: Flags>(
    default_config: &str,
    start: impl FnOnce(&F) -> anyhow::Result<()>,
) -> ExitCode {
    main_of(
        |flags: &F| flags.common().base.version,
        |flags| {
            if flags.common().default_config {
                return Ok(write!(std::io::stdout(), "{default_config}")?);
            }
            start(flags)
        },
    )
}

/// The same for a daemon without a settings file, whose flags say whether the version is wanted.
pub fn main_of<F: Parser>(
    version: impl FnOnce(&F) -> bool,
    start: impl FnOnce(&F) -> anyhow::Result<()>,
) -> ExitCode {
    host::start_time_text();
    let flags = match F::try_parse() {
        Ok(flags) => flags,
        Err(error) => {
            // Help goes to stdout and is no error; anything else is. Nobody reads a failed print.
            let _ = error.print();
            return exit_code(!error.use_stderr());
        }
    };
    if version(&flags) {
        return exit_code(writeln!(std::io::stdout(), "{}", build::text()).is_ok());
    }
    match start(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", F::command().get_name());
            ExitCode::FAILURE
        }
    }
}

fn exit_code(fine: bool) -> ExitCode {
    if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Common {
    /// The settings file, or an empty one.
    ///
    /// # Errors
    /// It cannot be read, or is no TOML.
    pub fn document(&self) -> Result<Document, Problems> {
        self.config
            .as_ref()
            .map_or_else(|| Ok(Document::empty()), Document::load)
    }
}

impl Base {
    /// Starts the log.
    ///
    /// # Errors
    /// The level is none, or the file cannot be written.
    pub fn start_log(&self) -> anyhow::Result<telemetry::Handle> {
        let level = self.log_level.parse().context("--log-level")?;
        let file = self.log.clone();
        Ok(telemetry::init(telemetry::Options { level, file })?)
    }

    /// Runs a daemon to its end, with its pid file and its last words.
    ///
    /// # Errors
    /// Those of `run`, and of the system that gives no threads.
    pub fn run(
        &self,
        threads: Threads,
        log: &telemetry::Handle,
        run: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let runtime = threads.runtime().context("start the async runtime")?;
        let pidfile = self.pidfile.as_ref().and_then(|path| {
            let written = PidFile::write(path);
            written
                .inspect_err(|error| tracing::warn!(%error, "pid file not written"))
                .ok()
        });
        let outcome = runtime.block_on(run);
        // A task that waits in the system (a name lookup) is not waited for.
        runtime.shutdown_background();
        match &outcome {
            Ok(()) => {
                tracing::info!("stopped");
                drop(pidfile);
            }
            // The original leaves the pid file behind after a fatal exit; scripts rely on it.
            Err(error) => {
                tracing::error!("{error:#}");
                std::mem::forget(pidfile);
            }
        }
        log.flush();
        outcome
    }
}

impl Threads {
    fn runtime(self) -> io::Result<Runtime> {
        let mut builder = match self {
            Self::One => Builder::new_current_thread(),
            Self::Many(_) => Builder::new_multi_thread(),
        };
        if let Self::Many(Some(count)) = self {
            builder.worker_threads(usize::from(count));
        }
        builder.enable_all().build()
    }
}
