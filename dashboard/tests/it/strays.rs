//! Servers that are not of a group and follow its master all the same are never made its master.

use std::path::Path;

use codis_core::api::MasterFields;

use crate::bed::{Bed, Dashboard, Redis, neighbour, until};

async fn set_priority(server: &Redis, priority: &str) {
    let set = ["CONFIG", "SET", "slave-priority", priority];
    server.call(&set).await.unwrap();
}

async fn priority(server: &Redis) -> Option<String> {
    server.info("slave_priority").await
}

async fn follows(server: &Redis, master: &Redis) -> bool {
    let port = master.addr.rsplit(':').next().map(str::to_owned);
    server.info("master_port").await == port
        && server.info("master_link_status").await.as_deref() == Some("up")
}

/// Waits until a stray has this priority, and is on record or is not.
async fn until_priority(bed: &Bed, stray: &Redis, wanted: &str, on_record: bool) {
    until(&format!("the priority is {wanted}"), async || {
        priority(stray).await.as_deref() == Some(wanted)
            && bed.held().strays.contains_key(&stray.addr) == on_record
    })
    .await;
}

/// A master with two replicas, and three sentinels. By itself a sentinel would choose the second
/// replica, which is then taken out of the group.
async fn taken_out(bed: &Bed, binary: &Path) -> (Dashboard, Vec<Redis>, Vec<Redis>) {
    let board = bed.dashboard().await;
    let servers = bed.replicated(2).await;
    set_priority(&servers[1], "100").await;
    set_priority(&servers[2], "10").await;
    servers[0].call(&["SET", "k", "v"]).await.unwrap();
    board.fill_group(1, &servers).await;
    let sentinels = bed.sentinels(binary, &board, 2).await;
    let path = format!("group/del/X/1/{}", servers[2].addr);
    board.put(&path).await;
    until_priority(bed, &servers[2], "0", true).await;
    (board, servers, sentinels)
}

/// The group fails over to its own replica; the stray goes on as a replica with its data.
async fn is_not_promoted(binary: &Path) {
    let bed = Bed::new();
    let (board, mut servers, _sentinels) = taken_out(&bed, binary).await;
    until("the sentinels see the priority", async || {
        let stats = board.stats().await.sentinels.stats;
        let monitored = stats.values().filter_map(|s| s.sentinel.get("demo-1"));
        let shown = monitored.flat_map(|monitored| &monitored.slaves);
        let is_zero = |slave: &&MasterFields| {
            slave
                .get("slave-priority")
                .is_some_and(|priority| priority == "0")
        };
        shown.filter(is_zero).count() == 3
    })
    .await;
    servers[0].process.kill();
    until("the group's own replica is adopted", async || {
        board.order(1).await[0] == servers[1].addr
    })
    .await;
    until("the stray follows it", async || {
        follows(&servers[2], &servers[1]).await
    })
    .await;
    until_priority(&bed, &servers[2], "0", true).await;
    let kept = servers[2].call(&["GET", "k"]).await.unwrap();
    assert_eq!(redis::from_redis_value::<String>(kept).unwrap(), "v");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_taken_out_is_not_promoted_by_our_sentinels() {
    is_not_promoted(&neighbour("codis-sentinel")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_taken_out_is_not_promoted_by_stock_sentinels() {
    is_not_promoted(Path::new("redis-sentinel")).await;
}

/// What a stray had is given back when it is one no longer.
#[tokio::test(flavor = "multi_thread")]
async fn its_priority_is_given_back_when_it_joins_or_leaves() {
    let bed = Bed::new();
    let (board, servers, sentinels) = taken_out(&bed, &neighbour("codis-sentinel")).await;
    let stray = &servers[2];
    until("it is left as it is", async || {
        follows(stray, &servers[0]).await
    })
    .await;
    board.put(&format!("group/add/X/1/{}", stray.addr)).await;
    until_priority(&bed, stray, "10", false).await;

    board.put(&format!("group/del/X/1/{}", stray.addr)).await;
    until_priority(&bed, stray, "0", true).await;
    stray.call(&["REPLICAOF", "NO", "ONE"]).await.unwrap();
    until_priority(&bed, stray, "10", false).await;

    // One that somebody attached by hand is no candidate either, as long as there are sentinels.
    let backup = bed.redis().await;
    let (host, port) = servers[0].addr.split_once(':').unwrap();
    backup.call(&["REPLICAOF", host, port]).await.unwrap();
    until_priority(&bed, &backup, "0", true).await;
    for sentinel in &sentinels {
        board
            .put(&format!("sentinels/del/X/{}/0", sentinel.addr))
            .await;
    }
    until_priority(&bed, &backup, "100", false).await;
    until("it still follows", async || {
        follows(&backup, &servers[0]).await
    })
    .await;
}
