//! Drives the queue of sync orders. Orders run side by side, so a server that hangs keeps nobody
//! else waiting.

use std::sync::Arc;
use std::time::Duration;

use codis_core::time::Time;
use codis_topom::sync::{Effect, Step, SyncQueue};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::core::Core;
use crate::orders;
use crate::push::sleep_until;
use crate::state::Audit;

/// How long a server may take to carry out the order; its config file is written within.
const ORDER_MAX: Duration = Duration::from_secs(10);

/// Carries out sync orders for ever.
pub async fn run(core: Arc<Core>) {
    let origin = Instant::now();
    let now = || Time::from_origin(origin.elapsed());
    let mut queue = SyncQueue::new(core.settings.sync_parallel as usize);
    let mut orders = JoinSet::new();
    let mut views = core.state.subscribe();
    loop {
        let cluster = views.borrow_and_update().cluster.clone();
        queue.handle_cluster(now(), &cluster);
        while let Some(effect) = queue.poll_effect() {
            match effect {
                Effect::Store(step) => {
                    let server = step.server.clone();
                    let stored = store(&core, step).await;
                    queue.handle_stored(now(), &core.state.cluster(), &server, stored);
                }
                Effect::Order { server, master } => {
                    orders.spawn(order(core.clone(), server, master));
                }
            }
        }
        let timeout = queue.poll_timeout().map(|at| origin + at.since_origin());
        tokio::select! {
            changed = views.changed() => if changed.is_err() { return },
            Some(ordered) = orders.join_next() => match ordered {
                Ok((server, ok)) => queue.handle_ordered(&server, ok),
                // Only a panic ends an order without an answer, and it is reported where it was.
                Err(error) => tracing::error!(%error, "sync order cut short"),
            },
            () = sleep_until(timeout) => {}
        }
    }
}

async fn store(core: &Core, step: Step) -> bool {
    let audit = Audit::own(format!("group/action {}", step.server));
    let edited = core
        .state
        .edit(audit, move |cluster| step.edit(cluster))
        .await;
    if let Err(error) = &edited {
        tracing::warn!(%error, "sync action not recorded");
    }
    edited.is_ok()
}

/// Gives one order; tells whether the server took it.
async fn order(core: Arc<Core>, server: String, master: Option<String>) -> (String, bool) {
    let audit = Audit::own(format!("group/action {server}"));
    let outcome = orders::follow(&core, &audit, &server, master.as_deref(), ORDER_MAX).await;
    (server, outcome.is_ok())
}
