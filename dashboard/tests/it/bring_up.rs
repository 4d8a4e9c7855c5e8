//! A whole small cluster of our own binaries.

use std::time::Duration;

use codis_core::epoch::Epoch;
use codis_core::ha::GroupTopology;
use codis_core::json;

use crate::bed::{Bed, neighbour, redis_call, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_comes_up_loses_a_master_and_goes_on() {
    let bed = Bed::new();
    let mut dashboard = bed.dashboard().await;
    let (mut one, two) = (bed.replicated(1).await, bed.replicated(1).await);
    dashboard.fill_group(1, &one).await;
    dashboard.fill_group(2, &two).await;
    let (mut proxy, admin, data) = bed.proxy().await;
    dashboard.put(&format!("proxy/create/X/{admin}")).await;
    assert_eq!(dashboard.assign(0..=511, 1).await.body, "\"OK\"");
    assert_eq!(dashboard.assign(512..=1023, 2).await.body, "\"OK\"");
    let mut sentinels = Vec::new();
    for _ in 0..3 {
        let sentinel = bed.sentinel(&neighbour("codis-sentinel")).await;
        dashboard
            .put(&format!("sentinels/add/X/{}", sentinel.addr))
            .await;
        sentinels.push(sentinel);
    }
    dashboard.put("sentinels/resync-all/X").await;
    until("sentinels know each other and the replicas", async || {
        let stats = dashboard.stats().await.sentinels.stats;
        let known = |name: &str, field: &str, count: &str| {
            stats.len() == 3
                && stats.values().all(|stats| {
                    stats
                        .sentinel
                        .get(name)
                        .is_some_and(|m| m.master.get(field).is_some_and(|n| n == count))
                })
        };
        ["demo-1", "demo-2"]
            .iter()
            .all(|name| known(name, "num-slaves", "1") && known(name, "num-other-sentinels", "2"))
    })
    .await;
    until("nothing is out of step", async || {
        let stats = dashboard.stats().await;
        !stats.sentinels.model.out_of_sync
            && stats.group.models.iter().all(|group| !group.out_of_sync)
    })
    .await;
    for n in 0..50 {
        redis_call(&data, &["SET", &format!("k{n}"), "v"])
            .await
            .unwrap();
    }
    let keys = |servers: &[crate::bed::Redis]| servers[0].addr.clone();
    for master in [keys(&one), keys(&two)] {
        let size = redis_call(&master, &["DBSIZE"]).await.unwrap();
        assert!(
            redis::from_redis_value::<u64>(size).unwrap() > 0,
            "keys are spread"
        );
    }

    one[0].process.kill();
    until("the dashboard adopts the new master", async || {
        dashboard.order(1).await[0] == one[1].addr
    })
    .await;
    let held: GroupTopology =
        json::decode(bed.record("/codis3/demo/ha/group-0001").unwrap().as_bytes()).unwrap();
    assert!(held.epoch > Epoch::ZERO && held.master == one[1].addr);
    until("every key can be written again", async || {
        for n in 0..50 {
            if redis_call(&data, &["SET", &format!("k{n}"), "w"])
                .await
                .is_err()
            {
                return false;
            }
        }
        true
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
    redis_call(&data, &["SET", "k0", "x"]).await.unwrap();

    // A proxy that starts anew with the same identity is put online again and filled.
    proxy.kill();
    let config = std::fs::read_dir(bed.path(""))
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    let config = config.into_iter().find(|path| {
        path.extension().is_some_and(|ext| ext == "toml")
            && path.to_string_lossy().contains("proxy-")
    });
    let mut command = std::process::Command::new(neighbour("codis-proxy"));
    command.arg("-c").arg(config.unwrap());
    let _proxy = crate::bed::Process::start(command, &bed.path("proxy-again.log"));
    let took = until("the proxy serves again", async || {
        redis_call(&data, &["GET", "k1"]).await.is_ok()
    })
    .await;
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// A promotion by hand goes through the sentinels and comes back as a pair.
#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_goes_through_the_sentinels() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let servers = bed.replicated(2).await;
    dashboard.fill_group(1, &servers).await;
    assert_eq!(dashboard.assign(0..=1023, 1).await.status, 200);
    let mut sentinels = Vec::new();
    for _ in 0..3 {
        let sentinel = bed.sentinel(&neighbour("codis-sentinel")).await;
        dashboard
            .put(&format!("sentinels/add/X/{}", sentinel.addr))
            .await;
        sentinels.push(sentinel);
    }
    until("sentinels know the replicas and each other", async || {
        let stats = dashboard.stats().await.sentinels.stats;
        stats.len() == 3
            && stats.values().all(|stats| {
                stats.sentinel.get("demo-1").is_some_and(|m| {
                    m.master.get("num-slaves").is_some_and(|n| n == "2")
                        && m.master
                            .get("num-other-sentinels")
                            .is_some_and(|n| n == "2")
                        && m.slaves
                            .iter()
                            .all(|s| s.get("master-link-status").is_some_and(|l| l == "ok"))
                })
            })
    })
    .await;
    dashboard
        .put(&format!("group/promote/X/1/{}", servers[2].addr))
        .await;
    assert_eq!(dashboard.order(1).await[0], servers[2].addr);
    assert_eq!(servers[2].info("role").await.as_deref(), Some("master"));
    let held = bed.record("/codis3/demo/ha/group-0001").unwrap();
    let held: GroupTopology = json::decode(held.as_bytes()).unwrap();
    assert!(
        held.epoch > Epoch::ZERO && held.source != "dashboard",
        "{held:?}"
    );
}
