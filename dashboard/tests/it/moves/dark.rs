//! A proxy whose clients reach it, and whose dashboard does not, while slots move.

use super::load::Load;
use super::{DATABASES, KEYS, SLOTS, Stage, keys_of};
use crate::bed::{Net, Shim, free_port, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_proxy_that_serves_holds_slots_up_and_spoils_no_key() {
    serves_on(Net::Mute).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_in_the_dark_that_serves_holds_slots_up_and_spoils_no_key() {
    serves_on(Net::Dark).await;
}

/// Clients write through all three. The one that cannot be told anything serves by the routes that
/// it has, so no slot goes on past a step that it must hold; all clients do. Every acknowledged
/// write is counted once it is back.
async fn serves_on(net: Net) {
    let stage = Stage::new("migration_async_numkeys = 2\n", 2).await;
    let (admin, data) = (free_port(), free_port());
    let shim = Shim::before(&format!("127.0.0.1:{admin}")).await;
    let flag = format!("--host-admin={}", shim.addr);
    let third = stage.bed.proxy_at(admin, data, &[&flag]).await;
    let path = format!("proxy/create/X/{}", shim.addr);
    stage.dashboard.put(&path).await;

    let addrs = stage.proxies.iter().map(|(_, _, data)| data.clone());
    let addrs = addrs.chain([format!("127.0.0.1:{data}")]);
    let keys = keys_of(SLOTS, KEYS);
    let load = Load::start(addrs.collect(), keys.clone(), DATABASES);
    load.warm_up();
    stage.dashboard.put("slots/action/interval/X/5000").await;
    let (first, last) = (SLOTS.start, SLOTS.end - 1);
    let path = format!("slots/action/create-range/X/{first}/{last}/2");
    stage.dashboard.put(&path).await;
    until("a part of the keys has moved", async || {
        stage.sites[1].has(0, &keys) >= keys.len() / 4
    })
    .await;

    shim.make(net).await;
    until("it is told what the slots wait for", async || {
        let shown = stage.slot_action().await;
        let mut errors = shown.slots.iter().map(|slot| slot.error.as_str());
        errors.any(|error| error.contains("it may serve clients"))
    })
    .await;
    load.go_on();
    let slots = stage.slots().await;
    let moved = SLOTS.filter(|id| slots[usize::from(*id)].group_id == 2);
    assert!(moved.count() < SLOTS.len(), "it was not waited for");

    shim.make(Net::Well).await;
    stage.moved_to(2).await;
    load.go_on();
    stage.check(load, false).await;
    drop(third);
}
