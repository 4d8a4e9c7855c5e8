//! Pairs from sentinels, across restarts and out of order.

use codis_core::epoch::Epoch;
use codis_core::ha::GroupTopology;
use codis_core::json;

use crate::bed::{Bed, Dashboard, Redis, until};
use crate::doubles::{ProxyDouble, SentinelDouble};

/// A group of three, a proxy, and a sentinel whose pair (5, second server) is adopted.
async fn at_epoch_five(bed: &Bed) -> (Dashboard, [Redis; 3], SentinelDouble, ProxyDouble) {
    let dashboard = bed.dashboard().await;
    let servers = [bed.redis().await, bed.redis().await, bed.redis().await];
    dashboard.fill_group(1, &servers).await;
    dashboard.give(0..=9, 1).await;
    let (sentinel, proxy) = (SentinelDouble::start().await, ProxyDouble::start("p").await);
    dashboard
        .put(&format!("proxy/create/X/{}", proxy.addr))
        .await;
    sentinel.say(1, 5, &servers[1].addr);
    dashboard
        .put(&format!("sentinels/add/X/{}", sentinel.addr))
        .await;
    until("the proxy holds the pair", async || {
        proxy
            .slot(9)
            .is_some_and(|slot| slot.backend_addr_epoch == Epoch(5))
    })
    .await;
    (dashboard, servers, sentinel, proxy)
}

/// Waits until group 1 is marked as out of step, or no longer is.
async fn marked(dashboard: &Dashboard, out_of_sync: bool) {
    until("the mark of the group is right", async || {
        dashboard.group(1).await.out_of_sync == out_of_sync
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_pair_is_stored_and_lower_ones_are_reported_and_not_followed() {
    let bed = Bed::new();
    let (dashboard, servers, sentinel, proxy) = at_epoch_five(&bed).await;
    let addrs = servers.each_ref().map(|server| server.addr.as_str());
    assert_eq!(dashboard.order(1).await, [addrs[1], addrs[2], addrs[0]]);
    let held = bed.held();
    assert_eq!(
        (held.epoch, held.master.as_str(), held.source.as_str()),
        (Epoch(5), addrs[1], "double")
    );
    // A majority of one insists, so the group is reported, and nothing moves.
    for (epoch, master) in [(5, addrs[2]), (3, addrs[0])] {
        marked(&dashboard, false).await;
        sentinel.say(1, epoch, master);
        marked(&dashboard, true).await;
        assert_eq!(bed.held().epoch, Epoch(5));
        assert_eq!(dashboard.order(1).await[0], addrs[1]);
        assert_eq!(proxy.slot(9).unwrap().backend_addr, addrs[1]);
        sentinel.say(1, 5, addrs[1]);
    }
    marked(&dashboard, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_epoch_survives_a_crash() {
    let bed = Bed::new();
    let (mut dashboard, servers, sentinel, _proxy) = at_epoch_five(&bed).await;
    marked(&dashboard, false).await;
    dashboard.process.kill();
    sentinel.say(1, 4, &servers[0].addr);
    dashboard = bed.dashboard().await;
    marked(&dashboard, true).await;
    assert_eq!(bed.held().epoch, Epoch(5));
    assert_eq!(dashboard.order(1).await[0], servers[1].addr);
    sentinel.say(1, 6, &servers[0].addr);
    until("a higher pair is adopted", async || {
        dashboard.order(1).await[0] == servers[0].addr
    })
    .await;
    assert_eq!(bed.held().epoch, Epoch(6));
}

/// The pair was stored and the crash came before the group's record.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_pair_and_the_group_is_put_right() {
    let bed = Bed::new();
    let mut dashboard = bed.dashboard().await;
    let servers = [bed.redis().await, bed.redis().await];
    dashboard.fill_group(1, &servers).await;
    let sentinel = SentinelDouble::start().await;
    dashboard
        .put(&format!("sentinels/add/X/{}", sentinel.addr))
        .await;
    dashboard.process.kill();
    let topology = GroupTopology {
        group_id: 1,
        epoch: Epoch(2),
        master: servers[1].addr.clone(),
        ..GroupTopology::default()
    };
    let file = bed.path("store/data/codis3/demo/ha/group-0001");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, json::encode(&topology)).unwrap();
    sentinel.say(1, 2, &servers[1].addr);
    dashboard = bed.dashboard().await;
    until("the group follows the pair", async || {
        dashboard.order(1).await[0] == servers[1].addr
    })
    .await;
}
