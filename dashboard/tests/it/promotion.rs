//! Promotions without sentinels, on real servers.

use codis_core::epoch::Epoch;
use codis_core::ha::GroupTopology;
use codis_core::json;
use codis_core::model::ActionState;
use rustix::process::Signal;

use crate::bed::{Bed, Redis, redis_call, until};
use crate::doubles::ProxyDouble;

async fn follows(server: &Redis, master: &Redis) -> bool {
    let port = master.addr.rsplit(':').next().map(str::to_owned);
    server.info("role").await.as_deref() == Some("slave")
        && server.info("master_port").await == port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_becomes_master_and_all_others_follow_it() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let servers = bed.replicated(2).await;
    let proxy = ProxyDouble::start("p").await;
    dashboard.fill_group(1, &servers).await;
    dashboard
        .put(&format!("proxy/create/X/{}", proxy.addr))
        .await;
    dashboard.give(0..=9, 1).await;
    servers[0].call(&["SET", "k", "v"]).await.unwrap();

    let stranger = bed.redis().await;
    dashboard
        .put(&format!("group/add/X/1/{}", stranger.addr))
        .await;
    let refused = dashboard
        .refused(&format!("group/promote/X/1/{}", stranger.addr))
        .await;
    assert!(refused.contains("not a replica"), "{refused}");
    let refused = dashboard
        .refused(&format!("group/promote/X/1/{}", servers[0].addr))
        .await;
    assert_eq!(refused, "group-[1] can't promote master");
    dashboard
        .put(&format!("group/del/X/1/{}", stranger.addr))
        .await;

    dashboard
        .put(&format!("group/promote/X/1/{}", servers[1].addr))
        .await;
    let addrs: Vec<&str> = [1, 2, 0]
        .into_iter()
        .map(|i: usize| servers[i].addr.as_str())
        .collect();
    assert_eq!(dashboard.order(1).await, addrs);
    assert_eq!(servers[1].info("role").await.as_deref(), Some("master"));
    for other in [&servers[0], &servers[2]] {
        until("the others follow", async || {
            follows(other, &servers[1]).await
        })
        .await;
    }
    let slot = proxy.slot(0).unwrap();
    assert_eq!(
        (
            slot.locked,
            slot.backend_addr.as_str(),
            slot.backend_addr_epoch
        ),
        (false, addrs[0], Epoch(1))
    );
    let held = bed.record("/codis3/demo/ha/group-0001").unwrap();
    let held: GroupTopology = json::decode(held.as_bytes()).unwrap();
    assert_eq!((held.epoch, held.source.as_str()), (Epoch(1), "dashboard"));
    let group = dashboard.group(1).await;
    assert_eq!(
        (group.promoting.state, group.out_of_sync),
        (ActionState::Nothing, false)
    );
    let kept = redis_call(&servers[1].addr, &["GET", "k"]).await.unwrap();
    assert_eq!(redis::from_redis_value::<String>(kept).unwrap(), "v");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_candidate_is_refused_and_a_dead_master_replaced() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let mut servers = bed.replicated(2).await;
    dashboard.fill_group(1, &servers).await;
    servers[2].process.kill();
    let refused = dashboard
        .refused(&format!("group/promote/X/1/{}", servers[2].addr))
        .await;
    assert!(
        refused.starts_with(&format!("server-[{}] can't be promoted", servers[2].addr)),
        "{refused}"
    );
    assert_eq!(
        dashboard.group(1).await.promoting.state,
        ActionState::Nothing
    );
    // One that does not answer may have acknowledged what its replica lacks.
    servers[0].process.signal(Signal::STOP);
    let (before, path) = (
        dashboard.group(1).await,
        format!("group/promote/X/1/{}", servers[1].addr),
    );
    let refused = dashboard.refused(&path).await;
    let silent = format!("server-[{}] does not say what it has", servers[0].addr);
    assert!(refused.starts_with(&silent), "{refused}");
    assert!(refused.contains("with force if it is dead"), "{refused}");
    assert_eq!(dashboard.group(1).await, before);
    dashboard.put(&format!("{path}?force=1")).await;
    let group = dashboard.group(1).await;
    assert_eq!(group.servers[0].addr, servers[1].addr);
    let failed: Vec<ActionState> = group.servers[1..].iter().map(|s| s.action.state).collect();
    assert_eq!(
        failed,
        [ActionState::SyncedFailed; 2],
        "none was re-pointed"
    );
    // The order is given again once the server is back, by nobody's command.
    servers[0].process.signal(Signal::CONT);
    until("the old master follows", async || {
        follows(&servers[0], &servers[1]).await
    })
    .await;
    until("the order is marked done", async || {
        let group = dashboard.group(1).await;
        let old = group
            .servers
            .iter()
            .find(|server| server.addr == servers[0].addr)
            .unwrap();
        old.action.state == ActionState::Synced
    })
    .await;
    until("its link is up", async || {
        servers[0].info("master_link_status").await.as_deref() == Some("up")
    })
    .await;
    // Nobody listens for one that was killed: it has nothing more to give.
    servers[1].process.kill();
    dashboard
        .put(&format!("group/promote/X/1/{}", servers[0].addr))
        .await;
    assert_eq!(dashboard.order(1).await[0], servers[0].addr);
}

/// A dashboard that dies in `prepared` leaves the slots held; the next one goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_is_resumed_after_a_crash() {
    let bed = Bed::new();
    let mut dashboard = bed.dashboard().await;
    let servers = bed.replicated(1).await;
    dashboard.fill_group(1, &servers).await;
    dashboard.process.kill();
    let file = bed.path("store/data/codis3/demo/group/group-0001");
    let stored = std::fs::read_to_string(&file).unwrap();
    let prepared =
        "\"promoting\": {\n        \"index\": 1,\n        \"state\": \"prepared\"\n    }";
    std::fs::write(&file, stored.replace("\"promoting\": {}", prepared)).unwrap();
    dashboard = bed.dashboard().await;
    until("the promotion is done", async || {
        let group = dashboard.group(1).await;
        group.servers[0].addr == servers[1].addr && group.promoting.state == ActionState::Nothing
    })
    .await;
    assert_eq!(servers[1].info("role").await.as_deref(), Some("master"));
    until("the old master follows", async || {
        follows(&servers[0], &servers[1]).await
    })
    .await;
}
