//! Watching servers, proxies and sentinels: each has a task of its own that asks once a second, so
//! one that hangs makes nobody else's figures old.

mod proxies;
pub mod sentinels;
mod servers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codis_core::api::{ProxyReport, SentinelStats, ServerStats};

use crate::core::Core;
use crate::keyed::Keyed;

/// How often each is asked.
pub const EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take.
pub const ANSWER_MAX: Duration = Duration::from_secs(1);

/// The last answers.
#[derive(Debug, Default)]
pub struct Polls {
    servers: Mutex<BTreeMap<String, ServerStats>>,
    proxies: Mutex<BTreeMap<String, ProxyReport>>,
    sentinels: Mutex<BTreeMap<String, SentinelStats>>,
}

impl Polls {
    /// By server address.
    pub fn servers(&self) -> BTreeMap<String, ServerStats> {
        held(&self.servers).clone()
    }

    /// By proxy token.
    pub fn proxies(&self) -> BTreeMap<String, ProxyReport> {
        held(&self.proxies).clone()
    }

    /// By sentinel address.
    pub fn sentinels(&self) -> BTreeMap<String, SentinelStats> {
        held(&self.sentinels).clone()
    }

    /// The run id of each server that told it.
    pub fn run_ids(&self) -> BTreeMap<String, String> {
        let servers = held(&self.servers);
        let told = servers
            .iter()
            .filter_map(|(addr, polled)| Some((addr, polled.stats.get("run_id")?)));
        told.map(|(addr, run_id)| (addr.clone(), run_id.clone()))
            .collect()
    }
}

fn held<T>(polls: &Mutex<T>) -> MutexGuard<'_, T> {
    polls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970, for people.
fn unixtime() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Runs a poller for each server, proxy and sentinel on record.
pub async fn watch(core: Arc<Core>) {
    let (mut servers, mut proxies, mut sentinels) =
        (Keyed::default(), Keyed::default(), Keyed::default());
    let mut views = core.state.subscribe();
    loop {
        let cluster = views.borrow_and_update().cluster.clone();
        let addrs = cluster
            .groups()
            .flat_map(|group| &group.servers)
            .map(|s| s.addr.clone());
        let addrs: Vec<String> = addrs.collect();
        held(&core.polls.servers).retain(|addr, _| addrs.contains(addr));
        servers.update(addrs, |addr| {
            tokio::spawn(servers::poll(core.clone(), addr))
        });

        held(&core.polls.proxies).retain(|token, _| cluster.proxy(token).is_ok());
        let keys = cluster
            .proxies()
            .map(|p| (p.token.clone(), p.admin_addr.clone()));
        proxies.update(keys, |(token, _)| {
            tokio::spawn(proxies::poll(core.clone(), token))
        });

        let addrs = &cluster.sentinel().servers;
        held(&core.polls.sentinels).retain(|addr, _| addrs.contains(addr));
        sentinels.update(addrs.iter().cloned(), |addr| {
            tokio::spawn(sentinels::poll(core.clone(), addr))
        });

        core.fleet.update(&cluster);
        if views.changed().await.is_err() {
            return;
        }
    }
}
