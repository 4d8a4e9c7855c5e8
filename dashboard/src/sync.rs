//! Drives the queue of sync orders.

use std::sync::Arc;
use std::time::Duration;

use codis_core::time::Time;
use codis_topom::sync::{Effect, SyncQueue};
use tokio::time::Instant;

use crate::core::Core;
use crate::push::sleep_until;
use crate::state::Audit;
use codis_runtime::peer::Peer;

/// How long a server may take to carry out the order; its config file is written within.
const ORDER_MAX: Duration = Duration::from_secs(10);

/// Carries out sync orders for ever, one at a time.
pub async fn run(core: Arc<Core>) {
    let origin = Instant::now();
    let now = || Time::from_origin(origin.elapsed());
    let mut queue = SyncQueue::default();
    let mut views = core.state.subscribe();
    loop {
        let cluster = views.borrow_and_update().cluster.clone();
        queue.handle_cluster(now(), &cluster);
        while let Some(effect) = queue.poll_effect() {
            match effect {
                Effect::Store(step) => {
                    let audit = Audit::own(format!("group/action {}", step.server));
                    let edited = core
                        .state
                        .edit(audit, move |cluster| step.edit(cluster))
                        .await;
                    if let Err(error) = &edited {
                        tracing::warn!(%error, "sync action not recorded");
                    }
                    queue.handle_stored(now(), &core.state.cluster(), edited.is_ok());
                }
                Effect::Order { server, master } => {
                    let ordered = order(&core, &server, master.as_deref()).await;
                    match &ordered {
                        Ok(()) => tracing::info!(server, master, "server ordered to follow"),
                        Err(error) => tracing::warn!(server, master, %error, "order not taken"),
                    }
                    queue.handle_ordered(ordered.is_ok());
                }
            }
        }
        let timeout = queue.poll_timeout().map(|at| origin + at.since_origin());
        tokio::select! {
            changed = views.changed() => if changed.is_err() { return },
            () = sleep_until(timeout) => {}
        }
    }
}

async fn order(
    core: &Core,
    server: &str,
    master: Option<&str>,
) -> Result<(), codis_runtime::peer::Error> {
    let auth = &core.settings.product_auth;
    let mut peer = Peer::connect(server, auth, ORDER_MAX).await?;
    peer.follow(master, auth).await
}
