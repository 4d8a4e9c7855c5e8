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

/// Slots stored in one go. The store is slow where it syncs to disk, and a failover must not wait
/// for a thousand records.
const PIECE_MAX: usize = 64;

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

/// Checks everything, stores it piece by piece, then waits for the proxies that can answer. One
/// that cannot is named; it is told as soon as it answers.
async fn change(call: Call, slots: Vec<SlotMapping>, decide: Decide) -> Reply {
    let core = &call.core;
    decide(&core.state.cluster(), &slots)?;
    let ids: Vec<u16> = slots.iter().map(|slot| slot.id).collect();
    let mut revision = core.state.view().revision;
    for piece in slots.chunks(PIECE_MAX) {
        let piece = piece.to_vec();
        let stored = core
            .state
            .edit(call.audit(), move |cluster| decide(cluster, &piece));
        revision = stored.await?.revision;
    }
    groups::settled(core, &ids, revision).await?;
    Ok(ok())
}
