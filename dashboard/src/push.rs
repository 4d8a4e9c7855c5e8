//! Filling the proxies: one task a proxy closes the gap between the slots that it should and does
//! hold.

mod names;
mod peerage;
mod row;
mod witness;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use codis_core::model::Proxy;
use codis_core::slot::SLOTS;
use codis_topom::Cluster;
use codis_topom::forms::Forms;
use codis_topom::row::Status;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::config::Settings;
use crate::core::Settled;
use crate::lease::Lease;
use crate::metrics::Counters;
use crate::proxies::ProxyApi;
use crate::state::View;

pub use peerage::{Behind, Peerage, Pulse, Pushed};
pub(crate) use row::sleep_until;
pub(crate) use witness::{Testimony, testify};

/// How long an API call waits for proxies that may serve clients. An operator's call ends within a
/// second, whatever hangs.
pub const WAIT_MAX: Duration = Duration::from_millis(700);
/// How long a call about one proxy waits for it.
const FILL_MAX: Duration = Duration::from_millis(3500);

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
    shared: Arc<row::Shared>,
    pulse: Arc<Pulse>,
    task: AbortHandle,
}

/// All rows.
#[derive(Debug)]
pub struct Fleet {
    api: ProxyApi,
    lease: Lease,
    forms: Arc<Mutex<Forms>>,
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
        lease: Lease,
        settings: &Settings,
        views: watch::Receiver<View>,
        open: watch::Receiver<bool>,
        counters: Counters,
    ) -> Self {
        Self {
            api,
            lease,
            forms: Arc::new(Mutex::new(Forms::new(
                settings.migration_method.forward_method(),
            ))),
            views,
            open,
            counters,
            changed: Arc::new(watch::Sender::new(0)),
            rows: Mutex::new(BTreeMap::new()),
        }
    }

    /// Starts a row for each new proxy and ends those whose proxy is gone.
    pub fn update(&self, cluster: &Cluster) {
        let mut rows = self.rows();
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

    /// Sends slots to a proxy, or to all, again, whatever was seen there; all without a list.
    pub fn refill(&self, token: Option<&str>, slots: Option<&[u16]>) {
        for (_, row) in self.named(token) {
            row.refill(slots);
        }
    }

    /// Lets the row of a proxy try again at once.
    pub fn nudge(&self, token: &str) {
        for (_, row) in self.named(Some(token)) {
            row.nudge();
        }
    }

    /// Lets the row of a proxy know that it is one of ours.
    pub fn is_ours(&self, token: &str) {
        for (_, row) in self.named(Some(token)) {
            row.is_ours();
        }
    }

    /// Waits until every proxy that may serve clients holds these slots as `revision` wants them,
    /// for at most `limit`.
    pub async fn pushed(&self, slots: &[u16], revision: u64, limit: Duration) -> Pushed {
        self.wait(None, slots, revision, limit).await
    }

    /// Waits until the proxies hold everything as `revision` wants it, for a bounded time; longer
    /// for a single proxy, which a call must then be about.
    pub async fn settled(&self, revision: u64, token: Option<&str>) -> Settled {
        let all: Vec<u16> = (0..SLOTS as u16).collect();
        match token {
            None => self.wait(None, &all, revision, WAIT_MAX).await.into(),
            Some(token) => {
                let pushed = self.wait(Some(token), &all, revision, FILL_MAX).await;
                let behind = pushed.behind.into_iter();
                Settled {
                    behind: behind.map(|behind| behind.token).collect(),
                }
            }
        }
    }

    /// Waits for a moment until one proxy holds everything as `revision` wants it.
    pub async fn caught_up(&self, token: &str, revision: u64) -> bool {
        let all: Vec<u16> = (0..SLOTS as u16).collect();
        let pushed = self.wait(Some(token), &all, revision, WAIT_MAX).await;
        pushed.behind.is_empty()
    }

    /// Whether these slots are at every proxy that answers as `revision` wants them, and any
    /// proxy answers.
    pub fn agrees(&self, slots: &[u16], revision: u64) -> bool {
        let rows = self.rows();
        let answers = |row: &&Handle| row.shared.status().failing.is_none();
        let mut answering = rows.values().filter(answers).peekable();
        (rows.is_empty() || answering.peek().is_some())
            && answering.all(|row| row.shared.holds(slots, revision))
    }

    /// What a proxy is to clients.
    pub fn peerage(&self, token: &str) -> Peerage {
        // Without a row, one is about to start.
        let pulse = self.pulse(token);
        pulse.map_or(Peerage::Serving, |pulse| pulse.peerage())
    }

    /// What is known of the proxy process behind a row.
    pub fn pulse(&self, token: &str) -> Option<Arc<Pulse>> {
        self.rows().get(token).map(|row| row.pulse.clone())
    }

    /// How far each proxy is.
    pub fn statuses(&self) -> BTreeMap<String, Status> {
        let rows = self.rows();
        rows.iter()
            .map(|(token, row)| (token.clone(), row.shared.status()))
            .collect()
    }

    /// Lets those who wait look again: it has changed what a proxy is to clients.
    pub fn peer_changed(&self) {
        self.changed.send_modify(|version| *version += 1);
    }

    /// Tells of each change of a status.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    async fn wait(
        &self,
        token: Option<&str>,
        slots: &[u16],
        revision: u64,
        limit: Duration,
    ) -> Pushed {
        let deadline = Instant::now() + limit;
        let mut changed = self.changed.subscribe();
        for (_, row) in self.named(token) {
            if !row.holds(slots, revision) {
                row.nudge();
            }
        }
        loop {
            changed.mark_unchanged();
            let pushed = self.behind(token, slots, revision);
            let done = match token {
                Some(_) => pushed.behind.is_empty(),
                None => !pushed.blocks(),
            };
            let ended = async { changed.changed().await.is_err() };
            if done
                || tokio::time::timeout_at(deadline, ended)
                    .await
                    .unwrap_or(true)
            {
                return pushed;
            }
        }
    }

    /// The proxies that are not known to hold these slots as `revision` wants them.
    fn behind(&self, token: Option<&str>, slots: &[u16], revision: u64) -> Pushed {
        let cluster = self.views.borrow().cluster.clone();
        let rows = self.rows();
        let named = |proxy: &&Proxy| token.is_none_or(|token| token == proxy.token);
        let behind = cluster.proxies().filter(named).filter_map(|proxy| {
            let peer = match rows.get(&proxy.token) {
                Some(row) if row.shared.holds(slots, revision) => return None,
                Some(row) => row.pulse.peerage(),
                // Its row is about to start.
                None => Peerage::Serving,
            };
            Some(Behind {
                token: proxy.token.clone(),
                peer,
            })
        });
        Pushed {
            behind: behind.collect(),
        }
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<String, Handle>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn named(&self, token: Option<&str>) -> Vec<(String, Arc<row::Shared>)> {
        self.rows()
            .iter()
            .filter(|(key, _)| token.is_none_or(|token| token == *key))
            .map(|(key, row)| (key.clone(), row.shared.clone()))
            .collect()
    }

    fn start(&self, proxy: &Proxy, identity: Identity) -> Handle {
        let seed = u64::from(proxy.pid) ^ u64::from(proxy.id) << 32;
        let shared = Arc::new(row::Shared::new(*self.open.borrow(), seed));
        let pulse: Arc<Pulse> = Arc::default();
        let row = row::Task {
            api: self.api.clone(),
            proxy: proxy.clone(),
            forms: self.forms.clone(),
            views: self.views.clone(),
            open: self.open.clone(),
            counters: self.counters.clone(),
            shared: shared.clone(),
            pulse: pulse.clone(),
            changed: self.changed.clone(),
            digests: true,
        };
        let task = self.lease.spawn(row.run()).abort_handle();
        Handle {
            identity,
            shared,
            pulse,
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
