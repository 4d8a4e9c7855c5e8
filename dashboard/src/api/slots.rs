//! Slots given to groups and taken from them.

use axum::Router;
use axum::routing::put;
use codis_core::model::SlotMapping;
use codis_runtime::http::{JsonBody, ok};
use codis_topom::Cluster;
use codis_topom::edit::{self, Edit};

use super::call::Call;
use super::{App, Reply};

/// All routes of slots.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/slots/assign/{xauth}", put(assign))
        .route("/slots/assign/{xauth}/offline", put(offline))
}

async fn assign(call: Call, JsonBody(slots): JsonBody<Vec<SlotMapping>>) -> Reply {
    change(call, move |cluster| edit::assign_slots(cluster, &slots)).await
}

async fn offline(call: Call, JsonBody(slots): JsonBody<Vec<SlotMapping>>) -> Reply {
    change(call, move |cluster| edit::offline_slots(cluster, &slots)).await
}

/// Stores the change, then waits for the proxies that can answer. One that cannot is named; it is
/// told as soon as it answers.
async fn change(call: Call, decide: impl FnOnce(&Cluster) -> Edit + Send + 'static) -> Reply {
    let view = call.core.state.edit(call.audit(), decide).await?;
    call.core.fleet.settled(view.revision, None).await.ok()?;
    Ok(ok())
}
