//! What all parts of an online dashboard share.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use codis_core::ha::Term;
use codis_core::model::Topom;
use codis_topom::Refusal;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::audit::AuditLog;
use crate::config::Settings;
use crate::lease::Lease;
use crate::metrics::Counters;
use crate::poll::{self, Polls};
use crate::proxies::{self, ProxyApi};
use crate::push::{Fleet, Pushed};
use crate::sentinels::{self, Belief, Standings, Told};
use crate::state::{self, State};
use crate::store::{self, Store};
use crate::{groups, mover, promote, sync};

/// A dashboard that holds the lock and has read its records.
#[derive(Debug)]
pub struct Core {
    /// The settings.
    pub settings: Settings,
    /// Who it is.
    pub model: Topom,
    /// The store, for what is read beside the records; they are written by their owner alone.
    pub store: Store,
    /// Its time as the leader. Tasks that act are spawned with it.
    pub lease: Lease,
    /// The owner of the records.
    pub state: State,
    /// The proxies' rows.
    pub fleet: Fleet,
    /// The proxies' API.
    pub proxies: ProxyApi,
    /// Proxies that are being removed.
    pub leaving: proxies::Leaving,
    /// What the pollers saw last.
    pub polls: Polls,
    /// What the sentinels say.
    pub belief: Belief,
    /// The counters.
    pub counters: Counters,
    /// The audit log.
    pub audit: AuditLog,
    /// How far each sentinel is.
    pub standings: Standings,
    /// What each proxy was told of the sentinels.
    pub told: Told,
    /// How far slot actions are.
    pub slot_actions: mover::Board,
    promoting: Mutex<BTreeSet<u32>>,
}

/// Why a call did not succeed, in the words that the caller is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl Failure {
    /// A failure that says `cause`.
    pub fn new(cause: impl Into<String>) -> Self {
        Self(cause.into())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.to_string())
    }
}

impl From<state::Error> for Failure {
    fn from(error: state::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<codis_runtime::peer::Error> for Failure {
    fn from(error: codis_runtime::peer::Error) -> Self {
        Self(error.to_string())
    }
}

/// Which proxies that may serve clients did not take the newest slots in time. They are told as
/// soon as they answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Tokens.
    pub behind: Vec<String>,
}

impl From<Pushed> for Settled {
    fn from(pushed: Pushed) -> Self {
        Self {
            behind: pushed.blocking().map(str::to_owned).collect(),
        }
    }
}

impl Settled {
    /// An error that names the first proxy that is behind.
    pub fn ok(&self) -> Result<(), Failure> {
        match self.behind.first() {
            None => Ok(()),
            Some(token) => Err(Failure::new(format!("proxy-[{token}] resync slots failed"))),
        }
    }
}

/// Marks a group as being promoted by this process, until dropped.
#[derive(Debug)]
pub struct PromotionGuard {
    core: Arc<Core>,
    group: u32,
}

impl Drop for PromotionGuard {
    fn drop(&mut self) {
        let mut promoting = self
            .core
            .promoting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        promoting.remove(&self.group);
    }
}

impl Core {
    /// The term, if an order may leave now. It is asked right before each order to a server, a
    /// sentinel or a proxy, because this process may have been stopped while another one took over.
    ///
    /// # Errors
    /// The lease is over.
    pub fn order(&self) -> Result<Term, Failure> {
        self.lease.order()
    }

    /// Reads the records and starts all background tasks; they end with the set and the lease.
    ///
    /// # Errors
    /// A record cannot be read.
    pub async fn start(
        settings: Settings,
        model: Topom,
        store: Store,
        lease: Lease,
        counters: Counters,
        audit: AuditLog,
    ) -> Result<(Arc<Self>, JoinSet<()>), store::Error> {
        let state = State::start(store.clone(), &lease, counters.clone(), audit.clone()).await?;
        let api = ProxyApi::new(
            &settings.product_name,
            &settings.product_auth,
            lease.clone(),
            audit.clone(),
        );
        let (open, opened) = watch::channel(false);
        let views = state.subscribe();
        let fleet = Fleet::new(
            api.clone(),
            lease.clone(),
            &settings,
            views,
            opened,
            counters.clone(),
        );
        let core = Arc::new(Self {
            settings,
            model,
            store,
            lease,
            state,
            fleet,
            proxies: api,
            leaving: proxies::Leaving::default(),
            polls: Polls::default(),
            belief: Belief::new(open),
            counters,
            audit,
            standings: Standings::default(),
            told: Told::default(),
            slot_actions: mover::Board::default(),
            promoting: Mutex::new(BTreeSet::new()),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(groups::keep_in_sync(core.clone()));
        tasks.spawn(groups::reattach(core.clone()));
        tasks.spawn(poll::watch(core.clone()));
        tasks.spawn(promote::resume_all(core.clone()));
        tasks.spawn(sentinels::keep_in_sync(core.clone()));
        tasks.spawn(sentinels::tell_all(core.clone()));
        tasks.spawn(sentinels::forget_who_left(core.clone()));
        tasks.spawn(sentinels::let_go(core.clone()));
        tasks.spawn(sentinels::listen_all(core.clone()));
        tasks.spawn(proxies::let_go(core.clone()));
        let opener = core.clone();
        // Each task of the set lasts until the stop; one that ends means that something broke.
        tasks.spawn(async move {
            sentinels::open_rows(opener).await;
            std::future::pending().await
        });
        tasks.spawn(sync::run(core.clone()));
        tasks.spawn(mover::run(core.clone()));
        Ok((core, tasks))
    }

    /// Makes the caller the only one who promotes in `group`.
    pub fn claim_promotion(self: &Arc<Self>, group: u32) -> Result<PromotionGuard, Refusal> {
        let mut promoting = self
            .promoting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if promoting.insert(group) {
            Ok(PromotionGuard {
                core: self.clone(),
                group,
            })
        } else {
            Err(Refusal::GroupPromoting(group))
        }
    }
}
