//! A proxy that hangs delays its own row and nothing else.

use std::time::{Duration, Instant};

use codis_core::epoch::Epoch;

use crate::bed::{Bed, until};
use crate::doubles::{ProxyDouble, SentinelDouble};

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_proxy_delays_neither_its_siblings_nor_a_failover() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let servers = bed.replicated(1).await;
    dashboard.fill_group(1, &servers).await;
    let (good, bad) = (
        ProxyDouble::start("good").await,
        ProxyDouble::start("bad").await,
    );
    for proxy in [&good, &bad] {
        dashboard
            .put(&format!("proxy/create/X/{}", proxy.addr))
            .await;
    }
    bad.hang(true);
    let begun = Instant::now();
    let (answer, filled) = tokio::join!(dashboard.assign(0..=99, 1), async {
        until("the good one is filled", async || {
            good.slot(99)
                .is_some_and(|slot| slot.backend_addr == servers[0].addr)
        })
        .await
    });
    assert_eq!(answer.cause(), "proxy-[bad] resync slots failed");
    assert!(filled < Duration::from_secs(2), "{filled:?}");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );

    let begun = Instant::now();
    dashboard.stats().await;
    assert!(
        begun.elapsed() < Duration::from_millis(500),
        "{:?}",
        begun.elapsed()
    );

    // A failover comes through while the bad one still hangs.
    let sentinel = SentinelDouble::start().await;
    sentinel.say(1, 0, &servers[0].addr);
    dashboard
        .put(&format!("sentinels/add/X/{}", sentinel.addr))
        .await;
    until("the sentinel is heard", async || {
        dashboard.stats().await.sentinels.masters.contains_key("1")
    })
    .await;
    sentinel.say(1, 3, &servers[1].addr);
    let begun = Instant::now();
    until("the good one follows", async || {
        good.slot(0)
            .is_some_and(|slot| slot.backend_addr == servers[1].addr)
    })
    .await;
    assert!(
        begun.elapsed() < Duration::from_millis(500),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(good.slot(0).unwrap().backend_addr_epoch, Epoch(3));
    until("the mark is cleared by those who answer", async || {
        !dashboard.group(1).await.out_of_sync
    })
    .await;
    assert_eq!(
        bad.slot(0).unwrap().backend_addr,
        "",
        "it has nothing but the first fill"
    );

    bad.hang(false);
    until("the bad one gets the newest form", async || {
        bad.slot(0)
            .is_some_and(|slot| slot.backend_addr == servers[1].addr)
    })
    .await;
}
