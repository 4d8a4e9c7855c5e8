//! Servers that missed an order to follow, and are back.
//!
//! A promotion without sentinels marks each server that did not take the order `synced_failed`: the
//! old master that died, a replica that was away. When it answers again, and still follows nobody
//! or somebody else, the order is queued anew. A server that nobody ever told to follow is left
//! alone, for its keys would be lost. With sentinels this is their work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use codis_core::backoff::Backoff;
use codis_core::model::ActionState;
use codis_topom::{Cluster, edit};
use tokio::time::Instant;

use crate::core::Core;
use crate::poll;
use crate::state::Audit;
use codis_runtime::peer::master_of;

/// Pauses between two orders to one server.
const RETRY_MIN: Duration = Duration::from_secs(2);
/// The longest of them: the server answers, and refuses.
const RETRY_MAX: Duration = Duration::from_secs(300);

/// When a server may be told again.
struct Pause {
    backoff: Backoff,
    until: Instant,
}

/// Queues those orders for ever.
pub async fn reattach(core: Arc<Core>) {
    let mut pauses: BTreeMap<String, Pause> = BTreeMap::new();
    let mut views = core.state.subscribe();
    loop {
        let cluster = views.borrow_and_update().cluster.clone();
        let missed = missed(&cluster);
        pauses.retain(|addr, _| cluster.find_server(addr).is_some());
        for (addr, master) in missed {
            let Some(info) = core.polls.server(&addr) else {
                continue;
            };
            // It may have taken the order after all; then it is told once more, for the record.
            let follows = master_of(&info).is_some_and(|followed| followed == master);
            if follows && pauses.contains_key(&addr) {
                continue;
            }
            let now = Instant::now();
            let pause = pauses.entry(addr.clone()).or_insert_with(|| Pause {
                backoff: Backoff::new(RETRY_MIN, RETRY_MAX, u64::from(core.model.pid)),
                until: now,
            });
            if pause.until > now {
                continue;
            }
            pause.until = now + pause.backoff.next_delay();
            tracing::info!(
                server = addr,
                master,
                "server is back, told again to follow"
            );
            let audit = Audit::own(format!("group/reattach {addr}"));
            let queue = move |cluster: &Cluster| edit::create_sync(cluster, &addr);
            if let Err(error) = core.state.edit(audit, queue).await {
                tracing::warn!(%error, "sync action not queued");
            }
        }
        tokio::time::sleep(poll::EVERY).await;
        if views.has_changed().is_err() {
            return;
        }
    }
}

/// The servers that missed an order, each with the master that it should follow.
fn missed(cluster: &Cluster) -> Vec<(String, String)> {
    if cluster.has_sentinels() {
        return Vec::new();
    }
    let quiet = cluster
        .groups()
        .filter(|group| group.promoting.state == ActionState::Nothing);
    let servers = quiet.flat_map(|group| {
        let master = cluster.master(group.id);
        let others = group.servers.iter().skip(1);
        others.map(move |server| (server, master))
    });
    servers
        .filter(|(server, _)| server.action.state == ActionState::SyncedFailed)
        .map(|(server, master)| (server.addr.clone(), master.to_owned()))
        .collect()
}
