//! Keeping each sentinel in step, by what the poller sees of it.
//!
//! Each sentinel has a keeper of its own with a backoff of its own, so one that is dead delays
//! nobody. The keeper compares what the poller saw, once a second, with the records; only
//! when they differ does it ask the sentinel itself and give orders. So a sentinel that lost its
//! file, or whose monitor somebody removed or changed by hand, is put right with the next poll.
//!
//! The mark `out_of_sync` of the sentinels is cleared when every keeper and every proxy that can be
//! reached is done and a majority of the sentinels is in step. Who cannot be reached is put right
//! when it returns, and holds nobody up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use codis_core::api::SentinelStats;
use codis_core::backoff::Backoff;
use codis_core::time::Time;
use codis_topom::watchlist::Wanted;
use codis_topom::{Cluster, edit};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ensure::{self, Charge};
use crate::core::Core;
use crate::orders::may_order;
use crate::state::{Audit, View};
use codis_runtime::peer::Error;

/// Pauses after an attempt that failed.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest of them.
const RETRY_MAX: Duration = Duration::from_secs(15);
/// How often one in step is looked at when its poller says nothing.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How often names are resolved again.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);

/// How far each sentinel is.
#[derive(Debug)]
pub struct Standings {
    sentinels: Mutex<BTreeMap<String, Standing>>,
    changed: watch::Sender<u64>,
}

/// How far one of them is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    /// The records that it was compared with.
    revision: u64,
    /// Whether it holds them.
    outcome: Outcome,
}

/// Whether a sentinel holds what the records say.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    InStep,
    Unreachable,
    Refusing,
}

impl Default for Standings {
    fn default() -> Self {
        Self {
            sentinels: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Standings {
    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Standing>> {
        self.sentinels
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, addr: &str, standing: Standing) {
        let held = self.held().insert(addr.to_owned(), standing.clone());
        if held.as_ref() != Some(&standing) {
            self.changed.send_modify(|count| *count += 1);
        }
    }

    fn forget(&self, addr: &str) {
        self.held().remove(addr);
    }

    /// Whether the mark may go: nobody who can be reached lags behind, and a majority is in step.
    fn settled(&self, revision: u64, servers: &[String]) -> bool {
        let sentinels = self.held();
        let of = |addr: &String| {
            let standing = sentinels.get(addr)?;
            (standing.revision >= revision).then_some(&standing.outcome)
        };
        let outcomes: Option<Vec<&Outcome>> = servers.iter().map(of).collect();
        outcomes.is_some_and(|outcomes| {
            let count = |wanted: &Outcome| outcomes.iter().filter(|o| **o == wanted).count();
            let in_step = count(&Outcome::InStep);
            count(&Outcome::Refusing) == 0 && (in_step > servers.len() / 2 || servers.is_empty())
        })
    }
}

/// Keeps all sentinels on record in step, and clears the mark of those that are.
pub async fn keep_in_sync(core: Arc<Core>) {
    let mut keepers = JoinSet::new();
    let mut kept: BTreeMap<String, tokio::task::AbortHandle> = BTreeMap::new();
    let mut views = core.state.subscribe();
    let mut standings = core.standings.changed.subscribe();
    let mut told = core.told.changes();
    loop {
        let view = views.borrow_and_update().clone();
        standings.mark_unchanged();
        told.mark_unchanged();
        kept.retain(|_, keeper| !keeper.is_finished());
        for addr in &view.cluster.sentinel().servers {
            if !kept.contains_key(addr) {
                let keeper = keepers.spawn(keep(core.clone(), addr.clone()));
                kept.insert(addr.clone(), keeper);
            }
        }
        if view.cluster.sentinel().out_of_sync {
            clear(&core, &view).await;
        }
        tokio::select! {
            changed = views.changed() => if changed.is_err() { return },
            Ok(()) = standings.changed() => {}
            Ok(()) = told.changed() => {}
            Some(_) = keepers.join_next() => {}
        }
    }
}

/// Clears the mark when all who can be reached hold what the records say.
async fn clear(core: &Core, view: &View) {
    let sentinel = view.cluster.sentinel().clone();
    if !core.standings.settled(view.revision, &sentinel.servers) || !core.told.settled(view) {
        return;
    }
    let unchanged = move |cluster: &Cluster| {
        if cluster.sentinel().servers == sentinel.servers {
            edit::mark_sentinels(cluster, false)
        } else {
            Ok(Vec::new())
        }
    };
    match core
        .state
        .edit(Audit::own("sentinels/in-sync"), unchanged)
        .await
    {
        Ok(_) => tracing::info!("sentinels and proxies are in step"),
        Err(error) => tracing::warn!(%error, "sentinels not marked as in step"),
    }
}

/// Keeps one sentinel in step for as long as it is on record. It ends by itself, so that what it
/// told at the last moment is taken back.
async fn keep(core: Arc<Core>, addr: String) {
    let mut keeper = Keeper {
        charge: Charge::new(&addr),
        origin: Instant::now(),
        wanted: None,
        said: String::new(),
        addr,
    };
    let seed = u64::from(core.model.pid);
    let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX, seed);
    let mut views = core.state.subscribe();
    loop {
        let view = views.borrow_and_update().clone();
        if !view.cluster.sentinel().servers.contains(&keeper.addr) {
            keeper.leave(&core).await;
            return;
        }
        let outcome = keeper.round(&core, &view).await;
        let pause = match &outcome {
            Ok(()) => {
                backoff.reset();
                LOOK_EVERY
            }
            Err(_) => backoff.next_delay(),
        };
        let failure = keeper.report(&core, view.revision, outcome.err());
        tokio::select! {
            changed = views.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
            () = keeper.asked(&core, failure) => {}
        }
    }
}

struct Keeper {
    addr: String,
    charge: Charge,
    origin: Instant,
    wanted: Option<Resolved>,
    said: String,
}

struct Resolved {
    revision: u64,
    until: Instant,
    wanted: Vec<Wanted>,
}

impl Keeper {
    fn now(&self) -> Time {
        Time::from_origin(self.origin.elapsed())
    }

    /// Compares, and tells the sentinel what differs.
    async fn round(&mut self, core: &Core, view: &View) -> Result<(), Error> {
        let polled = core.polls.sentinel(&self.addr);
        let same = |stats: &SentinelStats| {
            let run_id = stats.stats.get("run_id");
            run_id.is_some_and(|run_id| self.charge.is_process(run_id))
        };
        if let Some(stats) = polled.filter(same) {
            let now = self.now();
            let wanted = self.resolve(core, view).await?;
            let seen = stats
                .sentinel
                .into_iter()
                .map(|(name, monitored)| (name, monitored.master))
                .collect();
            let plan = self.charge.compare(now, &wanted, &core.settings, &seen);
            if plan.orders.is_empty() {
                return Ok(());
            }
        }
        may_order(core)?;
        let limit = core.settings.sentinel_client_timeout.duration();
        let now = self.now();
        let (audit, told) = (Audit::own("sentinels/keep"), (&*view.cluster, false));
        let ensured = self.charge.ensure(core, &audit, now, told);
        let ensured = tokio::time::timeout(limit, ensured).await;
        ensured.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                addr: self.addr.clone(),
            })
        })
    }

    /// What it should watch; names are resolved when the records change, and now and then.
    async fn resolve(&mut self, core: &Core, view: &View) -> Result<Vec<Wanted>, Error> {
        let now = Instant::now();
        if let Some(held) = &self.wanted
            && held.revision == view.revision
            && now < held.until
        {
            return Ok(held.wanted.clone());
        }
        let wanted = ensure::wanted(&core.settings, &view.cluster).await?;
        self.wanted = Some(Resolved {
            revision: view.revision,
            until: now + RESOLVE_EVERY,
            wanted: wanted.clone(),
        });
        Ok(wanted)
    }

    /// Waits until the poller saw something of the sentinel that may be news: anything of one that
    /// is in step, and the first answer of one that could not be reached.
    async fn asked(&self, core: &Core, outcome: Outcome) {
        let asked = core.polls.sentinel_asked(&self.addr);
        loop {
            asked.notified().await;
            match outcome {
                Outcome::InStep => return,
                Outcome::Unreachable if core.polls.sentinel(&self.addr).is_some() => return,
                Outcome::Unreachable | Outcome::Refusing => {}
            }
        }
    }

    fn report(&mut self, core: &Core, revision: u64, error: Option<Error>) -> Outcome {
        let outcome = match &error {
            None => Outcome::InStep,
            Some(Error::TimedOut { .. } | Error::Broken { .. }) => Outcome::Unreachable,
            Some(Error::Refused(_) | Error::WrongPassword { .. }) => Outcome::Refusing,
        };
        let standing = Standing {
            revision,
            outcome: outcome.clone(),
        };
        core.standings.set(&self.addr, standing);
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        if text != self.said {
            match text.as_str() {
                "" => tracing::info!(sentinel = self.addr, "sentinel is in step"),
                error => tracing::warn!(sentinel = self.addr, error, "sentinel is not in step"),
            }
            self.said = text;
        }
        outcome
    }

    /// It left the record; what it was told meanwhile is taken back.
    async fn leave(&self, core: &Core) {
        core.standings.forget(&self.addr);
        if may_order(core).is_err() {
            return;
        }
        let audit = Audit::own("sentinels/leave");
        if let Err(error) = ensure::forget(core, &audit, &self.addr).await {
            tracing::info!(sentinel = self.addr, %error, "the sentinel that left was not told");
        }
    }
}
