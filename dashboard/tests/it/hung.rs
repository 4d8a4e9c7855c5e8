//! A proxy that hangs delays its own row and nothing else.

use std::time::{Duration, Instant};

use codis_core::epoch::Epoch;

use crate::bed::{Bed, Dashboard, Redis, until};
use crate::doubles::{ProxyDouble, SentinelDouble};

/// Whoever waited for the proxy that hangs would wait until it goes on, which is after the check.
/// This is what a busy machine may need for what takes no time.
const NOTICED_MAX: Duration = Duration::from_secs(10);

async fn leads(proxy: &ProxyDouble, slot: u16, master: &Redis) -> Duration {
    until("the proxy holds the master", async || {
        proxy
            .slot(slot)
            .is_some_and(|slot| slot.backend_addr == master.addr)
    })
    .await
}

/// A group, a proxy that answers and one that does not any more.
async fn with_a_hung_proxy(bed: &Bed) -> (Dashboard, Vec<Redis>, ProxyDouble, ProxyDouble) {
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
    (dashboard, servers, good, bad)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assignment_reaches_the_others_and_names_the_hung_one() {
    let bed = Bed::new();
    let (dashboard, servers, good, bad) = with_a_hung_proxy(&bed).await;
    let begun = Instant::now();
    let (answer, filled) = tokio::join!(dashboard.assign(0..=99, 1), leads(&good, 99, &servers[0]));
    assert_eq!(answer.cause(), "proxy-[bad] resync slots failed");
    let took = begun.elapsed();
    assert!(filled.max(took) < NOTICED_MAX, "{filled:?}, {took:?}");
    let begun = Instant::now();
    dashboard.stats().await;
    let took = begun.elapsed();
    assert!(took < NOTICED_MAX, "{took:?}");
    let held = bad.slot(99).unwrap().backend_addr;
    assert_eq!(held, "", "it hangs all the time");
    bad.hang(false);
    leads(&bad, 99, &servers[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_reaches_the_others_while_one_hangs() {
    let bed = Bed::new();
    let (dashboard, servers, good, bad) = with_a_hung_proxy(&bed).await;
    dashboard.assign(0..=9, 1).await;
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
    let took = leads(&good, 0, &servers[1]).await;
    assert!(took < NOTICED_MAX, "{took:?}");
    assert_eq!(good.slot(0).unwrap().backend_addr_epoch, Epoch(3));
    until("the mark is cleared by those who answer", async || {
        !dashboard.group(1).await.out_of_sync
    })
    .await;
    let held = bad.slot(0).unwrap().backend_addr;
    assert_eq!(held, "", "it has nothing but the first fill");
    bad.hang(false);
    leads(&bad, 0, &servers[1]).await;
}
