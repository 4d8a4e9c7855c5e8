//! Sentinels that know nothing of epochs on the wire but `config-epoch`.

use std::path::Path;

use codis_core::epoch::Epoch;

use crate::bed::{Bed, until};

#[tokio::test(flavor = "multi_thread")]
async fn stock_sentinels_are_followed_by_majority() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let mut servers = bed.replicated(1).await;
    dashboard.fill_group(1, &servers).await;
    let sentinels = bed
        .sentinels(Path::new("redis-sentinel"), &dashboard, 1)
        .await;

    // A resync keeps what they know: it touches only what differs.
    dashboard.put("sentinels/resync-all/X").await;
    let path = format!("/api/topom/sentinels/info/{}/monitored", sentinels[0].addr);
    let monitored = dashboard.get(&path).await;
    assert_eq!(monitored["demo-1"]["slaves"].as_array().unwrap().len(), 1);

    servers[0].process.kill();
    until("the new master is adopted", async || {
        dashboard.order(1).await[0] == servers[1].addr
    })
    .await;
    let held = bed.held();
    assert!(held.epoch > Epoch::ZERO);
    assert_eq!(
        (held.master, held.source.as_str()),
        (servers[1].addr.clone(), "majority")
    );

    // A sentinel that is dropped forgets the product.
    dashboard
        .put(&format!("sentinels/del/X/{}/0", sentinels[2].addr))
        .await;
    // It may have been told once more in that moment, and is told to forget that too.
    until("the dropped sentinel monitors nothing", async || {
        let masters = sentinels[2].call(&["SENTINEL", "MASTERS"]).await;
        masters.unwrap() == redis::Value::Array(Vec::new())
    })
    .await;
}
