//! The command line of codis-dashboard.

use std::process::ExitCode;

use clap::Parser;
use codis_runtime::daemon::{self, Common, Flags, Threads};

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
    /// What every daemon has
    #[command(flatten)]
    pub common: Common,
    /// The address that other components dial, when it is not the one listened on
    #[arg(long, value_name = "ADDR")]
    pub host_admin: Option<String>,
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
}

impl Flags for Options {
    fn common(&self) -> &Common {
        &self.common
    }
}

/// Runs the command line: 0 after an orderly stop, 1 on any error, as the original.
pub fn main() -> ExitCode {
    daemon::main(DEFAULT_CONFIG, start)
}

/// The settings: defaults, then the file, then the flags.
///
/// # Errors
/// Everything that is wrong with them.
pub fn settings(options: &Options) -> anyhow::Result<Settings> {
    let mut document = options.common.document()?;
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
    let base = &options.common.base;
    let log = base.start_log()?;
    let run = run::run(settings, options.clone(), log.clone());
    base.run(Threads::Many(options.ncpu), &log, run)
}
