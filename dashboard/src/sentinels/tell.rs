//! Tells each proxy which sentinels to watch. Each has a task of its own that tries until the proxy
//! took the list, so one that hangs delays nobody and misses nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use codis_core::backoff::Backoff;
use codis_runtime::http::ClientError;
use tokio::sync::watch;

use crate::core::Core;
use crate::keyed::Keyed;
use crate::state::{Audit, View};

/// Pauses after an attempt that failed.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest of them.
const RETRY_MAX: Duration = Duration::from_secs(15);

/// What each proxy was told.
#[derive(Debug)]
pub struct Told {
    proxies: Mutex<BTreeMap<String, Standing>>,
    changed: watch::Sender<u64>,
}

/// How it went with the list that a proxy was sent last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    servers: Vec<String>,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Taken,
    Unreachable,
    Refused,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            proxies: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Told {
    /// Told whenever something changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Whether every proxy that can be reached watches the sentinels on record.
    pub fn settled(&self, view: &View) -> bool {
        let servers = &view.cluster.sentinel().servers;
        let proxies = self.held();
        view.cluster.proxies().all(|proxy| {
            proxies.get(&proxy.token).is_some_and(|standing| {
                standing.servers == *servers && standing.outcome != Outcome::Refused
            })
        })
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Standing>> {
        self.proxies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, token: &str, standing: Standing) {
        self.held().insert(token.to_owned(), standing);
        self.changed.send_modify(|count| *count += 1);
    }
}

/// Keeps all proxies told.
pub async fn tell_all(core: Arc<Core>) {
    let mut tellers = Keyed::default();
    let mut views = core.state.subscribe();
    loop {
        let cluster = views.borrow_and_update().cluster.clone();
        core.told
            .held()
            .retain(|token, _| cluster.proxy(token).is_ok());
        let keys = cluster
            .proxies()
            .map(|proxy| (proxy.token.clone(), proxy.admin_addr.clone()));
        tellers.update(keys, |(token, _)| tokio::spawn(tell(core.clone(), token)));
        if views.changed().await.is_err() {
            return;
        }
    }
}

/// Tells one proxy whenever the list changes, and once at the start: it may have been away.
async fn tell(core: Arc<Core>, token: String) {
    let audit = Audit::own("sentinels/tell");
    let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX, u64::from(core.model.pid));
    let mut views = core.state.subscribe();
    let mut taken: Option<Vec<String>> = None;
    loop {
        let cluster = views.borrow_and_update().cluster.clone();
        let Ok(proxy) = cluster.proxy(&token) else {
            return;
        };
        let sentinel = cluster.sentinel();
        let mut pause = None;
        if taken.as_ref() != Some(&sentinel.servers) {
            let outcome = match core.proxies.sentinels(&audit, proxy, sentinel).await {
                Ok(()) => Outcome::Taken,
                Err(ClientError::Remote(_)) => Outcome::Refused,
                Err(_) => Outcome::Unreachable,
            };
            if outcome == Outcome::Taken {
                backoff.reset();
                taken = Some(sentinel.servers.clone());
            } else {
                pause = Some(backoff.next_delay());
            }
            let servers = sentinel.servers.clone();
            core.told.set(&token, Standing { servers, outcome });
        }
        tokio::select! {
            changed = views.changed() => if changed.is_err() { return },
            () = wait(pause) => {}
        }
    }
}

async fn wait(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}
