//! Starting and stopping a proxy: listeners, worker threads, control side.

pub mod handover;
pub mod inherit;
mod workers;

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;
use codis_core::{model, xauth};
use codis_runtime::shutdown::Shutdown;
use codis_runtime::{host, http, telemetry};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::control::figures::SAMPLE_PERIOD;
use crate::control::jodis::{self, Registration};
use crate::control::{Control, admin, report};
use crate::data::socket::{self, Bound, Wanted};
use crate::data::worker::Shared;
use crate::settings::Settings;
pub use inherit::Inherited;
use workers::Crew;
pub use workers::abort_when_a_worker_panics;

/// How long clients wait in the queue of an inherited socket for the proxy to come online. After
/// that they are told that it is not.
const ONLINE_MAX: Duration = Duration::from_secs(10);
/// How often a stop looks whether the workers have ended.
const STOP_POLL: Duration = Duration::from_millis(5);

/// What the command line adds to the settings.
#[derive(Debug, Default)]
pub struct Options {
    /// Worker threads at the start.
    pub workers: usize,
    /// Worker threads that there may be later; never fewer than `workers`.
    pub workers_max: usize,
    /// The admin address to advertise.
    pub host_admin: Option<String>,
    /// The client address to advertise.
    pub host_proxy: Option<String>,
    /// Changes the log level.
    pub log: Option<telemetry::Handle>,
    /// Listening sockets that somebody else opened.
    pub inherited: Option<Inherited>,
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    /// Its control side.
    pub control: Arc<Control>,
    /// Where clients connect.
    pub addr: Bound,
    /// Where the admin API listens.
    pub admin_addr: std::net::SocketAddr,
    crew: Arc<Mutex<Crew>>,
    growing: JoinHandle<()>,
    admin: Admin,
    /// The file of a Unix socket, to be removed at the end.
    file: Option<SocketFile>,
}

/// The admin API, before and while it is served.
#[derive(Debug)]
struct Admin {
    /// Taken when serving begins.
    listener: Option<tokio::net::TcpListener>,
    /// The same socket, for a successor.
    copy: OwnedFd,
    serving: Option<JoinHandle<()>>,
    /// Ends it, later than the process is told to stop: `/ready` says so meanwhile.
    end: Shutdown,
}

impl Proxy {
    /// Binds, and starts the workers and the admin API. Clients are refused until a dashboard, or
    /// [`Control::start`], brings the proxy online.
    ///
    /// # Errors
    /// An address cannot be bound or advertised, or a thread does not start.
    pub async fn start(
        settings: Settings,
        options: Options,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let mut proxy = Self::prepare(settings, options, shutdown).await?;
        proxy.serve_admin();
        Ok(proxy)
    }

    /// As [`Proxy::start`], but admin calls wait in the queue until [`Proxy::serve_admin`].
    ///
    /// # Errors
    /// Those of [`Proxy::start`].
    pub async fn prepare(
        settings: Settings,
        mut options: Options,
        shutdown: Shutdown,
    ) -> anyhow::Result<Self> {
        let workers = options.workers.max(1);
        let workers_max = options.workers_max.max(workers);
        let inherited = options.inherited.take().unwrap_or_default();
        let had_clients = !inherited.clients.is_empty();
        let listeners = match inherited.clients {
            held if !held.is_empty() => held,
            _ => socket::bind(Wanted {
                proto: &settings.proto_type,
                address: &settings.proxy_addr,
                mode: settings.unix_mode(),
                count: workers,
                may_grow: workers_max > workers,
            })?,
        };
        let addr = listeners[0]
            .bound()
            .context("address of the client listener")?;
        let listener = match inherited.admin {
            Some(held) => tokio::net::TcpListener::from_std(held)?,
            None => http::bind(&inherit::any_host(&settings.admin_addr)).await?,
        };
        let admin_addr = listener
            .local_addr()
            .context("address of the admin listener")?;
        let model = identity(&settings, &options, &addr, admin_addr)?;
        tracing::info!(
            proxy = model.proxy_addr,
            admin = model.admin_addr,
            workers,
            "proxy starts"
        );
        let jodis = Registration::prepare(&settings, &model).await?;
        let shared = Arc::new(Shared::new(Arc::new(settings), workers_max));
        if had_clients {
            wait_with_accepting(shared.clone());
        }
        let control = Control::new(shared.clone(), model, shutdown, options.log, jodis);
        let crew = Crew::start(shared, listeners, workers).await?;
        let crew = Arc::new(Mutex::new(crew));
        Ok(Self {
            control,
            file: SocketFile::of(&addr),
            addr,
            admin_addr,
            growing: tokio::spawn(workers::grow(crew.clone())),
            crew,
            admin: Admin {
                copy: listener.as_fd().try_clone_to_owned()?,
                listener: Some(listener),
                serving: None,
                end: Shutdown::new(),
            },
        })
    }

    /// Answers admin calls and sends reports from now on.
    pub fn serve_admin(&mut self) {
        let Some(listener) = self.admin.listener.take() else {
            return;
        };
        report::start(&self.control);
        let router = admin::router(self.control.clone());
        let figures = self.control.clone();
        let end = self.admin.end.clone();
        self.admin.serving = Some(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SAMPLE_PERIOD);
            let sampling = async {
                loop {
                    ticks.tick().await;
                    figures.figures.sample();
                }
            };
            tokio::select! {
                served = http::serve(listener, router, end) => {
                    if let Err(error) = served {
                        tracing::error!(%error, "admin API ended");
                    }
                }
                () = sampling => {}
            }
        }));
    }

    /// Stops in stages: `/ready` has said so since the order came, the jodis record goes, after a
    /// delay no new clients, then the replies of what is in flight, the end.
    pub async fn stop(mut self) {
        // Clients that look for a proxy now must not find this one.
        self.control.jodis.leave().await;
        let shared = self.control.shared.clone();
        let settings = shared.settings.clone();
        let handed_over = shared.handed_over.load(Ordering::Relaxed);
        if handed_over {
            // The successor answers admin calls.
            self.admin.end.request("handed over");
        } else {
            tokio::time::sleep(settings.drain_delay.duration()).await;
        }
        self.growing.abort();
        let mut crew = self.crew.lock().await;
        // The workers close the last copies once the queues are empty.
        crew.listeners.clear();
        shared.stopping.store(true, Ordering::Relaxed);
        shared.wake_workers();
        let deadline = Instant::now() + settings.drain_timeout.duration();
        while !crew.is_done() && Instant::now() < deadline {
            tokio::time::sleep(STOP_POLL).await;
        }
        if !crew.is_done() {
            let cut = shared.alive.load(Ordering::Relaxed);
            tracing::warn!(sessions = cut, "sessions cut at the end of the drain");
        }
        if let Some(file) = self.file.take().filter(|_| !handed_over) {
            file.remove();
        }
        self.admin.end.request("drained");
        if let Some(serving) = self.admin.serving.take() {
            let _ = serving.await;
        }
    }
}

/// Leaves clients in the queue until the proxy is online; but not for ever.
fn wait_with_accepting(shared: Arc<Shared>) {
    shared.accepting.send_replace(false);
    tokio::spawn(async move {
        tokio::time::sleep(ONLINE_MAX).await;
        shared.accepting.send_replace(true);
    });
}

/// A socket file, known again by its inode.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    fn of(bound: &Bound) -> Option<Self> {
        let Bound::Unix(path) = bound else {
            return None;
        };
        let inode = inode(path)?;
        let path = path.clone();
        Some(Self { path, inode })
    }

    /// Removes it, unless another process has put its own there.
    fn remove(self) {
        if inode(&self.path) == Some(self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    let meta = fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

fn identity(
    settings: &Settings,
    options: &Options,
    addr: &Bound,
    admin_addr: std::net::SocketAddr,
) -> anyhow::Result<model::Proxy> {
    let (listen, admin) = (addr.to_string(), admin_addr.to_string());
    let proxy_addr = match addr {
        Bound::Tcp(addr) => host::advertise(*addr, options.host_proxy.as_deref())?,
        Bound::Unix(_) => options.host_proxy.clone().unwrap_or_else(|| listen.clone()),
    };
    let token = xauth::proxy_token(&host::macs(), &settings.product_name, &listen, &admin);
    Ok(model::Proxy {
        jodis_path: jodis::path(settings, &token).unwrap_or_default(),
        token,
        start_time: host::start_time_text().to_owned(),
        admin_addr: host::advertise(admin_addr, options.host_admin.as_deref())?,
        proto_type: settings.proto_type.clone(),
        proxy_addr,
        product_name: settings.product_name.clone(),
        pid: std::process::id(),
        pwd: host::working_dir(),
        sys: host::sys(),
        hostname: host::hostname(),
        datacenter: settings.proxy_datacenter.clone(),
        ..model::Proxy::default()
    })
}
