//! A whole small cluster of our own binaries.

use codis_core::epoch::Epoch;

use crate::bed::{Bed, Dashboard, Redis, free_port, neighbour, redis_call, until};

/// Writes fifty keys through a proxy; whether all were taken.
async fn written(proxy: &str) -> bool {
    for n in 0..50 {
        let set = redis_call(proxy, &["SET", &format!("k{n}"), "v"]).await;
        if set.is_err() {
            return false;
        }
    }
    true
}

/// Two groups of two with half of the slots each.
async fn two_groups(bed: &Bed, dashboard: &Dashboard) -> (Vec<Redis>, Vec<Redis>) {
    let (one, two) = (bed.replicated(1).await, bed.replicated(1).await);
    dashboard.fill_group(1, &one).await;
    dashboard.fill_group(2, &two).await;
    dashboard.give(0..=511, 1).await;
    dashboard.give(512..=1023, 2).await;
    (one, two)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_comes_up_loses_a_master_and_goes_on() {
    let bed = Bed::new();
    let mut dashboard = bed.dashboard().await;
    let (mut one, two) = two_groups(&bed, &dashboard).await;
    let (_proxy, admin, data) = bed.proxy().await;
    dashboard.put(&format!("proxy/create/X/{admin}")).await;
    let _sentinels = bed
        .sentinels(&neighbour("codis-sentinel"), &dashboard, 1)
        .await;
    assert!(written(&data).await);
    for master in [&one[0], &two[0]] {
        let size = master.call(&["DBSIZE"]).await.unwrap();
        let size: u64 = redis::from_redis_value(size).unwrap();
        assert!(size > 0, "keys are spread");
    }

    one[0].process.kill();
    until("the dashboard adopts the new master", async || {
        dashboard.order(1).await[0] == one[1].addr
    })
    .await;
    assert!(bed.held().epoch > Epoch::ZERO && bed.held().master == one[1].addr);
    until("every key can be written again", async || {
        written(&data).await
    })
    .await;
    until("the mark is cleared", async || {
        !dashboard.group(1).await.out_of_sync
    })
    .await;

    // A crash of the dashboard changes nothing, and the next one goes on.
    dashboard.process.kill();
    dashboard = bed.dashboard().await;
    assert_eq!(dashboard.order(1).await[0], one[1].addr);
    assert_eq!(dashboard.stats().await.proxy.models.len(), 1);
    assert!(written(&data).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_proxy_that_starts_anew_serves_again() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let _servers = two_groups(&bed, &dashboard).await;
    let (admin, data) = (free_port(), free_port());
    let mut proxy = bed.proxy_at(admin, data, &[]).await;
    dashboard
        .put(&format!("proxy/create/X/127.0.0.1:{admin}"))
        .await;
    let data_addr = format!("127.0.0.1:{data}");
    assert!(written(&data_addr).await);
    let before = dashboard.stats().await.proxy.models;
    proxy.kill();
    let _again = bed.proxy_at(admin, data, &[]).await;
    until("the proxy serves again", async || written(&data_addr).await).await;
    let after = dashboard.stats().await.proxy.models;
    assert_eq!((after[0].id, &after[0].token), (1, &before[0].token));
    assert_ne!(after[0].pid, before[0].pid, "its record is refreshed");
}

/// A promotion by hand goes through the sentinels and comes back as a pair.
#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_goes_through_the_sentinels() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let servers = bed.replicated(2).await;
    dashboard.fill_group(1, &servers).await;
    dashboard.give(0..=1023, 1).await;
    let _sentinels = bed
        .sentinels(&neighbour("codis-sentinel"), &dashboard, 2)
        .await;
    dashboard
        .put(&format!("group/promote/X/1/{}", servers[2].addr))
        .await;
    assert_eq!(dashboard.order(1).await[0], servers[2].addr);
    assert_eq!(servers[2].info("role").await.as_deref(), Some("master"));
    let held = bed.held();
    assert!(
        held.epoch > Epoch::ZERO && held.source != "dashboard",
        "{held:?}"
    );
}
