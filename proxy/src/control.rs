//! The control side: what dashboards and sentinels tell, turned into route tables.
//!
//! A fill changes slots by plan: new requests of the slots that move are parked, those in flight
//! end or are cut off after a bound, and only then the new table is published. An adoption changes
//! masters because an election did: it is published at once and waits for nobody. Neither ever
//! waits for a backend while it holds the book, and a fill waits for another one only if they have
//! a slot in common ([`turns`]).

pub mod admin;
pub mod cache;
pub mod exposed;
pub mod figures;
pub mod info;
pub mod jodis;
pub mod online;
pub mod report;
pub mod sentinels;
pub mod slowlog;
pub mod snapshot;
pub mod stamps;
pub mod turns;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use codis_core::api::{ProxyOverview, ProxySentinels, Slot};
use codis_core::ha::Term;
use codis_core::model;
use codis_core::xauth;
use codis_runtime::build;
use codis_runtime::shutdown::Shutdown;
use codis_runtime::telemetry;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use crate::data::fence;
use crate::data::worker::{Port, Shared};
use crate::route::{Book, Hold, Pair, Problem};
use crate::settings::Settings;
use figures::{FLAG_ALL, Figures};
use stamps::Stamp;

/// How long workers may take to change over to a table. They never wait for anything, so this
/// passes only when the machine stands still.
const APPLY_MAX: Duration = Duration::from_secs(5);

/// Why a request of the admin API fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The wrong secret in the URL.
    #[error("invalid xauth, please check product name & auth")]
    Xauth,
    /// Another dashboard leads by now.
    #[error("stale dashboard, term {told} < {held}")]
    Stale {
        /// The term of the caller.
        told: Term,
        /// The highest that this proxy was told of.
        held: Term,
    },
    /// The proxy has been shut down.
    #[error("use of closed proxy")]
    Closed,
    /// A slot that cannot be applied.
    #[error(transparent)]
    Slot(#[from] Problem),
    /// The workers did not change over.
    #[error("workers did not take the route table within {0:?}")]
    Workers(Duration),
    /// A newer fill of the same dashboard was quicker.
    #[error("overtaken by a newer fill of a slot")]
    Overtaken,
    /// More fills wait than are allowed.
    #[error("too many fills wait for one another")]
    Crowded,
    /// The request was not carried out to its end.
    #[error("interrupted: {0}")]
    Interrupted(String),
}

/// The control side of a proxy.
#[derive(Debug)]
pub struct Control {
    /// What it shares with the workers.
    pub shared: Arc<Shared>,
    /// Who it is.
    pub model: model::Proxy,
    /// Ends the process.
    pub shutdown: Shutdown,
    /// Changes the log level, if logging was started.
    pub log: Option<telemetry::Handle>,
    /// Counters as the API shows them.
    pub figures: Figures,
    /// The record by which clients find this proxy.
    pub jodis: jodis::Registration,
    xauth: String,
    /// The highest term of a dashboard that called.
    term: AtomicU64,
    stale_calls: AtomicU64,
    closed: AtomicBool,
    since: std::time::Instant,
    /// Wakes whoever keeps the routes in a file.
    pub(crate) changed: Notify,
    /// The groups whose master a majority of the watched sentinels has named.
    pub(crate) confirmed: watch::Sender<BTreeSet<u32>>,
    book: Mutex<Book>,
    pub(crate) turns: turns::Turns,
    stamps: stamps::Stamps,
    watching: Mutex<sentinels::Watching>,
}

impl Control {
    /// A control side without a single route.
    pub fn new(
        shared: Arc<Shared>,
        model: model::Proxy,
        shutdown: Shutdown,
        log: Option<telemetry::Handle>,
        jodis: jodis::Registration,
    ) -> Arc<Self> {
        let settings = &shared.settings;
        let xauth = xauth::proxy(&settings.product_name, &settings.product_auth, &model.token);
        let book = Book::new(!settings.backend_primary_only);
        let control = Arc::new(Self {
            figures: Figures::new(shared.clone()),
            jodis,
            shared,
            model,
            shutdown,
            log,
            xauth,
            term: AtomicU64::new(0),
            stale_calls: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            since: std::time::Instant::now(),
            changed: Notify::new(),
            confirmed: watch::Sender::default(),
            book: Mutex::new(book),
            turns: turns::Turns::default(),
            stamps: stamps::Stamps::default(),
            watching: Mutex::default(),
        });
        let asked = Arc::downgrade(&control);
        let info = move || asked.upgrade().map_or_else(String::new, |it| it.info());
        control.shared.info.set(info);
        control
    }

    /// Settings of the process.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The book; locked for a moment, never across a wait.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watching(&self) -> MutexGuard<'_, sentinels::Watching> {
        self.watching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks the secret of a URL.
    ///
    /// # Errors
    /// It is wrong.
    pub fn check_xauth(&self, given: &str) -> Result<(), Error> {
        if given == self.xauth {
            Ok(())
        } else {
            Err(Error::Xauth)
        }
    }

    /// How many calls of dashboards that do not lead any more were refused.
    pub fn stale_calls(&self) -> u64 {
        self.stale_calls.load(Ordering::Relaxed)
    }

    /// Hears of the term of a dashboard that calls `path`. One that does not know the secret is not
    /// believed: it could shut the others out.
    ///
    /// # Errors
    /// A dashboard with a higher term has called before.
    pub fn hear_term(&self, path: &str, told: Term) -> Result<(), Error> {
        if !path.split('/').any(|part| part == self.xauth) {
            return Ok(());
        }
        let held = Term(self.term.fetch_max(told.0, Ordering::AcqRel));
        if told < held {
            self.stale_calls.fetch_add(1, Ordering::Relaxed);
            return Err(Error::Stale { told, held });
        }
        if told > held {
            tracing::info!(term = %told, before = %held, "a dashboard leads under a new term");
        }
        Ok(())
    }

    /// Whether the proxy has been shut down.
    ///
    /// # Errors
    /// It has.
    pub fn check_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Relaxed) {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    /// Serves clients from now on.
    pub fn start(&self) {
        if !self.shared.online.swap(true, Ordering::Relaxed) {
            tracing::info!("online");
            self.shared.accepting.send_replace(true);
            self.changed.notify_one();
            self.jodis.start();
        }
    }

    /// Whether any slot has an owner.
    pub fn is_filled(&self) -> bool {
        let table = self.shared.table.load();
        table.routes.iter().any(|route| route.master.is_some())
    }

    /// Whether clients are served.
    pub fn is_online(&self) -> bool {
        self.shared.online.load(Ordering::Relaxed)
    }

    /// Takes no more orders, and ends the process.
    pub fn close(&self, reason: &str) {
        self.closed.store(true, Ordering::Relaxed);
        self.shutdown.request(reason);
    }

    /// Makes the book's routes the ones in force. Never waits.
    fn publish(&self, book: &mut Book) -> u64 {
        let table = book.table();
        let version = table.version;
        self.shared.table.store(Arc::new(table));
        self.shared.wake_workers();
        self.changed.notify_one();
        version
    }

    /// Fills slots as a dashboard says. Once begun it goes to its end, even if the caller leaves.
    ///
    /// # Errors
    /// A slot cannot be applied (then none is), or the workers stand still.
    pub async fn fill(
        self: &Arc<Self>,
        slots: Vec<Slot>,
        stamp: Option<Stamp>,
    ) -> Result<(), Error> {
        self.check_open()?;
        Book::check(&slots)?;
        let control = self.clone();
        let filled = tokio::spawn(async move { control.fill_to_the_end(&slots, stamp).await });
        filled
            .await
            .unwrap_or_else(|error| Err(Error::Interrupted(error.to_string())))
    }

    async fn fill_to_the_end(&self, slots: &[Slot], stamp: Option<Stamp>) -> Result<(), Error> {
        let all = slots.iter().map(|slot| slot.id).collect();
        let _turn = self.turns.take(all).await.ok_or(Error::Crowded)?;
        if stamp.is_some_and(|stamp| !self.stamps.take(stamp, slots)) {
            return Err(Error::Overtaken);
        }
        let (moving, version) = {
            let mut book = self.book();
            let moving = book.barrier(slots);
            book.hold(&moving, Hold::Held);
            let version = if moving.is_empty() {
                0
            } else {
                self.publish(&mut book)
            };
            (moving, version)
        };
        if !moving.is_empty()
            && let Err(error) = self.drain(&moving, version).await
        {
            // The fill is refused, so the slots go on as they were.
            let mut book = self.book();
            book.release(&moving);
            self.publish(&mut book);
            return Err(error);
        }
        let version = {
            let mut book = self.book();
            book.fill(slots);
            self.publish(&mut book)
        };
        tracing::debug!(
            slots = slots.len(),
            moving = moving.len(),
            version,
            "slots filled"
        );
        if self
            .wait(
                |port| port.applied.load(Ordering::Acquire) >= version,
                APPLY_MAX,
            )
            .await
        {
            Ok(())
        } else {
            Err(Error::Workers(APPLY_MAX))
        }
    }

    /// Takes a dashboard's word that the routes were current after so many stalls.
    pub fn lift_fence(&self, stalls: u64) {
        self.shared.fence.lift(stalls);
        self.shared.wake_workers();
    }

    /// Waits until nothing of `slots` is in flight. A hung backend does not keep them: after half
    /// of the hold, so that parked requests still have the other half, the rest is cut off.
    async fn drain(&self, slots: &[u16], version: u64) -> Result<(), Error> {
        let limit = self.settings().ha_hold.duration() / 2;
        let set = slots.iter().copied().collect();
        let is_drained = |port: &Port| port.drained.is_drained(version, &set);
        if self.wait(is_drained, limit).await {
            return Ok(());
        }
        tracing::warn!(
            slots = slots.len(),
            ?limit,
            "requests in flight cut off by a fill"
        );
        let version = {
            let mut book = self.book();
            book.hold(slots, Hold::Cut);
            self.publish(&mut book)
        };
        let is_cut = |port: &Port| port.drained.is_drained(version, &set);
        if self.wait(is_cut, APPLY_MAX).await {
            Ok(())
        } else {
            Err(Error::Workers(APPLY_MAX))
        }
    }

    /// Waits until `done` holds for every worker.
    async fn wait(&self, done: impl Fn(&Port) -> bool, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let mut acknowledged = std::pin::pin!(self.shared.acknowledged.notified());
            acknowledged.as_mut().enable();
            if self.shared.started().all(&done) {
                return true;
            }
            if timeout_at(deadline, acknowledged).await.is_err() {
                return self.shared.started().all(&done);
            }
        }
    }

    /// Takes a pair that sentinels told of, if its epoch is higher than the one held.
    pub fn adopt(&self, group: u32, pair: Pair, source: &str) {
        let mut book = self.book();
        if book
            .groups()
            .get(&group)
            .is_some_and(|held| pair.epoch <= held.epoch)
        {
            return;
        }
        let before = book.groups().get(&group).cloned();
        if book.adopt(group, pair.clone()) {
            let version = self.publish(&mut book);
            drop(book);
            let before = before.map(|pair| format!("{} at {}", pair.master, pair.epoch));
            tracing::info!(
                group,
                epoch = pair.epoch.0,
                master = pair.master,
                before,
                source,
                version,
                "topology adopted"
            );
        }
    }

    /// Says which groups sentinels monitor now.
    pub fn set_monitored(&self, groups: std::collections::BTreeSet<u32>) {
        self.book().set_monitored(groups);
    }

    /// The sentinel part of the statistics.
    pub fn sentinels(&self) -> ProxySentinels {
        let servers = self.watching().servers().to_vec();
        let book = self.book();
        let mut out = ProxySentinels {
            switched: book.is_switched(),
            ..Default::default()
        };
        for (group, pair) in book.groups() {
            if !servers.is_empty() {
                out.masters.insert(group.to_string(), pair.master.clone());
            }
            if pair.epoch.0 > 0 {
                out.epochs.insert(group.to_string(), pair.epoch);
            }
        }
        out.servers = servers;
        out
    }

    /// Everything about this proxy.
    pub fn overview(&self) -> ProxyOverview {
        ProxyOverview {
            version: build::version(),
            compile: build::compile(),
            config: serde_json::to_value(self.settings()).unwrap_or_default(),
            model: self.model.clone(),
            stats: self.stats(FLAG_ALL),
            slots: self.shared.table.load().wire(),
        }
    }

    /// The statistics, with the parts that `flags` names.
    pub fn stats(&self, flags: i64) -> codis_core::api::ProxyStats {
        let mut stats = self.figures.stats(flags);
        stats.online = self.is_online();
        stats.closed = self.closed.load(Ordering::Relaxed);
        stats.sentinels = self.sentinels();
        stats.backend.primary_only = self.settings().backend_primary_only;
        stats.stall_fence = self.settings().ha_hold.duration() >= fence::HOLD_MIN;
        stats.stalls = self.shared.fence.stalls();
        stats
    }

    /// Whether this proxy would serve a client now, or why not.
    ///
    /// # Errors
    /// What is missing.
    pub fn readiness(&self) -> Result<(), String> {
        if self.shutdown.is_requested() {
            return Err("shutting down".to_owned());
        }
        if !self.is_online() {
            return Err("not started by a dashboard".to_owned());
        }
        let table = self.shared.table.load();
        let offline = table
            .routes
            .iter()
            .filter(|route| route.master.is_none())
            .count();
        if offline > 0 {
            Err(format!("{offline} slots are offline"))
        } else {
            Ok(())
        }
    }
}
