//! Actions that are taken back after they have started.

use codis_core::model::ActionState;

use super::{KEYS, SLOTS, Stage, keys_of, states};
use crate::bed::until;

/// Keys that have moved come back, and clients notice nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_slot_comes_back_with_its_keys() {
    let stage = Stage::new("migration_async_numkeys = 1\n", 2).await;
    let load = stage.load();
    load.warm_up();
    let id = SLOTS.start;
    let keys = keys_of(id..id + 1, KEYS);
    stage.dashboard.put("slots/action/interval/X/1000000").await;
    stage
        .dashboard
        .put(&format!("slots/action/create/X/{id}/2"))
        .await;
    until("some keys have moved, and some have not", async || {
        let states = states(&stage.dashboard.stats().await);
        states[0] == ActionState::Migrating && stage.sites[1].has(0, &keys) > 0
    })
    .await;
    let refused = stage
        .dashboard
        .refused(&format!("slots/action/remove/X/{id}"))
        .await;
    assert_eq!(refused, format!("slot-[{id}] action isn't pending"));
    stage
        .dashboard
        .put(&format!("slots/action/cancel/X/{id}"))
        .await;
    stage.dashboard.put("slots/action/interval/X/0").await;
    stage.moved_to(1).await;
    load.go_on();
    stage.check(load, false).await;
    until("no wish to cancel is left", async || {
        let record = stage.bed.record("/codis3/demo/ha/slot-action").unwrap();
        record.contains("\"cancelled\": {}")
    })
    .await;
    let nothing = stage
        .dashboard
        .refused(&format!("slots/action/cancel/X/{id}"))
        .await;
    assert_eq!(nothing, format!("slot-[{id}] action doesn't exist"));
}
