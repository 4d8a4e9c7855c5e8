//! Makes the sentinels forget replicas that left their group; see [`codis_topom::forget`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::model::{ActionState, Group};
use codis_core::paths;
use codis_topom::Cluster;
use codis_topom::forget::{Finding, Sight, following};
use tokio::time::Instant;

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
    let mut told: BTreeSet<(u32, Addr)> = BTreeSet::new();
    let views = core.state.subscribe();
    while views.has_changed().is_ok() {
        tokio::time::sleep(LOOK_EVERY).await;
        let cluster = core.state.cluster();
        if !cluster.has_sentinels() {
            since.clear();
            continue;
        }
        let quiet = |group: &&Group| group.promoting.state == ActionState::Nothing;
        for group in cluster.groups().filter(quiet) {
            let Some(finding) = look(&core, &cluster, group).await else {
                continue;
            };
            told.retain(|(id, addr)| *id != group.id || finding.still_follow.contains(addr));
            for addr in finding.still_follow {
                if told.insert((group.id, addr.clone())) {
                    tracing::warn!(
                        group = group.id,
                        replica = %addr,
                        "a server that is not of the group follows its master, and the sentinels \
                         may promote it: stop it, run SLAVEOF NO ONE there, or add it"
                    );
                }
            }
            let Some(sentinel) = finding.reset else {
                since.remove(&group.id);
                continue;
            };
            let now = Instant::now();
            if *since.entry(group.id).or_insert(now) + SETTLE <= now {
                since.insert(group.id, now);
                reset(&core, &sentinel, group.id).await;
            }
        }
    }
}

async fn look(core: &Core, cluster: &Cluster, group: &Group) -> Option<Finding> {
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
    Some(sight.judge())
}

async fn reset(core: &Core, sentinel: &str, group: u32) {
    let name = paths::monitor_name(&core.settings.product_name, group);
    let mut command = redis::cmd("SENTINEL");
    command.arg("RESET").arg(&name);
    let audit = Audit::own(format!("sentinels/forget-replica {group}"));
    let peer = (sentinel, &login(&core.settings));
    let limit = core.settings.sentinel_client_timeout.duration();
    // How it ended is recorded, and it is looked again.
    let _ = orders::send::<redis::Value>(core, &audit, peer, limit, &command).await;
}
