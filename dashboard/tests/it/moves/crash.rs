//! A dashboard that is killed in the middle.

use codis_core::model::{ActionState, SlotMapping};
use codis_core::{json, paths};

use super::{KEYS, SLOTS, Stage, keys_of};
use crate::bed::{Bed, PRODUCT, until};

/// How many slots are on their way by the records, which is what the next dashboard finds.
fn under_way(bed: &Bed) -> usize {
    let record = |slot: u16| bed.record(&paths::slot(PRODUCT, slot));
    let slots = SLOTS.filter_map(record);
    let slots = slots.map(|text| json::decode::<SlotMapping>(text.as_bytes()).unwrap());
    let begun = |slot: &SlotMapping| {
        !matches!(
            slot.action.state,
            ActionState::Nothing | ActionState::Pending
        )
    };
    slots.filter(begun).count()
}

/// The next dashboard goes on from the records, again and again, while clients write.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_dashboard_is_followed_by_one_that_goes_on() {
    let mut stage = Stage::new("migration_async_numkeys = 1\n", 2).await;
    let load = stage.load();
    load.warm_up();
    stage.dashboard.put("slots/action/interval/X/3000").await;
    let (first, last) = (SLOTS.start, SLOTS.end - 1);
    let path = format!("slots/action/create-range/X/{first}/{last}/2");
    stage.dashboard.put(&path).await;
    let mut killed_at = Vec::new();
    for part in 1..=3 {
        let keys = keys_of(SLOTS, KEYS);
        until("a part of the keys has moved", async || {
            stage.sites[1].has(0, &keys) >= part * keys.len() / 5
        })
        .await;
        // A slot may be locked by then, so clients may have to wait for the next one.
        stage.dashboard.process.kill();
        killed_at.push(under_way(&stage.bed));
        stage.dashboard = stage.bed.dashboard().await;
        load.go_on();
    }
    assert!(killed_at.iter().any(|slots| *slots > 0), "{killed_at:?}");
    assert_eq!(stage.slot_action().await.interval, 3000);
    stage.moved_to(2).await;
    load.go_on();
    stage.check(load, false).await;
}
