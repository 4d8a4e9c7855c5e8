//! Plans that level the groups, and what they need to know of the servers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use codis_runtime::peer::{self, Peer};
use codis_topom::rebalance::{self, Plan};
use codis_topom::{Cluster, Refusal, edit};
use tokio::task::JoinSet;

use crate::core::{Core, Failure};
use crate::keyspace;
use crate::state::Audit;

/// How long a server may take to count the keys of its slots.
const COUNT_MAX: Duration = Duration::from_secs(3);
/// How long it may take to say how many keys there are in all: one that hangs is given up by then.
const GREET_MAX: Duration = Duration::from_millis(700);

/// What is levelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The number of slots, exactly as the original does.
    Slots,
    /// The number of slots in proportion to `maxmemory`, as Codis 2 did.
    Memory,
    /// The number of keys.
    Keys,
}

/// What a plan is made from, besides the records.
#[derive(Clone, Debug)]
enum Figures {
    None,
    /// `maxmemory` of each group's master.
    Memory(BTreeMap<u32, u64>),
    /// The keys of each slot.
    Keys(BTreeMap<u16, u64>),
}

/// The slots that should move.
///
/// # Errors
/// There is nothing to level, or a server does not tell what must be known.
pub async fn plan(core: &Core, by: By) -> Result<Plan, Failure> {
    let figures = figures(core, by).await?;
    Ok(figures.plan(&core.state.cluster())?)
}

/// Queues the plan of the moment and gives it.
///
/// # Errors
/// As [`plan`], or the store refused.
pub async fn carry_out(core: &Core, audit: Audit, by: By) -> Result<Plan, Failure> {
    let figures = figures(core, by).await?;
    let made = Arc::new(Mutex::new(Plan::new()));
    let kept = made.clone();
    let queue = move |cluster: &Cluster| {
        let plan = figures.plan(cluster)?;
        let queued = edit::queue_all(cluster, &plan);
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = plan;
        queued
    };
    core.state.edit(audit, queue).await?;
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut *made))
}

impl Figures {
    fn plan(&self, cluster: &Cluster) -> Result<Plan, Refusal> {
        match self {
            Self::None => rebalance::plan(cluster),
            Self::Memory(memory) => rebalance::by_memory(cluster, memory),
            Self::Keys(keys) => rebalance::by_keys(cluster, keys),
        }
    }
}

async fn figures(core: &Core, by: By) -> Result<Figures, Failure> {
    match by {
        By::Slots => Ok(Figures::None),
        By::Memory => Ok(Figures::Memory(maxmemory(core))),
        By::Keys => count_all(core).await.map(Figures::Keys),
    }
}

/// The memory limits that the servers told last, also of those that hang.
fn maxmemory(core: &Core) -> BTreeMap<u32, u64> {
    let of_master = |group: &codis_core::model::Group| {
        let master = &group.servers.first()?.addr;
        Some((group.id, core.polls.maxmemory(master)?))
    };
    core.state
        .cluster()
        .groups()
        .filter_map(of_master)
        .collect()
}

/// The keys of each slot at the master that owns it. A master that cannot tell by slot is taken to
/// have them spread evenly.
async fn count_all(core: &Core) -> Result<BTreeMap<u16, u64>, Failure> {
    let cluster = core.state.cluster();
    let mut counting = JoinSet::new();
    for group in cluster.groups() {
        let Some(master) = group.servers.first() else {
            continue;
        };
        let (id, addr) = (group.id, master.addr.clone());
        let auth = core.settings.product_auth.clone();
        counting.spawn(async move {
            let counted = tokio::time::timeout(COUNT_MAX, count(&addr, &auth)).await;
            let late = peer::Error::TimedOut { addr };
            (id, counted.unwrap_or(Err(late)))
        });
    }
    let mut keys = BTreeMap::new();
    while let Some(counted) = counting.join_next().await {
        let (group, counted) = counted.map_err(|error| Failure::new(error.to_string()))?;
        let owned: BTreeSet<u16> = cluster
            .slots()
            .iter()
            .filter(|slot| slot.group_id == group)
            .map(|slot| slot.id)
            .collect();
        match counted? {
            Counted::BySlot(slots) => {
                keys.extend(slots.into_iter().filter(|(slot, _)| owned.contains(slot)));
            }
            Counted::InAll(sum) => {
                let each = sum / u64::try_from(owned.len().max(1)).unwrap_or(1);
                keys.extend(owned.into_iter().map(|slot| (slot, each)));
            }
        }
    }
    Ok(keys)
}

enum Counted {
    BySlot(BTreeMap<u16, u64>),
    InAll(u64),
}

async fn count(addr: &str, auth: &str) -> Result<Counted, peer::Error> {
    let greeted = async {
        let mut peer = Peer::connect(addr, auth, COUNT_MAX).await?;
        let dbs = keyspace::read(&mut peer).await?;
        Ok((peer, dbs))
    };
    let late = |_| peer::Error::TimedOut {
        addr: addr.to_owned(),
    };
    let greeted: Result<_, peer::Error> = tokio::time::timeout(GREET_MAX, greeted)
        .await
        .map_err(late)?;
    let (mut peer, dbs) = greeted?;
    let mut slots = BTreeMap::new();
    for db in dbs.keys() {
        let () = peer.call(redis::cmd("SELECT").arg(db)).await?;
        let pairs: Result<Vec<(u16, u64)>, _> = peer.call(&redis::cmd("SLOTSINFO")).await;
        match pairs {
            Ok(pairs) => {
                for (slot, keys) in pairs {
                    *slots.entry(slot).or_default() += keys;
                }
            }
            // A stock server does not know its slots.
            Err(error) if error.is_refusal() => return Ok(Counted::InAll(dbs.values().sum())),
            Err(error) => return Err(error),
        }
    }
    Ok(Counted::BySlot(slots))
}
