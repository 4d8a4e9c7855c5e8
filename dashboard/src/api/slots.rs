//! Slots given to groups and taken from them.

use axum::Router;
use axum::routing::put;
use codis_core::model::SlotMapping;
use codis_runtime::http::{JsonBody, ok};
use codis_topom::Cluster;
use codis_topom::edit::{self, Edit};

use super::call::Call;
use super::mappings::Mappings;
use super::{App, Reply};
use crate::groups;

type Decide = fn(&Cluster, &[SlotMapping]) -> Edit;

/// All routes of slots.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/slots/assign/{xauth}", put(assign))
        .route("/slots/assign/{xauth}/offline", put(offline))
}

async fn assign(call: Call, JsonBody(Mappings(slots)): JsonBody<Mappings>) -> Reply {
    change(call, slots, edit::assign_slots).await
}

async fn offline(call: Call, JsonBody(Mappings(slots)): JsonBody<Mappings>) -> Reply {
    change(call, slots, edit::offline_slots).await
}

/// Stores everything or nothing, then waits for the proxies that can answer. One that cannot is
/// named; it is told as soon as it answers.
async fn change(call: Call, slots: Vec<SlotMapping>, decide: Decide) -> Reply {
    let core = &call.core;
    let ids: Vec<u16> = slots.iter().map(|slot| slot.id).collect();
    let stored = core
        .state
        .edit(call.audit(), move |cluster| decide(cluster, &slots));
    let revision = stored.await?.revision;
    groups::settled(core, &ids, revision).await?;
    Ok(ok())
}
