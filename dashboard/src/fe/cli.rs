//! The command line of codis-fe.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Parser};
use codis_runtime::daemon::{self, Base, Threads};

use crate::fe::run;

/// Where products come from, and what needs none.
const PRODUCTS: [&str; 5] = [
    "dashboard_list",
    "zookeeper",
    "etcd",
    "filesystem",
    "version",
];

/// Shows all products on one web page, and passes calls on to their dashboards.
#[derive(Parser, Clone, Debug, Default)]
#[command(
    name = "codis-fe",
    infer_long_args = true,
    disable_version_flag = true,
    group(ArgGroup::new("products").required(true).args(PRODUCTS))
)]
pub struct Options {
    /// Where to listen, such as 0.0.0.0:18090
    #[arg(long, value_name = "ADDR", required_unless_present = "version")]
    pub listen: Option<String>,
    /// Products from a file: what `codis-admin --dashboard-list` prints
    #[arg(short, long, value_name = "FILE")]
    pub dashboard_list: Option<PathBuf>,
    /// Products from ZooKeeper at these addresses
    #[arg(long, value_name = "ADDR")]
    pub zookeeper: Option<String>,
    /// user:password for ZooKeeper
    #[arg(long, value_name = "AUTH")]
    pub zookeeper_auth: Option<String>,
    /// Products from etcd at these addresses
    #[arg(long, value_name = "ADDR")]
    pub etcd: Option<String>,
    /// user:password for etcd
    #[arg(long, value_name = "AUTH")]
    pub etcd_auth: Option<String>,
    /// Products from this directory
    #[arg(long, value_name = "ROOT")]
    pub filesystem: Option<String>,
    /// A directory with a page of its own (index.html); the embedded page when not given
    #[arg(long, value_name = "PATH")]
    pub assets_dir: Option<PathBuf>,
    /// Worker threads; all CPUs when not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub ncpu: Option<u16>,
    /// What every daemon has
    #[command(flatten)]
    pub base: Base,
}

/// Runs the command line: 0 after an orderly stop, 1 on any error, as the original.
pub fn main() -> ExitCode {
    daemon::main_of(|options: &Options| options.base.version, start)
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
    let log = options.base.start_log()?;
    let run = run::run(options.clone(), log.clone());
    options.base.run(Threads::Many(options.ncpu), &log, run)
}
