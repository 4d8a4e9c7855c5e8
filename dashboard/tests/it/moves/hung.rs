//! Peers that hang while slots move.

use std::sync::atomic::Ordering;

use codis_core::model::ActionState;

use super::Stage;
use crate::bed::until;

/// A source that does not answer keeps its own slot, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_hung_source_stops_no_other_pair() {
    let stage = Stage::new("migration_timeout = \"500ms\"\n", 4).await;
    let moved = stage.dashboard.assign(100..=199, 3).await;
    assert_eq!(moved.status, 200, "{}", moved.body);
    let hang = |hangs| {
        stage.sites[0]
            .double
            .knobs()
            .hang
            .store(hangs, Ordering::Relaxed)
    };
    hang(true);
    stage
        .dashboard
        .put("slots/action/create-range/X/0/3/2")
        .await;
    stage
        .dashboard
        .put("slots/action/create-range/X/100/107/4")
        .await;
    stage
        .dashboard
        .put("slots/action/create-range/X/108/111/2")
        .await;
    let is_at = |slots: &[codis_core::model::SlotMapping], id: usize, group| {
        slots[id].group_id == group && slots[id].action.state == ActionState::Nothing
    };
    until("the other pairs are done", async || {
        let slots = stage.slots().await;
        (100..108).all(|id| is_at(&slots, id, 4)) && (108..112).all(|id| is_at(&slots, id, 2))
    })
    .await;
    until(
        "statistics tell what is wrong with the slots of the hung source",
        async || {
            let shown = stage.slot_action().await;
            shown.progress.status.starts_with("[ERROR] Slot[000")
                && shown.slots.iter().any(|slot| {
                    slot.id < 4 && slot.failures > 0 && slot.error.contains("no answer")
                })
        },
    )
    .await;
    hang(false);
    until("the slots of the hung source have moved", async || {
        let slots = stage.slots().await;
        (0..4).all(|id| is_at(&slots, id, 2))
    })
    .await;
}
