//! The command line of codis-proxy: the flags of Codis 3.2.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use codis_core::api::Slot;
use codis_runtime::daemon::{self, Common, Threads};
use codis_runtime::shutdown::Shutdown;
use sd_notify::NotifyState;

use crate::control::cache;
use crate::control::online::{Dashboard, bring_online};
use crate::control::snapshot::Snapshot;
use crate::run::{self, Inherited, Proxy, handover};
use crate::settings::Settings;

/// The commented settings that `--default-config` prints.
const DEFAULT_CONFIG: &str = include_str!("../../conf/proxy.toml");
/// Worker threads when the command line names no number, on a machine with as many CPUs.
const WORKERS_DEFAULT_MAX: usize = 4;

/// The pause between two rounds of asking a dashboard while the proxy serves without one.
const ASK_AGAIN: Duration = Duration::from_secs(3);
/// Files that a proxy opens beside those of its clients, about.
const FILES_BESIDE_CLIENTS: u64 = 256;

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
    /// Worker threads at the start; one for each CPU, at most 4, when not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub ncpu: Option<u16>,
    /// Worker threads under load; when not given, those of --ncpu, or else one for each CPU
    #[arg(long, value_name = "MAX", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_ncpu: Option<u16>,
    /// Fail if fewer files than this may be opened
    #[arg(long, value_name = "N")]
    pub ulimit: Option<u64>,
    /// Take the listening sockets and the routes of the proxy that runs at proxy_handover, if one
    /// does, so that no client is refused
    #[arg(long)]
    pub takeover: bool,
    /// The admin address that others dial, when it is not the one listened on
    #[arg(long, value_name = "ADDR")]
    pub host_admin: Option<String>,
    /// The address that clients dial, when it is not the one listened on
    #[arg(long, value_name = "ADDR")]
    pub host_proxy: Option<String>,
    /// Ask the dashboard at this address, or at one of several with commas between, to bring this
    /// proxy online
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
    let base = &flags.common.base;
    let log = base.start_log()?;
    run::abort_when_a_worker_panics(Some(log.clone()));
    raise_file_limit(&settings);
    let (workers, workers_max) = workers(flags);
    let options = run::Options {
        workers,
        workers_max,
        host_admin: flags.host_admin.clone(),
        host_proxy: flags.host_proxy.clone(),
        log: Some(log.clone()),
        inherited: None,
    };
    let run = serve(settings, options, flags, slots);
    // The control side is light; its thread never does a client's work.
    base.run(Threads::One, &log, run)
}

async fn serve(
    settings: Settings,
    options: run::Options,
    flags: &Flags,
    slots: Option<Vec<Slot>>,
) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals().context("install signal handlers")?;
    let cached = read_cache(&settings);
    let proxy = launch(&settings, options, flags.takeover, &shutdown).await?;
    if let Some(cached) = &cached {
        proxy.control.remember(cached);
    }
    let control = proxy.control.clone();
    if !settings.ha_cache.is_empty() {
        let path = PathBuf::from(&settings.ha_cache);
        tokio::spawn(cache::keep(control.clone(), path, shutdown.clone()));
    }
    proxy.offer_handover()?;
    tell_supervisor(&[NotifyState::Ready]);
    if let Some(cached) = cached.filter(|_| slots.is_none()) {
        tokio::spawn(async move {
            if let Err(error) = cache::serve(control, cached).await {
                tracing::error!("{error:#}");
            }
        });
    }
    let outcome = tokio::select! {
        () = shutdown.requested() => Ok(()),
        outcome = come_online(&proxy, &settings, dashboard(flags), &slots) => outcome,
    };
    if outcome.is_ok() {
        shutdown.requested().await;
    } else {
        shutdown.request("not online");
    }
    tell_supervisor(&[NotifyState::Stopping]);
    proxy.stop().await;
    outcome
}

/// Starts the proxy on its own sockets, on those of systemd, or on those of a predecessor.
async fn launch(
    settings: &Settings,
    mut options: run::Options,
    takeover: bool,
    shutdown: &Shutdown,
) -> anyhow::Result<Proxy> {
    options.inherited = Inherited::from_systemd(settings)?;
    let mut predecessor = None;
    if takeover && options.inherited.is_none() {
        match handover::take(settings).await? {
            Some((inherited, found)) => {
                options.inherited = Some(inherited);
                predecessor = Some(found);
            }
            None => tracing::info!("--takeover: no proxy runs at proxy_handover"),
        }
    }
    let mut proxy = Proxy::prepare(settings.clone(), options, shutdown.clone()).await?;
    if let Some(predecessor) = predecessor {
        let snapshot = &predecessor.snapshot;
        let restored = proxy.control.restore(snapshot).await;
        restored.context("routes of the predecessor")?;
        if !snapshot.sentinels.is_empty() {
            proxy.control.watch(snapshot.sentinels.clone());
        }
        if snapshot.online {
            proxy.control.start();
        }
        predecessor.dismiss().await;
    }
    proxy.serve_admin();
    Ok(proxy)
}

/// The routes of the last run. A file that cannot be used is told and costs nothing else.
fn read_cache(settings: &Settings) -> Option<Snapshot> {
    if settings.ha_cache.is_empty() {
        return None;
    }
    let read = cache::load(settings.ha_cache.as_ref(), &settings.product_name);
    read.unwrap_or_else(|error| {
        tracing::error!("ha_cache: {error:#}");
        None
    })
}

/// Tells systemd, if it started this process.
fn tell_supervisor(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd not told");
    }
}

async fn come_online(
    proxy: &Proxy,
    settings: &Settings,
    dashboard: Option<Dashboard>,
    slots: &Option<Vec<Slot>>,
) -> anyhow::Result<()> {
    if let Some(slots) = slots {
        let filled = proxy.control.fill(slots.clone(), None).await;
        filled.context("fill slots")?;
        proxy.control.start();
    }
    let Some(dashboard) = dashboard else {
        return Ok(());
    };
    loop {
        let asked = bring_online(&dashboard, settings, &proxy.control.model.admin_addr).await;
        match asked {
            // A proxy that serves by what it knows goes on, and goes on asking.
            Err(error) if proxy.control.is_online() => {
                tracing::warn!("serving without a dashboard: {error:#}");
                tokio::time::sleep(ASK_AGAIN).await;
            }
            asked => return asked,
        }
    }
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

/// Worker threads at the start, and under load.
fn workers(flags: &Flags) -> (usize, usize) {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let (start, max) = (flags.ncpu.map(usize::from), flags.max_ncpu.map(usize::from));
    let first = start.unwrap_or(cpus.min(WORKERS_DEFAULT_MAX));
    let first = max.map_or(first, |max| {
        if start.is_none() {
            first.min(max)
        } else {
            first
        }
    });
    (first, max.or(start).unwrap_or(cpus).max(first))
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

/// Lets this process open as many files as it may, and warns when that is too few for its clients.
fn raise_file_limit(settings: &Settings) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "limit of open files not raised");
        }
        limit = getrlimit(Resource::Nofile);
    }
    let needed = (settings.proxy_max_clients as u64).saturating_add(FILES_BESIDE_CLIENTS);
    if let Some(files) = limit.current.filter(|files| *files < needed) {
        tracing::warn!(
            files,
            needed,
            "fewer files may be opened than proxy_max_clients needs: raise ulimit -n"
        );
    }
}
