//! Peers that hang while slots move.

use std::sync::atomic::Ordering;

use codis_core::model::ActionState;

use super::{KEYS, SLOTS, Stage, keys_of, states};
use crate::bed::until;
use crate::doubles::ProxyDouble;
use rustix::process::Signal;

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

/// A proxy that is stopped in the middle is not waited for. When it goes on it has the routes of
/// the past, and its clients' requests wait until it was told the new ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_proxy_stops_no_slot_and_spoils_no_key() {
    let stage = Stage::new("migration_async_numkeys = 2\n", 2).await;
    let load = stage.load();
    load.warm_up();
    let (first, last) = (SLOTS.start, SLOTS.end - 1);
    stage.dashboard.put("slots/action/interval/X/5000").await;
    let path = format!("slots/action/create-range/X/{first}/{last}/2");
    stage.dashboard.put(&path).await;
    let keys = keys_of(SLOTS, KEYS);
    until("a part of the keys has moved", async || {
        stage.sites[1].has(0, &keys) >= keys.len() / 4
    })
    .await;
    stage.proxies[0].0.signal(Signal::STOP);
    stage.moved_to(2).await;
    stage.proxies[0].0.signal(Signal::CONT);
    load.go_on();
    stage.check(load, false).await;
}

/// A proxy that may serve and does not take the lock: the slot is given free in time, and the
/// statistics say what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_may_serve_ends_the_hold() {
    let stage = Stage::new("", 2).await;
    let proxy = ProxyDouble::start("p").await;
    stage
        .dashboard
        .put(&format!("proxy/create/X/{}", proxy.addr))
        .await;
    let load = stage.load();
    load.warm_up();
    proxy.hang(true);
    let (first, last) = (SLOTS.start, SLOTS.end - 1);
    let path = format!("slots/action/create-range/X/{first}/{last}/2");
    stage.dashboard.put(&path).await;
    until(
        "both places are taken by slots that failed twice",
        async || {
            let stuck = stage.slot_action().await.slots;
            let said = "proxy-[p] resync slots failed: it may serve clients";
            let twice = |slot: &&codis_core::api::SlotProgress| {
                slot.failures >= 2 && slot.error.starts_with(said)
            };
            stuck.iter().filter(twice).count() == 2
        },
    )
    .await;
    load.go_on();
    let states = states(&stage.dashboard.stats().await);
    let kept = |state: &ActionState| matches!(state, ActionState::Pending | ActionState::Preparing);
    assert!(states.iter().all(kept), "{states:?}");
    stage.dashboard.put("proxy/remove/X/p/1").await;
    stage.moved_to(2).await;
    stage.check(load, false).await;
}
