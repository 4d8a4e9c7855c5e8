//! The command line of codis-proxy: the flags of Codis 3.2.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Parser;
use codis_core::api::Slot;
use codis_runtime::daemon::{self, Common};
use codis_runtime::shutdown::Shutdown;

use crate::control::online::{Dashboard, bring_online};
use crate::run::{self, Proxy};
use crate::settings::Settings;

/// The commented settings that `--default-config` prints.
const DEFAULT_CONFIG: &str = include_str!("../../conf/proxy.toml");
/// Worker threads when the command line names no number, on a machine with as many CPUs.
const WORKERS_DEFAULT_MAX: usize = 4;

/// Shards Redis over slots and follows failovers.
#[derive(Parser, Clone, Debug, Default)]
#[command(
    name = "codis-proxy",
    infer_long_args = true,
    disable_version_flag = true
)]
pub struct Flags {
    /// What every daemon has
    #[command(flatten)]
    pub common: Common,
    /// Worker threads, a fixed number; one for each CPU, at most 4, when not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub ncpu: Option<u16>,
    /// No effect, and a warning: the number of worker threads stays that of --ncpu
    #[arg(long, value_name = "MAX", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_ncpu: Option<u16>,
    /// Fail if fewer files than this may be opened
    #[arg(long, value_name = "N")]
    pub ulimit: Option<u64>,
    /// The admin address that others dial, when it is not the one listened on
    #[arg(long, value_name = "ADDR")]
    pub host_admin: Option<String>,
    /// The address that clients dial, when it is not the one listened on
    #[arg(long, value_name = "ADDR")]
    pub host_proxy: Option<String>,
    /// Ask the dashboard at this address to bring this proxy online
    #[arg(long, value_name = "ADDR", group = "start")]
    pub dashboard: Option<String>,
    /// Find the dashboard in ZooKeeper and ask it
    #[arg(long, value_name = "ADDR", group = "start")]
    pub zookeeper: Option<String>,
    /// user:password for ZooKeeper
    #[arg(
        long,
        value_name = "AUTH",
        alias = "zookeeper_auth",
        requires = "zookeeper"
    )]
    pub zookeeper_auth: Option<String>,
    /// Find the dashboard in etcd and ask it
    #[arg(long, value_name = "ADDR", group = "start")]
    pub etcd: Option<String>,
    /// user:password for etcd
    #[arg(long, value_name = "AUTH", alias = "etcd_auth", requires = "etcd")]
    pub etcd_auth: Option<String>,
    /// Find the dashboard in a directory and ask it
    #[arg(long, value_name = "ROOT", group = "start")]
    pub filesystem: Option<String>,
    /// Fill slots from this file and start, without a dashboard
    #[arg(long, value_name = "FILE", group = "start")]
    pub fillslots: Option<PathBuf>,
    /// Overrides product_name
    #[arg(long = "product_name", alias = "product-name", value_name = "NAME")]
    pub product_name: Option<String>,
    /// Overrides product_auth
    #[arg(long = "product_auth", alias = "product-auth", value_name = "AUTH")]
    pub product_auth: Option<String>,
    /// Overrides session_auth
    #[arg(long = "session_auth", alias = "session-auth", value_name = "AUTH")]
    pub session_auth: Option<String>,
}

impl daemon::Flags for Flags {
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
pub fn settings(flags: &Flags) -> anyhow::Result<Settings> {
    let mut document = flags.common.document()?;
    let overrides = [
        ("--product_name", "product_name", &flags.product_name),
        ("--product_auth", "product_auth", &flags.product_auth),
        ("--session_auth", "session_auth", &flags.session_auth),
    ];
    for (flag, key, value) in overrides {
        if let Some(value) = value {
            document.set(flag, key, value);
        }
    }
    Ok(Settings::read(document)?)
}

fn start(flags: &Flags) -> anyhow::Result<()> {
    let settings = settings(flags)?;
    check_ulimit(flags.ulimit)?;
    let slots = flags.fillslots.as_ref().map(read_slots).transpose()?;
    let log = flags.common.start_log()?;
    run::abort_when_a_worker_panics(Some(log.clone()));
    if let Some(max) = flags.max_ncpu {
        let workers = workers(flags);
        tracing::warn!(max, workers, "--max-ncpu has no effect: set --ncpu");
    }
    // The control side is light; its thread never does a client's work.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the async runtime")?;
    let options = run::Options {
        workers: workers(flags),
        host_admin: flags.host_admin.clone(),
        host_proxy: flags.host_proxy.clone(),
        log: Some(log.clone()),
    };
    let run = serve(settings, options, dashboard(flags), slots);
    flags.common.run(runtime, &log, run)
}

async fn serve(
    settings: Settings,
    options: run::Options,
    dashboard: Option<Dashboard>,
    slots: Option<Vec<Slot>>,
) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals().context("install signal handlers")?;
    let proxy = Proxy::start(settings.clone(), options, shutdown.clone()).await?;
    let outcome = tokio::select! {
        () = shutdown.requested() => Ok(()),
        outcome = come_online(&proxy, &settings, dashboard, slots) => outcome,
    };
    if outcome.is_ok() {
        shutdown.requested().await;
    } else {
        shutdown.request("not online");
    }
    proxy.stop().await;
    outcome
}

async fn come_online(
    proxy: &Proxy,
    settings: &Settings,
    dashboard: Option<Dashboard>,
    slots: Option<Vec<Slot>>,
) -> anyhow::Result<()> {
    if let Some(slots) = slots {
        proxy.control.fill(slots).await.context("fill slots")?;
        proxy.control.start();
    }
    if let Some(dashboard) = dashboard {
        bring_online(&dashboard, settings, &proxy.control.model.admin_addr).await?;
    }
    Ok(())
}

fn dashboard(flags: &Flags) -> Option<Dashboard> {
    if let Some(addr) = &flags.dashboard {
        return Some(Dashboard::Address(addr.clone()));
    }
    let stores = [
        ("zookeeper", &flags.zookeeper, &flags.zookeeper_auth),
        ("etcd", &flags.etcd, &flags.etcd_auth),
        ("filesystem", &flags.filesystem, &None),
    ];
    let (name, addr, auth) = stores.into_iter().find(|(_, addr, _)| addr.is_some())?;
    Some(Dashboard::Coordinator {
        name: name.to_owned(),
        addr: addr.clone()?,
        auth: auth.clone().unwrap_or_default(),
    })
}

fn workers(flags: &Flags) -> usize {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    flags
        .ncpu
        .map_or(cpus.min(WORKERS_DEFAULT_MAX), usize::from)
}

fn read_slots(path: &PathBuf) -> anyhow::Result<Vec<Slot>> {
    let text = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    codis_core::json::decode(&text).with_context(|| format!("read {}", path.display()))
}

fn check_ulimit(wanted: Option<u64>) -> anyhow::Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match (wanted, limit) {
        (Some(wanted), Some(limit)) if limit < wanted => {
            bail!("the limit of open files is {limit}, --ulimit wants {wanted}: raise ulimit -n")
        }
        _ => Ok(()),
    }
}
