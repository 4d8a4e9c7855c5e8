//! Makes the sentinels forget replicas that left their group, and sentinels that left the product;
//! see [`codis_topom::forget`]. Replicas that still follow the master they cannot forget:
//! [`super::strays`] sees to them. A sentinel that counts others again after its reset hears them:
//! somebody else's sentinels watch the master too, and it is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::model::{ActionState, Group};
use codis_core::paths;
use codis_topom::Cluster;
use codis_topom::forget::{Finding, Sight, following};
use tokio::time::Instant;

use super::strays::{Seen, Strays};
use super::{login, resolve_ip};
use crate::core::Core;
use crate::orders;
use crate::state::Audit;

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a replica must have been gone, and how long the sentinel that was reset may take to
/// learn the others before the next is looked at.
const SETTLE: Duration = Duration::from_secs(10);
/// The same for a sentinel that left: it says nothing more, and its last hello was on its way for
/// two seconds at most.
const SETTLE_PEERS: Duration = Duration::from_secs(4);

/// Sentinels that were made to count the others anew: group, address, and the list that was on
/// record.
type Recounted = BTreeSet<(u32, String, Vec<String>)>;

/// Looks for them for ever.
pub async fn forget_who_left(core: Arc<Core>) {
    let mut since: BTreeMap<u32, Instant> = BTreeMap::new();
    let mut miscounted: BTreeMap<u32, Instant> = BTreeMap::new();
    let mut recounted = Recounted::new();
    let mut strays = Strays::default();
    let views = core.state.subscribe();
    while views.has_changed().is_ok() {
        tokio::time::sleep(LOOK_EVERY).await;
        let cluster = core.state.cluster();
        if !cluster.has_sentinels() {
            since.clear();
            miscounted.clear();
        }
        recounted.retain(|(_, _, servers)| *servers == cluster.sentinel().servers);
        let quiet = |group: &&Group| group.promoting.state == ActionState::Nothing;
        for group in cluster.groups().filter(quiet) {
            if !cluster.has_sentinels() || group.servers.is_empty() {
                // There is nothing that anybody could be promoted to.
                strays.look(&core, group.id, &Seen::default()).await;
                continue;
            }
            let Some((found, seen)) = look(&core, &cluster, group).await else {
                continue;
            };
            strays.look(&core, group.id, &seen).await;
            if is_due(&mut since, group.id, found.reset.is_some(), SETTLE)
                && let Some(sentinel) = &found.reset
            {
                reset_one(&core, sentinel, group.id, "replica").await;
                continue;
            }
            let servers = &cluster.sentinel().servers;
            let recount = found.miscounts.filter(|_| is_settled(&cluster));
            let recount = recount.map(|sentinel| (group.id, sentinel, servers.clone()));
            let recount = recount.filter(|recount| !recounted.contains(recount));
            if is_due(&mut miscounted, group.id, recount.is_some(), SETTLE_PEERS)
                && let Some(recount) = recount
            {
                reset_one(&core, &recount.1, group.id, "sentinel").await;
                recounted.insert(recount);
            }
        }
    }
}

/// Whether the finding has stood for long enough; then it begins anew.
fn is_due(
    since: &mut BTreeMap<u32, Instant>,
    group: u32,
    is_found: bool,
    settle: Duration,
) -> bool {
    if !is_found {
        since.remove(&group);
        return false;
    }
    let now = Instant::now();
    let is_due = *since.entry(group).or_insert(now) + settle <= now;
    if is_due {
        since.insert(group, now);
    }
    is_due
}

/// Whether no sentinel is on its way in or out: the others would hear it again.
fn is_settled(cluster: &Cluster) -> bool {
    cluster.leaving().servers.is_empty() && !cluster.sentinel().out_of_sync
}

/// What is to be forgotten, and what is seen of the group; nothing while that is not known.
async fn look(core: &Core, cluster: &Cluster, group: &Group) -> Option<(Finding, Seen)> {
    let master = core.polls.server(&group.servers.first()?.addr)?;
    let name = paths::monitor_name(&core.settings.product_name, group.id);
    let mut servers = BTreeSet::new();
    for server in &group.servers {
        let addr: Addr = server.addr.parse().ok()?;
        // A name that does not resolve might be any of those that are listed.
        let ip = resolve_ip(&addr).await.ok()?;
        servers.insert(Addr::new(ip.as_str(), addr.port()));
    }
    let shown = cluster.sentinel().servers.iter().map(|addr| {
        let polled = core.polls.sentinel(addr);
        let monitored = polled.and_then(|stats| stats.sentinel.get(&name).cloned());
        (addr.clone(), monitored)
    });
    let sight = Sight {
        servers: &servers,
        following: &following(&master),
        shown: &shown.collect(),
    };
    let mut found = sight.judge();
    let strays = std::mem::take(&mut found.still_follow);
    Some((found, Seen { servers, strays }))
}

async fn reset_one(core: &Core, sentinel: &str, group: u32, what: &str) {
    let name = paths::monitor_name(&core.settings.product_name, group);
    let mut command = redis::cmd("SENTINEL");
    command.arg("RESET").arg(&name);
    let audit = Audit::own(format!("sentinels/forget-{what} {group}"));
    let peer = (sentinel, &login(&core.settings));
    let limit = core.settings.sentinel_client_timeout.duration();
    // How it ended is recorded, and it is looked again.
    let _ = orders::send::<redis::Value>(core, &audit, peer, limit, &command).await;
}
