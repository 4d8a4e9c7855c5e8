//! Pairs from sentinels, across restarts and out of order.

use codis_core::epoch::Epoch;
use codis_core::ha::GroupTopology;
use codis_core::json;

use crate::bed::{Bed, until};
use crate::doubles::{ProxyDouble, SentinelDouble};

fn held(bed: &Bed) -> GroupTopology {
    json::decode(bed.record("/codis3/demo/ha/group-0001").unwrap().as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_pair_wins_and_stale_ones_are_dropped_across_restarts() {
    let bed = Bed::new();
    let mut dashboard = bed.dashboard().await;
    let servers = [bed.redis().await, bed.redis().await, bed.redis().await];
    let addrs: Vec<&str> = servers.iter().map(|server| server.addr.as_str()).collect();
    dashboard.fill_group(1, &servers).await;
    assert_eq!(dashboard.assign(0..=9, 1).await.status, 200);
    let (sentinel, proxy) = (SentinelDouble::start().await, ProxyDouble::start("p").await);
    dashboard
        .put(&format!("proxy/create/X/{}", proxy.addr))
        .await;
    sentinel.say(1, 5, addrs[1]);
    dashboard
        .put(&format!("sentinels/add/X/{}", sentinel.addr))
        .await;
    until("the pair is adopted", async || {
        dashboard.order(1).await[0] == addrs[1]
    })
    .await;
    assert_eq!(dashboard.order(1).await, [addrs[1], addrs[2], addrs[0]]);
    let topology = held(&bed);
    assert_eq!(
        (
            topology.epoch,
            topology.master.as_str(),
            topology.source.as_str()
        ),
        (Epoch(5), addrs[1], "double")
    );
    until("the proxy holds it", async || {
        proxy
            .slot(9)
            .is_some_and(|slot| slot.backend_addr_epoch == Epoch(5))
    })
    .await;

    // Equal and lower epochs with another master: a majority of one insists, so the group is
    // reported, and nothing moves.
    for (epoch, master) in [(5, addrs[2]), (3, addrs[0])] {
        sentinel.say(1, epoch, master);
        until("the conflict is reported", async || {
            dashboard.group(1).await.out_of_sync
        })
        .await;
        assert_eq!(
            (held(&bed).epoch, dashboard.order(1).await[0].as_str()),
            (Epoch(5), addrs[1])
        );
        assert_eq!(proxy.slot(9).unwrap().backend_addr, addrs[1]);
        sentinel.say(1, 5, addrs[1]);
        until("the mark goes when they agree", async || {
            !dashboard.group(1).await.out_of_sync
        })
        .await;
    }

    // The same after a crash: the epoch is on disk.
    dashboard.process.kill();
    sentinel.say(1, 4, addrs[0]);
    dashboard = bed.dashboard().await;
    until("the stale pair is seen", async || {
        dashboard.group(1).await.out_of_sync
    })
    .await;
    assert_eq!(
        (held(&bed).epoch, dashboard.order(1).await[0].as_str()),
        (Epoch(5), addrs[1])
    );
    sentinel.say(1, 6, addrs[0]);
    until("a higher pair is adopted", async || {
        dashboard.order(1).await[0] == addrs[0]
    })
    .await;
    assert_eq!(held(&bed).epoch, Epoch(6));
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
