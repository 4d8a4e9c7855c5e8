//! The command line of codis-dashboard.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use codis_runtime::config::Document;
use codis_runtime::pidfile::PidFile;
use codis_runtime::{build, host, telemetry};

use crate::config::Settings;
use crate::run;

/// The commented settings that `--default-config` prints.
const DEFAULT_CONFIG: &str = include_str!("../../conf/dashboard.toml");

/// Owns the slots, groups and proxies of one Codis cluster.
#[derive(Parser, Clone, Debug, Default)]
#[command(
    name = "codis-dashboard",
    infer_long_args = true,
    disable_version_flag = true
)]
pub struct Options {
    /// Worker threads; all CPUs when not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub ncpu: Option<u16>,
    /// Settings file
    #[arg(short, long, value_name = "CONF")]
    pub config: Option<PathBuf>,
    /// Log file, rolled daily; stderr when not given
    #[arg(short, long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// ERROR, WARN, INFO, DEBUG or NONE
    #[arg(long, value_name = "LEVEL", default_value = "INFO")]
    pub log_level: String,
    /// The address that other components dial, when it is not the one listened on
    #[arg(long, value_name = "ADDR")]
    pub host_admin: Option<String>,
    /// File for the process id
    #[arg(long, value_name = "FILE")]
    pub pidfile: Option<PathBuf>,
    /// Keep the records in ZooKeeper at these addresses
    #[arg(long, value_name = "ADDR", group = "coordinator")]
    pub zookeeper: Option<String>,
    /// Keep the records in etcd at these addresses
    #[arg(long, value_name = "ADDR", group = "coordinator")]
    pub etcd: Option<String>,
    /// Keep the records in this directory
    #[arg(long, value_name = "ROOT", group = "coordinator")]
    pub filesystem: Option<String>,
    /// The name of the cluster
    #[arg(long = "product_name", value_name = "NAME")]
    pub product_name: Option<String>,
    /// The password of the Redis servers
    #[arg(long = "product_auth", value_name = "AUTH")]
    pub product_auth: Option<String>,
    /// Delete the lock of a dashboard that crashed, then start
    #[arg(long)]
    pub remove_lock: bool,
    /// Print a commented settings file
    #[arg(long)]
    pub default_config: bool,
    /// Print version and build
    #[arg(long)]
    pub version: bool,
}

/// Runs the command line: 0 after an orderly stop, 1 on any error, as the original.
pub fn main() -> ExitCode {
    host::start_time_text();
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Help goes to stdout and is no error; anything else is.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    if options.version || options.default_config {
        let text = if options.version {
            format!("{}\n", build::text())
        } else {
            DEFAULT_CONFIG.to_owned()
        };
        let printed = std::io::stdout().write_all(text.as_bytes());
        return if printed.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    match start(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("codis-dashboard: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The settings: defaults, then the file, then the flags.
///
/// # Errors
/// Everything that is wrong with them.
pub fn settings(options: &Options) -> anyhow::Result<Settings> {
    let mut document = match &options.config {
        Some(path) => Document::load(path)?,
        None => Document::empty(),
    };
    let stores = [
        ("--zookeeper", "zookeeper", &options.zookeeper),
        ("--etcd", "etcd", &options.etcd),
        ("--filesystem", "filesystem", &options.filesystem),
    ];
    for (flag, name, addr) in stores {
        if let Some(addr) = addr {
            document.set(flag, "coordinator_name", name);
            document.set(flag, "coordinator_addr", addr);
        }
    }
    if let Some(name) = &options.product_name {
        document.set("--product_name", "product_name", name);
    }
    if let Some(auth) = &options.product_auth {
        document.set("--product_auth", "product_auth", auth);
    }
    Ok(Settings::read(document)?)
}

fn start(options: &Options) -> anyhow::Result<()> {
    let settings = settings(options)?;
    let level = options.log_level.parse().context("--log-level")?;
    let log = telemetry::init(telemetry::Options {
        level,
        file: options.log.clone(),
    })?;
    let pidfile = options.pidfile.as_ref().and_then(|path| {
        let written = PidFile::write(path);
        written
            .inspect_err(|error| tracing::warn!(%error, "pid file not written"))
            .ok()
    });
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(ncpu) = options.ncpu {
        builder.worker_threads(usize::from(ncpu));
    }
    let runtime = builder
        .enable_all()
        .build()
        .context("start the async runtime")?;
    let outcome = runtime.block_on(run::run(settings, options.clone(), log.clone()));
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
