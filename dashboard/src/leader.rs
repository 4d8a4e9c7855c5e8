//! Carries out what [`codis_topom::leader`] decides: this process leads, stands by, and leads
//! again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use codis_core::ha::{LeaderRecord, Term};
use codis_core::model::Topom;
use codis_core::time::Time;
use codis_core::{json, paths};
use codis_runtime::coordinator::{Lock, Shared};
use codis_runtime::host;
use codis_runtime::shutdown::Shutdown;
use codis_topom::leader::{Effect, Leader, LockOutcome};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::{App, Seat};
use crate::audit::AuditLog;
use crate::config::Settings;
use crate::core::Core;
use crate::lease::Lease;
use crate::lock::{self, Attempt};
use crate::metrics::{Counters, RefusedBy};
use crate::push::sleep_until;
use crate::standby::Standby;
use crate::store::{Fence, Store};

/// How often it is looked to when the lock is held.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long what was asked for may take to be stored at the end.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// How long the lock may take to be released.
const RELEASE_MAX: Duration = Duration::from_secs(5);
/// How long the end may take in all.
const END_MAX: Duration = Duration::from_secs(12);

/// What a dashboard is made of.
#[derive(Debug)]
pub struct Parts {
    /// The settings.
    pub settings: Settings,
    /// Who it is.
    pub model: Topom,
    /// Where the records are.
    pub coordinator: Shared,
    /// The counters.
    pub counters: Counters,
    /// The audit log.
    pub audit: AuditLog,
    /// What it is while it does not lead.
    pub standby: Arc<Standby>,
}

/// What an effect came to.
enum Done {
    Lock(Attempt),
    Fenced(Option<Vec<u8>>),
    Loaded(Option<(Arc<Core>, JoinSet<()>)>),
    SteppedDown,
    Released,
}

type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// Drives one [`Leader`].
pub struct Chair {
    parts: Parts,
    app: App,
    leads: watch::Sender<bool>,
    origin: Instant,
    leader: Leader,
    lock: Option<Lock>,
    /// The record of the last leader, as it was when the lock was taken.
    last: Option<Vec<u8>>,
    fence: Option<Fence>,
    lease: Option<Lease>,
    core: Option<Arc<Core>>,
    tasks: JoinSet<()>,
    /// What kept this one from the lock, as it was logged last.
    said: String,
    work: Option<Work>,
    closing: Option<tokio::time::Instant>,
    outcome: anyhow::Result<()>,
}

impl Chair {
    /// A dashboard that does not lead yet; `leads` is told whenever that changes.
    pub fn new(parts: Parts, app: App, leads: watch::Sender<bool>) -> Self {
        Self {
            parts,
            app,
            leads,
            origin: Instant::now(),
            leader: Leader::new(Time::ZERO),
            lock: None,
            last: None,
            fence: None,
            lease: None,
            core: None,
            tasks: JoinSet::new(),
            said: String::new(),
            work: None,
            closing: None,
            outcome: Ok(()),
        }
    }

    /// Leads and stands by until the stop is requested.
    ///
    /// # Errors
    /// A part of the dashboard broke: it looks alive and does nothing, so better none.
    pub async fn run(mut self, shutdown: &Shutdown) -> anyhow::Result<()> {
        while !self.leader.is_closed() {
            while let Some(effect) = self.leader.poll_effect() {
                self.carry_out(effect);
            }
            let timeout = self.leader.poll_timeout();
            let timeout = timeout.map(|at| (self.origin + at.since_origin()).into());
            let end = self.closing.map(|since| since + END_MAX);
            tokio::select! {
                done = finish(&mut self.work) => {
                    self.work = None;
                    self.handle(done);
                }
                () = shutdown.requested(), if self.closing.is_none() => self.close(),
                why = lost(self.lock.as_ref()) => self.handle_lost(&why),
                refused = refused(self.lease.as_ref()) => {
                    self.leader.handle_refused(&refused.why, refused.seen);
                    self.lease_is_heard();
                }
                why = broken(self.core.as_ref(), &mut self.tasks) => {
                    self.outcome = Err(anyhow!("{why}"));
                    self.close();
                }
                () = sleep_until(timeout) => self.leader.handle_timeout(self.now()),
                () = look_again(self.lock.as_ref()) => {}
                () = sleep_until(end) => {
                    tracing::warn!("the end takes too long, the lock ends with its lease");
                    break;
                }
            }
            self.look();
        }
        self.app.sit(Seat::Closed);
        self.outcome
    }

    fn now(&self) -> Time {
        Time::from_origin(self.origin.elapsed())
    }

    fn close(&mut self) {
        self.closing = Some(tokio::time::Instant::now());
        self.app.sit(Seat::Closed);
        self.leader.handle_close();
    }

    /// Takes over to when the lock is held.
    fn look(&mut self) {
        let Some(lock) = &self.lock else { return };
        let until = lock.valid_until();
        if let Some(lease) = &self.lease {
            lease.renew(until);
        }
        let until = Time::from_origin(until.saturating_duration_since(self.origin));
        self.leader.handle_renewed(until);
    }

    fn handle_lost(&mut self, why: &str) {
        // It is dropped at once: it may not be renewed, and tells the same again and again.
        self.lock = None;
        self.leader.handle_lost(why);
    }

    /// A lease that is refused is over: nothing more is asked of it.
    fn lease_is_heard(&mut self) {
        if let Some(lease) = &self.lease {
            lease.renew(self.origin);
            lease.hear();
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        tracing::debug!(?effect, "leadership");
        let work: Work = match effect {
            Effect::TryLock => {
                let (coordinator, model) =
                    (self.parts.coordinator.clone(), self.parts.model.clone());
                Box::pin(async move { Done::Lock(lock::attempt(&coordinator, &model).await) })
            }
            Effect::Fence { to, .. } => self.fence(to),
            Effect::Load(term) => self.load(term),
            Effect::Lead(term) => {
                if let Some(core) = self.core.clone() {
                    self.app.sit(Seat::Leading(core));
                    self.leads.send_replace(true);
                    tracing::info!(%term, "online");
                }
                return;
            }
            Effect::StepDown(why) => self.step_down(&why),
            Effect::Release => self.release(),
        };
        self.work = Some(work);
    }

    fn fence(&mut self, to: Term) -> Work {
        let model = &self.parts.model;
        let record = LeaderRecord {
            term: to,
            token: model.token.clone(),
            admin_addr: model.admin_addr.clone(),
            since: host::now_rfc3339(),
            pid: model.pid,
            start_time: model.start_time.clone(),
        };
        let (coordinator, product) = (self.parts.coordinator.clone(), model.product_name.clone());
        let last = self.last.take();
        Box::pin(async move {
            let fenced = lock::fence(&coordinator, &product, last.as_deref(), &record).await;
            let fenced = fenced.inspect_err(|error| {
                tracing::warn!(term = %record.term, %error, "term not raised");
            });
            Done::Fenced(fenced.ok())
        })
    }

    fn load(&mut self, term: Term) -> Work {
        let until = self.lock.as_ref().map(Lock::valid_until);
        let lease = Lease::new(
            term,
            until.unwrap_or_else(Instant::now),
            self.parts.counters.refusals.clone(),
        );
        self.lease = Some(lease.clone());
        let Parts {
            settings,
            model,
            coordinator,
            counters,
            audit,
            ..
        } = &self.parts;
        let fence = self.fence.clone();
        let store = Store::new(coordinator.clone(), &model.product_name, fence);
        let start = Core::start(
            settings.clone(),
            model.clone(),
            store,
            lease.clone(),
            counters.clone(),
            audit.clone(),
        );
        Box::pin(async move {
            match start.await {
                Ok(started) => Done::Loaded(Some(started)),
                Err(error) => {
                    tracing::error!(cause = error.cause, "{error}; trying again");
                    if error.is_fenced() {
                        let why = format!("{error}: {}", error.cause);
                        lease.refuse(RefusedBy::Store, why, None);
                    }
                    lease.end().await;
                    Done::Loaded(None)
                }
            }
        })
    }

    /// Ends everything that belongs to the term. At an orderly end, what was asked for before is
    /// stored first.
    fn step_down(&mut self, why: &str) -> Work {
        let closing = self.closing.is_some();
        if closing {
            tracing::info!("{why}");
        } else {
            tracing::warn!("not leading any more: {why}");
            self.stand_by(None);
        }
        self.leads.send_replace(false);
        let (core, lease) = (self.core.take(), self.lease.take());
        let mut tasks = std::mem::take(&mut self.tasks);
        let drain = closing && self.lock.is_some();
        Box::pin(async move {
            tasks.shutdown().await;
            if let Some(core) = core.filter(|_| drain) {
                Shutdown::within(CLOSE_MAX, "last changes", core.state.close()).await;
            }
            if let Some(lease) = lease {
                lease.end().await;
            }
            Done::SteppedDown
        })
    }

    fn release(&mut self) -> Work {
        let (lock, lease) = (self.lock.take(), self.lease.take());
        let mut tasks = std::mem::take(&mut self.tasks);
        self.core = None;
        Box::pin(async move {
            tasks.shutdown().await;
            if let Some(lease) = lease {
                lease.end().await;
            }
            if let Some(lock) = lock {
                let path = lock.path().to_owned();
                match Shutdown::within(RELEASE_MAX, "lock", lock.release()).await {
                    Some(Ok(())) | None => {}
                    Some(Err(error)) => {
                        tracing::warn!(path, %error, "lock not released, it ends with its lease");
                    }
                }
            }
            Done::Released
        })
    }

    fn handle(&mut self, done: Done) {
        let now = self.now();
        match done {
            Done::Lock(attempt) => {
                let outcome = self.locked(attempt);
                self.leader.handle_lock(now, outcome);
            }
            Done::Fenced(own) => {
                let path = paths::ha_leader(&self.parts.model.product_name);
                self.fence = own.map(|value| Fence { path, value });
                self.leader.handle_fenced(self.fence.is_some());
            }
            Done::Loaded(started) => {
                let loaded = started.is_some();
                if let Some((core, tasks)) = started {
                    (self.core, self.tasks) = (Some(core), tasks);
                }
                self.leader.handle_loaded(now, loaded);
            }
            Done::SteppedDown => self.leader.handle_stepped_down(),
            Done::Released => self.leader.handle_released(now),
        }
    }

    fn locked(&mut self, attempt: Attempt) -> LockOutcome {
        let why = match attempt {
            Attempt::Taken { lock, last } => {
                let read = last.as_deref().map(json::decode::<LeaderRecord>);
                let (until, path) = (lock.valid_until(), lock.path().to_owned());
                self.lock = Some(lock);
                match read.transpose() {
                    Ok(read) => {
                        let (term, token) = (read.map(|last| last.term), &self.parts.model.token);
                        tracing::info!(path, token, "lock taken");
                        self.said.clear();
                        self.last = last;
                        let until = until.saturating_duration_since(self.origin);
                        let until = Time::from_origin(until);
                        return LockOutcome::Taken { until, term };
                    }
                    Err(error) => {
                        // Dropped, it goes.
                        self.lock = None;
                        let path = paths::ha_leader(&self.parts.model.product_name);
                        let why = format!("{path} is no record of a leader, repair it: {error}");
                        self.say(&why);
                        return LockOutcome::Failed;
                    }
                }
            }
            Attempt::Held { by, why } => {
                self.stand_by(by);
                self.say(&why);
                return LockOutcome::Held;
            }
            Attempt::Failed { why } => why,
        };
        self.say(&why);
        LockOutcome::Failed
    }

    fn stand_by(&mut self, leader: Option<String>) {
        self.parts.standby.hear(leader);
        if self.closing.is_none() {
            self.app.sit(Seat::Standby(self.parts.standby.clone()));
        }
    }

    /// Logs why the lock is not taken, once for each reason.
    fn say(&mut self, why: &str) {
        if self.said != why {
            tracing::warn!("lock not taken, standing by: {why}");
            why.clone_into(&mut self.said);
        }
    }
}

async fn finish(work: &mut Option<Work>) -> Done {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

async fn lost(lock: Option<&Lock>) -> String {
    match lock {
        Some(lock) => lock.lost().await,
        None => std::future::pending().await,
    }
}

async fn refused(lease: Option<&Lease>) -> crate::lease::Refused {
    match lease {
        Some(lease) => lease.refused().await,
        None => std::future::pending().await,
    }
}

async fn look_again(lock: Option<&Lock>) {
    match lock {
        Some(_) => tokio::time::sleep(LOOK_EVERY).await,
        None => std::future::pending().await,
    }
}

/// Waits for the end of a part that should not end.
async fn broken(core: Option<&Arc<Core>>, tasks: &mut JoinSet<()>) -> &'static str {
    let Some(core) = core else {
        return std::future::pending().await;
    };
    tokio::select! {
        Some(_) = tasks.join_next() => "a background task ended",
        () = core.state.ended() => "the owner of the records ended",
    }
}
