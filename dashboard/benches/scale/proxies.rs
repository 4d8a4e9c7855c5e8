//! Proxies that take slots and say so, a hundred in one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::Path;
use axum::routing::{get, put};
use axum::{Json, Router};
use codis_core::api::{ProxyStats, Slot, slots_digest};
use codis_core::model;
use codis_runtime::http::{self, json, ok};
use codis_runtime::shutdown::Shutdown;
use tokio::time::Instant;

const SLOTS: usize = codis_core::slot::SLOTS;

#[derive(Debug, Default)]
struct State {
    slots: BTreeMap<u16, Slot>,
    /// Slots taken, ever.
    taken: usize,
    stalls: u64,
}

/// One proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub addr: String,
    pub token: String,
    state: Arc<Mutex<State>>,
}

/// All of them.
pub struct Proxies {
    pub all: Vec<Proxy>,
}

impl Proxies {
    pub async fn start(count: usize) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for number in 0..count {
            let listener = http::bind("127.0.0.1:0").await?;
            let proxy = Proxy {
                addr: listener.local_addr()?.to_string(),
                token: format!("{number:032x}"),
                state: Arc::default(),
            };
            tokio::spawn(http::serve(listener, proxy.routes(), Shutdown::new()));
            all.push(proxy);
        }
        Ok(Self { all })
    }

    /// How often the proxy with the fewest slots was sent all of them.
    pub fn rounds(&self) -> usize {
        let taken = self.all.iter().map(|proxy| proxy.state().taken);
        taken.min().unwrap_or(0) / SLOTS
    }

    /// Waits until each was sent all slots so often.
    pub async fn until_filled(&self, rounds: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.rounds() < rounds {
            anyhow::ensure!(Instant::now() < deadline, "proxies are not filled");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

impl Proxy {
    pub fn model(&self) -> model::Proxy {
        model::Proxy {
            token: self.token.clone(),
            admin_addr: self.addr.clone(),
            proxy_addr: self.addr.clone(),
            product_name: super::board::PRODUCT.to_owned(),
            start_time: "once".to_owned(),
            ..model::Proxy::default()
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots(&self) -> Vec<Slot> {
        let state = self.state();
        let empty = |id| Slot {
            id,
            ..Slot::default()
        };
        let all = 0..SLOTS as u16;
        all.map(|id| state.slots.get(&id).cloned().unwrap_or_else(|| empty(id)))
            .collect()
    }

    fn fill(&self, slots: Vec<Slot>) {
        let mut state = self.state();
        state.taken += slots.len();
        state
            .slots
            .extend(slots.into_iter().map(|slot| (slot.id, slot)));
    }

    fn stats(&self) -> ProxyStats {
        ProxyStats {
            online: true,
            stall_fence: true,
            stalls: self.state().stalls,
            ..ProxyStats::default()
        }
    }

    fn routes(&self) -> Router {
        let its = || self.clone();
        let (model, stats, slots, digest, fill) = (its(), its(), its(), its(), its());
        Router::new()
            .route("/api/proxy/model", get(async move || json(&model.model())))
            .route("/api/proxy/xping/{xauth}", get(async || ok()))
            .route(
                "/api/proxy/stats/{xauth}/{flags}",
                get(async move || json(&stats.stats())),
            )
            .route(
                "/api/proxy/slots/{xauth}",
                get(async move || json(&slots.slots())),
            )
            .route(
                "/api/proxy/slots/digest/{xauth}",
                get(async move || json(&slots_digest(digest.slots()))),
            )
            .route(
                "/api/proxy/fillslots/{xauth}",
                put(async move |Json(slots): Json<Vec<Slot>>| {
                    fill.fill(slots);
                    ok()
                }),
            )
            .route(
                "/api/proxy/fence/{xauth}/{stalls}",
                put(async |Path(_): Path<(String, u64)>| ok()),
            )
            .route("/api/proxy/start/{xauth}", put(async || ok()))
            .route("/api/proxy/sentinels/{xauth}", put(async || ok()))
    }
}
