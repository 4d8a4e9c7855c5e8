//! Makes the sentinels forget replicas that left their group; see [`codis_topom::forget`]. Those
//! that still follow its master they cannot forget: [`super::strays`] sees to them.

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

/// Looks for such replicas for ever.
pub async fn forget_replicas(core: Arc<Core>) {
    let mut since: BTreeMap<u32, Instant> = BTreeMap::new();
    let mut strays = Strays::default();
    let views = core.state.subscribe();
    while views.has_changed().is_ok() {
        tokio::time::sleep(LOOK_EVERY).await;
        let cluster = core.state.cluster();
        if !cluster.has_sentinels() {
            since.clear();
        }
        let quiet = |group: &&Group| group.promoting.state == ActionState::Nothing;
        for group in cluster.groups().filter(quiet) {
            if !cluster.has_sentinels() || group.servers.is_empty() {
                // There is nothing that anybody could be promoted to.
                strays.look(&core, group.id, &Seen::default()).await;
                continue;
            }
            let Some((reset, seen)) = look(&core, &cluster, group).await else {
                continue;
            };
            strays.look(&core, group.id, &seen).await;
            let Some(sentinel) = reset else {
                since.remove(&group.id);
                continue;
            };
            let now = Instant::now();
            if *since.entry(group.id).or_insert(now) + SETTLE <= now {
                since.insert(group.id, now);
                reset_one(&core, &sentinel, group.id).await;
            }
        }
    }
}

/// Which sentinel to reset, and what is seen of the group; nothing while that is not known.
async fn look(core: &Core, cluster: &Cluster, group: &Group) -> Option<(Option<String>, Seen)> {
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
    let Finding {
        reset,
        still_follow,
    } = sight.judge();
    let strays = still_follow;
    Some((reset, Seen { servers, strays }))
}

async fn reset_one(core: &Core, sentinel: &str, group: u32) {
    let name = paths::monitor_name(&core.settings.product_name, group);
    let mut command = redis::cmd("SENTINEL");
    command.arg("RESET").arg(&name);
    let audit = Audit::own(format!("sentinels/forget-replica {group}"));
    let peer = (sentinel, &login(&core.settings));
    let limit = core.settings.sentinel_client_timeout.duration();
    // How it ended is recorded, and it is looked again.
    let _ = orders::send::<redis::Value>(core, &audit, peer, limit, &command).await;
}
