//! The command line of codis-fe.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgGroup, Parser};
use codis_runtime::daemon::{self, Common};

use crate::fe::run;

/// Shows all products on one web page, and passes calls on to their dashboards.
#[derive(Parser, Clone, Debug, Default)]
#[command(
    name = "codis-fe",
    infer_long_args = true,
    disable_version_flag = true,
    group(ArgGroup::new("products").required(true))
)]
pub struct Options {
    /// Where to listen, such as 0.0.0.0:18090
    #[arg(long, value_name = "ADDR", required_unless_present = "version")]
    pub listen: Option<String>,
    /// Products from a file: what `codis-admin --dashboard-list` prints
    #[arg(short, long, value_name = "FILE", group = "products")]
    pub dashboard_list: Option<PathBuf>,
    /// Products from ZooKeeper at these addresses
    #[arg(long, value_name = "ADDR", group = "products")]
    pub zookeeper: Option<String>,
    /// user:password for ZooKeeper
    #[arg(long, value_name = "AUTH")]
    pub zookeeper_auth: Option<String>,
    /// Products from etcd at these addresses
    #[arg(long, value_name = "ADDR", group = "products")]
    pub etcd: Option<String>,
    /// user:password for etcd
    #[arg(long, value_name = "AUTH")]
    pub etcd_auth: Option<String>,
    /// Products from this directory
    #[arg(long, value_name = "ROOT", group = "products")]
    pub filesystem: Option<String>,
    /// A directory with a page of its own (index.html); the embedded page when not given
    #[arg(long, value_name = "PATH")]
    pub assets_dir: Option<PathBuf>,
    /// Worker threads; all CPUs when not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub ncpu: Option<u16>,
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
    #[arg(long, group = "products")]
    pub version: bool,
}

/// Runs the command line: 0 after an orderly stop, 1 on any error, as the original.
pub fn main() -> ExitCode {
    daemon::main_of(|options: &Options| options.version, start)
}

fn start(options: &Options) -> anyhow::Result<()> {
    // The parser would not ask for an option that contradicts another one given.
    for (auth, store, name) in [
        (&options.zookeeper_auth, &options.zookeeper, "zookeeper"),
        (&options.etcd_auth, &options.etcd, "etcd"),
    ] {
        let alone = auth.is_some() && store.is_none();
        anyhow::ensure!(!alone, "--{name}-auth is for --{name}, which is not given");
    }
    let common = Common {
        log: options.log.clone(),
        log_level: options.log_level.clone(),
        pidfile: options.pidfile.clone(),
        ..Common::default()
    };
    let log = common.start_log()?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(ncpu) = options.ncpu {
        builder.worker_threads(usize::from(ncpu));
    }
    let runtime = builder
        .enable_all()
        .build()
        .context("start the async runtime")?;
    common.run(runtime, &log, run::run(options.clone(), log.clone()))
}
