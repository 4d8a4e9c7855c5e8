//! Watching servers, proxies and sentinels: each has a task of its own that asks once a second, so
//! one that hangs makes nobody else's figures old. Servers are asked less often while nobody reads
//! their figures.

pub mod aged;
mod pace;
mod proxies;
pub mod sentinels;
mod servers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codis_core::api::{ProxyReport, ProxyStats, SentinelStats, ServerStats};
use tokio::sync::Notify;

pub use pace::EVERY;

use self::aged::{Answers, Figures};
use self::pace::Pace;
use crate::core::Core;
use crate::keyed::Keyed;
use codis_runtime::peer::{Fields, Info};

/// How long an answer may take.
pub const ANSWER_MAX: Duration = Duration::from_secs(1);

/// The last answers.
#[derive(Debug, Default)]
pub struct Polls {
    pace: Pace,
    servers: Mutex<Answers<Info>>,
    proxies: Mutex<Answers<ProxyStats>>,
    sentinels: Mutex<Answers<SentinelStats>>,
    /// Told whenever a sentinel was asked, by its address.
    asked: Mutex<BTreeMap<String, Arc<Notify>>>,
}

impl Polls {
    /// By server address, for somebody who reads them.
    pub fn servers(&self) -> BTreeMap<String, ServerStats> {
        self.pace.handle_read();
        let answers = held(&self.servers).clone();
        answers.shown()
    }

    /// By proxy token.
    pub fn proxies(&self) -> BTreeMap<String, ProxyReport> {
        let answers = held(&self.proxies).clone();
        answers.shown()
    }

    /// By sentinel address.
    pub fn sentinels(&self) -> BTreeMap<String, SentinelStats> {
        let answers = held(&self.sentinels).clone();
        answers.shown()
    }

    /// The memory limit that one server told last, be it hung by now.
    pub fn maxmemory(&self, addr: &str) -> Option<u64> {
        let servers = held(&self.servers);
        let fields = servers.get(addr)?.fields();
        fields.get("maxmemory")?.parse().ok()
    }

    /// The last figures of one server, unless it failed to give them.
    pub fn server(&self, addr: &str) -> Option<Fields> {
        let servers = held(&self.servers);
        servers.newest(addr).map(Info::fields)
    }

    /// The last answer of one sentinel, unless it failed to give one.
    pub fn sentinel(&self, addr: &str) -> Option<SentinelStats> {
        let sentinels = held(&self.sentinels);
        sentinels.newest(addr).cloned()
    }

    /// Is told each time that this sentinel was asked, whether it answered or not. One waits for
    /// it.
    pub fn sentinel_asked(&self, addr: &str) -> Arc<Notify> {
        held(&self.asked)
            .entry(addr.to_owned())
            .or_default()
            .clone()
    }

    /// The run id of a server, when it told it.
    pub fn run_id(&self, addr: &str) -> Option<String> {
        let servers = held(&self.servers);
        servers.get(addr)?.field("run_id").map(str::to_owned)
    }

    /// The server that has a run id.
    pub fn server_of(&self, run_id: &str) -> Option<String> {
        let servers = held(&self.servers);
        let has = |info: &Info| info.field("run_id") == Some(run_id);
        let found = servers.good().find(|(_, info)| has(info));
        found.map(|(addr, _)| addr.clone())
    }

    /// How many do not answer, and for how long.
    pub fn silence(&self) -> [Silence; 3] {
        fn of<F: Figures>(kind: &'static str, answers: &Answers<F>) -> Silence {
            Silence {
                kind,
                stale: answers.stale(),
                oldest: answers.oldest(),
            }
        }
        [
            of("server", &held(&self.servers)),
            of("proxy", &held(&self.proxies)),
            of("sentinel", &held(&self.sentinels)),
        ]
    }

    /// How often a worker of each proxy stood still, by token; of those that say so.
    pub fn stalls(&self) -> BTreeMap<String, u64> {
        let proxies = held(&self.proxies);
        let stalls = proxies
            .good()
            .filter(|(_, stats)| stats.stall_fence)
            .map(|(token, stats)| (token.clone(), stats.stalls));
        stalls.collect()
    }
}

/// The peers of one kind that do not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// `server`, `proxy` or `sentinel`.
    pub kind: &'static str,
    /// How many do not answer.
    pub stale: usize,
    /// How long ago the one that answered longest ago did, stale or not.
    pub oldest: Option<Duration>,
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
        held(&core.polls.servers).retain(|addr| addrs.iter().any(|known| known == addr));
        servers.update(addrs, |addr| {
            tokio::spawn(servers::poll(core.clone(), addr))
        });

        held(&core.polls.proxies).retain(|token| cluster.proxy(token).is_ok());
        let keys = cluster
            .proxies()
            .map(|p| (p.token.clone(), p.admin_addr.clone()));
        proxies.update(keys, |(token, _)| {
            tokio::spawn(proxies::poll(core.clone(), token))
        });

        let addrs = &cluster.sentinel().servers;
        held(&core.polls.sentinels).retain(|addr| addrs.iter().any(|known| known == addr));
        held(&core.polls.asked).retain(|addr, _| addrs.contains(addr));
        sentinels.update(addrs.iter().cloned(), |addr| {
            tokio::spawn(sentinels::poll(core.clone(), addr))
        });

        core.fleet.update(&cluster);
        if views.changed().await.is_err() {
            return;
        }
    }
}
