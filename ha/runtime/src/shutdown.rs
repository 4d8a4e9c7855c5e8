//! Stopping in stages.
//!
//! One [`Shutdown`] is shared by all tasks of a daemon. A signal or an admin call requests it;
//! everybody who waits on [`Shutdown::requested`] then leaves in the order that `main` decides,
//! each stage under a deadline ([`Shutdown::within`]), so that one stuck peer cannot keep the
//! process alive. A second signal ends the process at once.

use std::future::Future;
use std::io;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The exit code of a process that a second signal cut short: 128 + SIGINT.
pub const EXIT_CUT_SHORT: i32 = 130;

/// A request to stop that all tasks of a daemon see. Clones are the same request.
#[derive(Clone, Debug)]
pub struct Shutdown {
    reason: Arc<watch::Sender<Option<String>>>,
}

impl Shutdown {
    /// A shutdown that only [`Shutdown::request`] triggers.
    pub fn new() -> Self {
        Self {
            reason: Arc::new(watch::Sender::new(None)),
        }
    }

    /// A shutdown that SIGTERM and SIGINT trigger too. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let watched = shutdown.clone();
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                if watched.is_requested() {
                    tracing::warn!(signal = name, "second request to stop, exiting at once");
                    process::exit(EXIT_CUT_SHORT);
                }
                watched.request(name);
            }
        });
        Ok(shutdown)
    }

    /// Requests the stop. The first reason is the one that is kept.
    pub fn request(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.reason.send_if_modified(|held| {
            let first = held.is_none();
            if first {
                tracing::info!(reason, "shutdown requested");
                *held = Some(reason);
            }
            first
        });
    }

    /// Whether the stop has been requested.
    pub fn is_requested(&self) -> bool {
        self.reason.borrow().is_some()
    }

    /// Why it has been requested.
    pub fn reason(&self) -> Option<String> {
        self.reason.borrow().clone()
    }

    /// Waits until the stop is requested. The future owns what it needs.
    pub fn requested(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut seen = self.reason.subscribe();
        // The sender lives as long as the future, so waiting cannot fail early.
        let sender = self.reason.clone();
        async move {
            let _ = seen.wait_for(Option::is_some).await;
            drop(sender);
        }
    }

    /// Runs one stage of the stop; gives `None`, and logs what was cut, when it outlasts `limit`.
    pub async fn within<T>(
        limit: Duration,
        stage: &str,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let done = tokio::time::timeout(limit, work).await.ok();
        if done.is_none() {
            tracing::warn!(stage, ?limit, "shutdown stage cut at its deadline");
        }
        done
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}
