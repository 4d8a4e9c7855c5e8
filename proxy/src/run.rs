//! Starting and stopping a proxy: listeners, worker threads, control side.

use std::net::SocketAddr;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use codis_core::{model, xauth};
use codis_runtime::shutdown::Shutdown;
use codis_runtime::{host, http, telemetry};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::oneshot;

use crate::control::figures::SAMPLE_PERIOD;
use crate::control::{Control, admin};
use crate::data::listen;
use crate::data::worker::{Shared, Worker};
use crate::settings::Settings;

/// How long sessions may take to get their last replies when the process stops.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// What the command line adds to the settings.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Worker threads.
    pub workers: usize,
    /// The admin address to advertise.
    pub host_admin: Option<String>,
    /// The client address to advertise.
    pub host_proxy: Option<String>,
    /// Changes the log level.
    pub log: Option<telemetry::Handle>,
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    /// Its control side.
    pub control: Arc<Control>,
    /// Where clients connect.
    pub addr: SocketAddr,
    /// Where the admin API listens.
    pub admin_addr: SocketAddr,
    workers: Vec<JoinHandle<()>>,
    serving: tokio::task::JoinHandle<()>,
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
        for key in settings.idle() {
            tracing::warn!(
                key,
                "this build does not have the function of this key: no effect"
            );
        }
        let workers = options.workers.max(1);
        let listeners = listen::bind(&settings.proto_type, &settings.proxy_addr, workers)?;
        let addr = listeners[0]
            .local_addr()
            .context("address of the client listener")?;
        let admin = http::bind(&settings.admin_addr).await?;
        let admin_addr = admin
            .local_addr()
            .context("address of the admin listener")?;
        let model = identity(&settings, &options, addr, admin_addr)?;
        tracing::info!(
            proxy = model.proxy_addr,
            admin = model.admin_addr,
            workers,
            "proxy starts"
        );

        let shared = Arc::new(Shared::new(Arc::new(settings), listeners.len()));
        let control = Control::new(shared.clone(), model, shutdown.clone(), options.log);
        let mut threads = Vec::new();
        for (index, listener) in listeners.into_iter().enumerate() {
            threads.push(spawn_worker(shared.clone(), index, listener).await?);
        }
        let router = admin::router(control.clone());
        let figures = control.clone();
        let serving = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(SAMPLE_PERIOD);
            let sampling = async {
                loop {
                    ticks.tick().await;
                    figures.figures.sample();
                }
            };
            tokio::select! {
                served = http::serve(admin, router, shutdown) => {
                    if let Err(error) = served {
                        tracing::error!(%error, "admin API ended");
                    }
                }
                () = sampling => {}
            }
        });
        Ok(Self {
            control,
            addr,
            admin_addr,
            workers: threads,
            serving,
        })
    }

    /// Stops in stages: no new clients, replies of what is in flight, the end.
    pub async fn stop(self) {
        let shared = self.control.shared.clone();
        shared.stopping.store(true, Ordering::Relaxed);
        shared.wake_workers();
        let deadline = Instant::now() + DRAIN_MAX;
        let is_done = |workers: &[JoinHandle<()>]| workers.iter().all(JoinHandle::is_finished);
        while !is_done(&self.workers) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if !is_done(&self.workers) {
            let cut = shared.alive.load(Ordering::Relaxed);
            tracing::warn!(sessions = cut, "sessions cut at the end of the drain");
        }
        let _ = self.serving.await;
    }
}

/// The names of worker threads start with this.
const WORKER: &str = "worker-";

/// Ends the process when a worker panics. The runtime would catch the panic and go on with a
/// connection that nobody serves; a process that is gone is started again.
pub fn abort_when_a_worker_panics(log: Option<telemetry::Handle>) {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        told(info);
        let thread = thread::current();
        if thread.name().is_some_and(|name| name.starts_with(WORKER)) {
            tracing::error!(
                thread = thread.name(),
                "a worker panicked: the process ends"
            );
            if let Some(log) = &log {
                log.flush();
            }
            std::process::abort();
        }
    }));
}

/// Starts a worker and waits until it accepts clients.
async fn spawn_worker(
    shared: Arc<Shared>,
    index: usize,
    listener: std::net::TcpListener,
) -> anyhow::Result<JoinHandle<()>> {
    let (ready, started) = oneshot::channel();
    let thread = thread::Builder::new()
        .name(format!("{WORKER}{index}"))
        .spawn(move || work(shared, index, listener, ready))
        .context("start a worker thread")?;
    started.await.context("worker ended before it began")??;
    Ok(thread)
}

fn work(
    shared: Arc<Shared>,
    index: usize,
    listener: std::net::TcpListener,
    ready: oneshot::Sender<std::io::Result<()>>,
) {
    let runtime = match Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    runtime.block_on(async move {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                let worker = Worker::new(shared, index);
                let _ = ready.send(Ok(()));
                worker.run(listener).await;
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    });
}

fn identity(
    settings: &Settings,
    options: &Options,
    addr: SocketAddr,
    admin_addr: SocketAddr,
) -> anyhow::Result<model::Proxy> {
    let (listen, admin) = (addr.to_string(), admin_addr.to_string());
    Ok(model::Proxy {
        token: xauth::proxy_token(&host::macs(), &settings.product_name, &listen, &admin),
        start_time: host::start_time_text().to_owned(),
        admin_addr: host::advertise(admin_addr, options.host_admin.as_deref())?,
        proto_type: settings.proto_type.clone(),
        proxy_addr: host::advertise(addr, options.host_proxy.as_deref())?,
        product_name: settings.product_name.clone(),
        pid: std::process::id(),
        pwd: host::working_dir(),
        sys: host::sys(),
        hostname: host::hostname(),
        datacenter: settings.proxy_datacenter.clone(),
        ..model::Proxy::default()
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;

    const CHILD: &str = "CODIS_PROXY_TEST_PANICS";

    /// Runs itself in another process, which must not survive.
    #[test]
    fn a_panic_in_a_task_of_a_worker_ends_the_process() {
        if std::env::var_os(CHILD).is_some() {
            return panic_in_a_task();
        }
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "run::tests::a_panic_in_a_task_of_a_worker_ends_the_process",
            ])
            .env(CHILD, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        const SIGABRT: i32 = 6;
        assert_eq!(child.signal(), Some(SIGABRT), "{child}");
    }

    fn panic_in_a_task() {
        abort_when_a_worker_panics(None);
        let worker = || {
            let runtime = Builder::new_current_thread()
                .build_local(LocalOptions::default())
                .unwrap();
            runtime.block_on(async {
                let _ = tokio::task::spawn_local(async { panic!("on purpose") }).await;
            });
        };
        let thread = thread::Builder::new()
            .name(format!("{WORKER}0"))
            .spawn(worker);
        let _ = thread.unwrap().join();
    }
}
