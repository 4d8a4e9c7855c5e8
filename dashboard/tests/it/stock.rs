//! Sentinels that know nothing of epochs on the wire but `config-epoch`.

use std::path::Path;

use codis_core::epoch::Epoch;
use codis_core::ha::GroupTopology;
use codis_core::json;

use crate::bed::{Bed, until};

#[tokio::test(flavor = "multi_thread")]
async fn stock_sentinels_are_followed_by_majority() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let mut servers = bed.replicated(1).await;
    dashboard.fill_group(1, &servers).await;
    let mut sentinels = Vec::new();
    for _ in 0..3 {
        let sentinel = bed.sentinel(Path::new("redis-sentinel")).await;
        dashboard
            .put(&format!("sentinels/add/X/{}", sentinel.addr))
            .await;
        sentinels.push(sentinel);
    }
    until("they know each other and the replica", async || {
        let stats = dashboard.stats().await.sentinels.stats;
        stats.len() == 3
            && stats.values().all(|stats| {
                stats.sentinel.get("demo-1").is_some_and(|m| {
                    m.slaves.len() == 1
                        && m.master
                            .get("num-other-sentinels")
                            .is_some_and(|n| n == "2")
                })
            })
    })
    .await;
    until("sentinels are in step", async || {
        !dashboard.stats().await.sentinels.model.out_of_sync
    })
    .await;

    // A resync keeps what they know: it touches only what differs.
    dashboard.put("sentinels/resync-all/X").await;
    let path = format!("/api/topom/sentinels/info/{}/monitored", sentinels[0].addr);
    let monitored = dashboard.get(&path).await;
    assert_eq!(monitored["demo-1"]["slaves"].as_array().unwrap().len(), 1);

    let refused = dashboard
        .refused(&format!("group/promote/X/1/{}", servers[1].addr))
        .await;
    assert!(refused.contains("stock sentinel"), "{refused}");

    servers[0].process.kill();
    until("the new master is adopted", async || {
        dashboard.order(1).await[0] == servers[1].addr
    })
    .await;
    let held = bed.record("/codis3/demo/ha/group-0001").unwrap();
    let held: GroupTopology = json::decode(held.as_bytes()).unwrap();
    assert!(held.epoch > Epoch::ZERO);
    assert_eq!(
        (held.master.as_str(), held.source.as_str()),
        (servers[1].addr.as_str(), "majority")
    );

    // A sentinel that is dropped forgets the product.
    dashboard
        .put(&format!("sentinels/del/X/{}/0", sentinels[2].addr))
        .await;
    let masters = sentinels[2].call(&["SENTINEL", "MASTERS"]).await.unwrap();
    assert_eq!(masters, redis::Value::Array(Vec::new()));
}
