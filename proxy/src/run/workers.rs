//! The worker threads: how many there are, and what becomes of the process when one panics.

use std::panic;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use codis_runtime::{process, telemetry};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Mutex, oneshot};

use crate::data::socket::Listener;
use crate::data::worker::{Shared, Worker};

/// How often the load is looked at.
const LOAD_PERIOD: Duration = Duration::from_secs(1);
/// The part of their time that the workers may be busy before there are more of them.
const BUSY_MAX: f64 = 0.7;

/// The workers of a proxy.
#[derive(Debug)]
pub(super) struct Crew {
    shared: Arc<Shared>,
    /// The sockets of all workers, for more workers and for a successor. Empty once the proxy
    /// takes no more clients.
    pub(super) listeners: Vec<Listener>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    /// Starts `count` workers that share `listeners`.
    ///
    /// # Errors
    /// A thread does not start, or there are no more file descriptors.
    pub(super) async fn start(
        shared: Arc<Shared>,
        listeners: Vec<Listener>,
        count: usize,
    ) -> anyhow::Result<Self> {
        let mut crew = Self {
            shared,
            listeners: Vec::new(),
            threads: Vec::new(),
        };
        for listener in &listeners {
            crew.listeners.push(listener.try_clone()?);
        }
        let mut shares: Vec<Vec<Listener>> = (0..count).map(|_| Vec::new()).collect();
        // A queue without a worker would keep its clients waiting for ever.
        for (n, listener) in listeners.into_iter().enumerate() {
            shares[n % count].push(listener);
        }
        for share in shares {
            if share.is_empty() {
                crew.add().await?;
            } else {
                crew.add_with(share).await?;
            }
        }
        Ok(crew)
    }

    /// Starts one more worker, if there is a place for it and clients are still taken.
    ///
    /// # Errors
    /// As [`Crew::start`].
    pub(super) async fn add(&mut self) -> anyhow::Result<()> {
        let Some(pattern) = self.listeners.first() else {
            return Ok(());
        };
        if self.threads.len() >= self.shared.ports.len() {
            return Ok(());
        }
        let listener = pattern.sibling().context("listen for another worker")?;
        self.listeners.push(listener.try_clone()?);
        self.add_with(vec![listener]).await
    }

    async fn add_with(&mut self, listeners: Vec<Listener>) -> anyhow::Result<()> {
        let index = self.threads.len();
        let thread = spawn_worker(self.shared.clone(), index, listeners).await?;
        self.threads.push(thread);
        Ok(())
    }

    /// Whether all workers have ended.
    pub(super) fn is_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }
}

/// Adds workers while those that are there are busy. None is ever taken away: a worker without
/// work costs nothing, and ending it would cut its clients.
pub(super) async fn grow(crew: Arc<Mutex<Crew>>) {
    let mut ticks = tokio::time::interval(LOAD_PERIOD);
    let mut last = None;
    loop {
        ticks.tick().await;
        let now = process::Sample::take().ok();
        let mut crew = crew.lock().await;
        let (have, max) = (crew.threads.len(), crew.shared.ports.len());
        if have >= max {
            return;
        }
        if let (Some(now), Some(last)) = (&now, &last) {
            let more = growth(have, max, now.cores_since(last));
            for _ in 0..more {
                if let Err(error) = crew.add().await {
                    tracing::warn!("no more workers: {error:#}");
                    return;
                }
            }
            if more > 0 {
                tracing::info!(
                    before = have,
                    now = crew.threads.len(),
                    max,
                    "workers added"
                );
            }
        }
        last = now;
    }
}

/// How many workers to add when the process uses so many cores.
fn growth(have: usize, max: usize, cores: f64) -> usize {
    if have >= max || cores <= BUSY_MAX * have as f64 {
        return 0;
    }
    ((max - have) / 4).max(1)
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
    listeners: Vec<Listener>,
) -> anyhow::Result<JoinHandle<()>> {
    let (ready, started) = oneshot::channel();
    let thread = thread::Builder::new()
        .name(format!("{WORKER}{index}"))
        .spawn(move || work(shared, index, listeners, ready))
        .context("start a worker thread")?;
    started.await.context("worker ended before it began")??;
    Ok(thread)
}

fn work(
    shared: Arc<Shared>,
    index: usize,
    listeners: Vec<Listener>,
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
        let started = shared.clone();
        match Worker::new(shared, index) {
            Ok(worker) => {
                started.ports[index].started.store(true, Ordering::Release);
                let _ = ready.send(Ok(()));
                if let Err(error) = worker.run(listeners).await {
                    tracing::error!(%error, index, "a worker ended");
                }
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use codis_core::api::Slot;
    use codis_runtime::shutdown::Shutdown;

    use super::*;
    use crate::run::{Options, Proxy};
    use crate::settings::Settings;

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
                "run::workers::tests::a_panic_in_a_task_of_a_worker_ends_the_process",
            ])
            .env(CHILD, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        const SIGABRT: i32 = 6;
        assert_eq!(child.signal(), Some(SIGABRT), "{child}");
    }

    #[test]
    fn busy_workers_get_company_by_a_quarter_of_what_may_still_come() {
        assert_eq!(growth(4, 32, 2.7), 0);
        assert_eq!(growth(4, 32, 2.9), 7);
        assert_eq!(growth(30, 32, 29.0), 1);
        assert_eq!(growth(32, 32, 32.0), 0);
    }

    /// It gets clients of its own, and follows fills like those that were there before.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_worker_that_is_added_routes_and_serves() {
        let settings = Settings {
            proxy_addr: "127.0.0.1:0".to_owned(),
            admin_addr: "127.0.0.1:0".to_owned(),
            ..Settings::default()
        };
        let options = Options {
            workers: 1,
            workers_max: 2,
            ..Options::default()
        };
        let shutdown = Shutdown::new();
        let proxy = Proxy::start(settings, options, shutdown.clone()).await;
        let proxy = proxy.unwrap();
        proxy
            .control
            .fill(vec![Slot::default()], None)
            .await
            .unwrap();
        for _ in 0..3 {
            proxy.crew.lock().await.add().await.unwrap();
        }
        let shared = proxy.control.shared.clone();
        assert_eq!(shared.started().count(), 2, "never more than may be");
        proxy
            .control
            .fill(vec![Slot::default()], None)
            .await
            .unwrap();
        proxy.control.start();
        let addr = proxy.addr.to_string();
        let served = tokio::task::spawn_blocking(move || {
            for _ in 0..64 {
                let mut client = TcpStream::connect(&addr).unwrap();
                client.write_all(b"PING\r\n").unwrap();
                let mut reply = [0; 7];
                client.read_exact(&mut reply).unwrap();
                assert_eq!(&reply, b"+PONG\r\n");
            }
        });
        served.await.unwrap();
        assert!(
            shared
                .started()
                .all(|port| port.counters.sessions.get() > 0)
        );
        shutdown.request("end of test");
        proxy.stop().await;
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
