//! The leader is killed in the middle, and a standby goes on.

use super::{KEYS, SLOTS, Stage, keys_of};
use crate::bed::until;
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
