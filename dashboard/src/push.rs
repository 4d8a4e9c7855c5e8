//! Filling the proxies: one task a proxy closes the gap between the slots that it should and does
//! hold.

mod peerage;
mod row;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use codis_core::model::Proxy;
use codis_topom::row::Status;
use codis_topom::{Cluster, form};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::core::Settled;
use crate::metrics::Counters;
use crate::proxies::ProxyApi;
use crate::state::View;

pub use peerage::{Behind, Peerage, Pulse, Pushed};
pub use row::Command;
pub(crate) use row::sleep_until;

/// How long an API call waits for proxies.
pub const WAIT_MAX: Duration = Duration::from_millis(3500);
/// How long it waits for a proxy that did not answer the last time.
const WAIT_FAILING_MAX: Duration = Duration::from_secs(1);
/// Commands that wait for a row.
const COMMANDS_MAX: usize = 64;

/// What makes a row another row: the same proxy process is always filled by the same task.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    admin_addr: String,
    start_time: String,
    datacenter: String,
}

#[derive(Debug)]
struct Handle {
    identity: Identity,
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
    pulse: Arc<Pulse>,
    task: AbortHandle,
}

/// All rows.
#[derive(Debug)]
pub struct Fleet {
    api: ProxyApi,
    forward_method: u8,
    views: watch::Receiver<View>,
    open: watch::Receiver<bool>,
    counters: Counters,
    changed: Arc<watch::Sender<u64>>,
    rows: Mutex<BTreeMap<String, Handle>>,
}

impl Fleet {
    /// No rows yet; they send nothing until `open` says that it is known who is master.
    pub fn new(
        api: ProxyApi,
        forward_method: u8,
        views: watch::Receiver<View>,
        open: watch::Receiver<bool>,
        counters: Counters,
    ) -> Self {
        Self {
            api,
            forward_method,
            views,
            open,
            counters,
            changed: Arc::new(watch::Sender::new(0)),
            rows: Mutex::new(BTreeMap::new()),
        }
    }

    /// Starts a row for each new proxy and ends those whose proxy is gone.
    pub fn update(&self, cluster: &Cluster) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut old = std::mem::take(&mut *rows);
        for proxy in cluster.proxies() {
            let identity = Identity::of(proxy);
            let row = match old.remove(&proxy.token) {
                Some(row) if row.identity == identity => row,
                other => {
                    other.iter().for_each(|row| row.task.abort());
                    self.start(proxy, identity)
                }
            };
            rows.insert(proxy.token.clone(), row);
        }
        old.values().for_each(|row| row.task.abort());
    }

    /// Sends slots to a proxy again, whatever it was seen to hold; all of them without a list.
    pub async fn refill(&self, token: Option<&str>, slots: Option<Vec<u16>>) {
        for (_, commands, _) in self.waits(token) {
            let (taken, wait) = oneshot::channel();
            // A row that is gone has a successor that starts from nothing.
            if commands
                .send(Command::Refill {
                    slots: slots.clone(),
                    taken,
                })
                .await
                .is_ok()
            {
                let _ = wait.await;
            }
        }
    }

    /// Waits until the proxies hold `revision`, for a bounded time.
    pub async fn settled(&self, revision: u64, token: Option<&str>) -> Settled {
        let begun = Instant::now();
        let mut waits = Vec::new();
        for (token, commands, status) in self.waits(token) {
            let before = status.borrow().clone();
            if before.acked < revision {
                let _ = commands.try_send(Command::Nudge);
            }
            waits.push((token, status, before));
        }
        let mut behind = Vec::new();
        for (token, mut status, before) in waits {
            let limit = if before.failing.is_some() {
                WAIT_FAILING_MAX
            } else {
                WAIT_MAX
            };
            let done = status.wait_for(|now| {
                now.acked >= revision || (now.failures > before.failures && now.failing.is_some())
            });
            let done = tokio::time::timeout_at(begun + limit, done).await;
            if !matches!(done, Ok(Ok(now)) if now.acked >= revision) {
                behind.push(token);
            }
        }
        Settled { behind }
    }

    /// Waits until every proxy that may serve clients holds these slots as `revision` wants them,
    /// for at most `limit`.
    pub async fn pushed(&self, slots: &[u16], revision: u64, limit: Duration) -> Pushed {
        let deadline = Instant::now() + limit;
        let mut changed = self.changed.subscribe();
        for (_, commands, status) in self.waits(None) {
            if status.borrow().acked < revision {
                // A row whose queue is full has somebody who waits already.
                let _ = commands.try_send(Command::Nudge);
            }
        }
        loop {
            changed.mark_unchanged();
            let pushed = self.behind(slots, revision);
            if !pushed.blocks()
                || tokio::time::timeout_at(deadline, changed.changed())
                    .await
                    .is_err()
            {
                return pushed;
            }
        }
    }

    /// The proxies that do not hold these slots as `revision` wants them.
    fn behind(&self, _slots: &[u16], revision: u64) -> Pushed {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = rows
            .iter()
            .filter(|(_, row)| row.status.borrow().acked < revision);
        let behind = behind.map(|(token, row)| Behind {
            token: token.clone(),
            peer: row.pulse.peerage(),
        });
        Pushed {
            behind: behind.collect(),
        }
    }

    /// What is known of the proxy process behind a row.
    pub fn pulse(&self, token: &str) -> Option<Arc<Pulse>> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.get(token).map(|row| row.pulse.clone())
    }

    /// How far each proxy is.
    pub fn statuses(&self) -> BTreeMap<String, Status> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter()
            .map(|(token, row)| (token.clone(), row.status.borrow().clone()))
            .collect()
    }

    /// Tells of each change of a status.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn waits(
        &self,
        token: Option<&str>,
    ) -> Vec<(String, mpsc::Sender<Command>, watch::Receiver<Status>)> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter()
            .filter(|(key, _)| token.is_none_or(|token| token == *key))
            .map(|(key, row)| (key.clone(), row.commands.clone(), row.status.clone()))
            .collect()
    }

    fn start(&self, proxy: &Proxy, identity: Identity) -> Handle {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (publish, status) = watch::channel(Status::default());
        let row = row::Task {
            api: self.api.clone(),
            proxy: proxy.clone(),
            forward_method: self.forward_method,
            views: self.views.clone(),
            open: self.open.clone(),
            counters: self.counters.clone(),
            publish,
            changed: self.changed.clone(),
        };
        let task = tokio::spawn(row.run(inbox)).abort_handle();
        Handle {
            identity,
            commands,
            status,
            pulse: Arc::default(),
            task,
        }
    }
}

impl Identity {
    fn of(proxy: &Proxy) -> Self {
        Self {
            admin_addr: proxy.admin_addr.clone(),
            start_time: proxy.start_time.clone(),
            datacenter: proxy.datacenter.clone(),
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let rows = self.rows.get_mut().unwrap_or_else(PoisonError::into_inner);
        rows.values().for_each(|row| row.task.abort());
    }
}

/// The slots that a viewer is wanted to hold.
pub fn wanted(cluster: &Cluster, method: u8, viewer: &form::Viewer) -> Vec<codis_core::api::Slot> {
    form::all(cluster, method, Some(viewer))
}
