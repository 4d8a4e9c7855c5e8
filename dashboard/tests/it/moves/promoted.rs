//! Promotions by the dashboard alone while peers are stopped.

use codis_core::model::ActionState;
use redis::from_redis_value;
use rustix::process::Signal;

use super::keys_of;
use super::load::Load;
use crate::bed::{Bed, Redis, redis_call, until};

async fn counter(server: &Redis, key: &str) -> u64 {
    let value = server.call(&["GET", key]).await.unwrap();
    from_redis_value::<u64>(value).unwrap()
}

/// At first it may serve its clients from the old master, and the promotion is undone.
#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_while_a_proxy_is_stopped_loses_no_write() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let servers = bed.replicated(1).await;
    dashboard.fill_group(1, &servers).await;
    let (good, hung) = (bed.proxy().await, bed.proxy().await);
    for (_, admin, _) in [&good, &hung] {
        dashboard.put(&format!("proxy/create/X/{admin}")).await;
    }
    dashboard.give(0..=1023, 1).await;
    let load = Load::start(vec![good.2.clone()], keys_of(0..8, 2), 1);
    load.warm_up();
    hung.0.signal(Signal::STOP);
    let path = format!("group/promote/X/1/{}", servers[1].addr);
    until("the replica is the master", async || {
        dashboard.try_put(&path, "").await;
        dashboard.order(1).await[0] == servers[1].addr
    })
    .await;
    load.go_on();
    let ledger = load.stop(true);
    assert!(!ledger.is_empty());
    for ((_, key), counted) in &ledger {
        let value = counter(&servers[1], key).await;
        assert!(counted.contains(value), "{key} is {value}: {counted:?}");
    }
    hung.0.signal(Signal::CONT);
}

/// Nothing is done over the head of either, and nothing stays behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_master_and_a_stopped_proxy_keep_a_group_as_it_is() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let servers = bed.replicated(1).await;
    dashboard.fill_group(1, &servers).await;
    let proxy = bed.proxy().await;
    dashboard.put(&format!("proxy/create/X/{}", proxy.1)).await;
    dashboard.give(0..=1023, 1).await;
    let before = dashboard.order(1).await;
    proxy.0.signal(Signal::STOP);
    servers[0].process.signal(Signal::STOP);
    let path = format!("group/promote/X/1/{}", servers[1].addr);
    let refused = dashboard.refused(&path).await;
    assert!(refused.contains("does not say what it has"), "{refused}");
    assert!(refused.contains("call again once it answers"), "{refused}");
    let group = dashboard.group(1).await;
    assert_eq!(group.promoting.state, ActionState::Nothing);
    assert_eq!(dashboard.order(1).await, before);
    assert_eq!(servers[1].info("role").await.as_deref(), Some("slave"));
    for process in [&servers[0].process, &proxy.0] {
        process.signal(Signal::CONT);
    }
    until("clients are served", async || {
        redis_call(&proxy.2, &["SET", "k", "v"]).await.is_ok()
    })
    .await;
    let kept = servers[0].call(&["GET", "k"]).await.unwrap();
    assert_eq!(from_redis_value::<String>(kept).unwrap(), "v");
}
