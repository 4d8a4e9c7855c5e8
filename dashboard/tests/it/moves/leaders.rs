//! The leader is killed in the middle, and a standby goes on.

use std::process::Command;

use codis_core::model::ActionState;

use super::load::Load;
use super::{KEYS, SLOTS, Stage, keys_of};
use crate::bed::{neighbour, until};
use crate::leadership::{Boards, pair};
use crate::stores::Kind;

#[tokio::test(flavor = "multi_thread")]
async fn slots_move_on_under_the_next_leader_on_etcd() {
    moves_on(Kind::Etcd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_move_on_under_the_next_leader_on_zookeeper() {
    moves_on(Kind::ZooKeeper).await;
}

/// Clients write all the time. A slot may be locked when the leader dies, so they may have to wait
/// until the next one leads.
async fn moves_on(kind: Kind) {
    let settings = "migration_async_numkeys = 1\n";
    let boards = Boards::with_settings(Some(kind), settings);
    let (leader, standby) = pair(&boards).await;
    let (bed, store) = boards.into_parts();
    let mut stage = Stage::around(bed, leader, 2).await;
    let load = stage.load();
    load.warm_up();
    stage.dashboard.put("slots/action/interval/X/3000").await;
    let (first, last) = (SLOTS.start, SLOTS.end - 1);
    // Through the one that does not lead.
    let path = format!("slots/action/create-range/X/{first}/{last}/2");
    standby.put(&path).await;
    let keys = keys_of(SLOTS, KEYS);
    until("a part of the keys has moved", async || {
        stage.sites[1].has(0, &keys) >= keys.len() / 4
    })
    .await;
    stage.dashboard.process.kill();
    stage.dashboard = standby;
    stage.moved_to(2).await;
    load.go_on();
    assert_eq!(stage.slot_action().await.interval, 3000);
    stage.check(load, false).await;
    drop(store);
}

/// Of so many slots one has a key: a double looks at all keys for each slot.
const ONE_OF: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn many_slots_move_by_one_command_though_the_leader_dies() {
    by_one_command(512).await;
}

/// An operator moves the first `count` slots with one command, which knows both dashboards and
/// waits for the end; the leader is killed in the middle. Every acknowledged write is counted.
async fn by_one_command(count: usize) {
    let settings = "migration_parallel_group = 50\n";
    let boards = Boards::with_settings(None, settings);
    let (leader, standby) = pair(&boards).await;
    let (bed, _) = boards.into_parts();
    let mut stage = Stage::around(bed, leader, 2).await;
    let addrs = stage.proxies.iter().map(|(_, _, data)| data.clone());
    let keys = keys_of(0..count as u16, 1);
    let keys: Vec<_> = keys.into_iter().step_by(ONE_OF).collect();
    let load = Load::start(addrs.collect(), keys.clone(), 1);
    load.warm_up();

    let both = format!("{},{}", standby.addr, stage.dashboard.addr);
    let last = format!("--end={}", count - 1);
    let mut admin = Command::new(neighbour("codis-admin"));
    admin
        .env("CODIS_DASHBOARD", both)
        .args(["--slot-action", "--create-range", "--beg=0", &last])
        .args(["--gid=2", "--wait"]);
    let moving = tokio::task::spawn_blocking(move || admin.output().unwrap());
    until("some keys have moved", async || {
        stage.sites[1].has(0, &keys) >= 4
    })
    .await;
    assert!(!moving.is_finished());
    stage.dashboard.process.kill();
    stage.dashboard = standby;
    let done = moving.await.unwrap();
    assert!(done.status.success(), "{done:?}");
    let slots = stage.slots().await;
    let moved = slots
        .iter()
        .filter(|slot| slot.group_id == 2 && slot.action.state == ActionState::Nothing);
    assert_eq!(moved.count(), count);
    load.go_on();
    stage.check(load, false).await;
}
