//! Proxies: registering, starting anew, and leaving.

use crate::bed::{Bed, until};
use crate::doubles::ProxyDouble;

#[tokio::test(flavor = "multi_thread")]
async fn proxies_are_registered_once_and_leave_by_force_when_they_hang() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let proxy = ProxyDouble::start("p").await;
    dashboard
        .put(&format!("proxy/create/X/{}", proxy.addr))
        .await;
    assert!(proxy.started());
    let again = dashboard
        .refused(&format!("proxy/create/X/{}", proxy.addr))
        .await;
    assert_eq!(again, "proxy-[p] already exists");
    dashboard
        .put(&format!("proxy/online/X/{}", proxy.addr))
        .await;
    dashboard.put("proxy/reinit/X/p").await;
    let models = dashboard.stats().await.proxy.models;
    assert_eq!((models.len(), models[0].id), (1, 1));
    let nobody = dashboard.refused("proxy/create/X/127.0.0.1:1").await;
    assert!(
        nobody.starts_with("proxy@127.0.0.1:1 fetch model failed, connect to"),
        "{nobody}"
    );
    let nobody = dashboard.refused("proxy/online/X/127.0.0.1:1").await;
    assert_eq!(nobody, "proxy@127.0.0.1:1 fetch model failed");

    proxy.hang(true);
    assert_eq!(
        dashboard.refused("proxy/reinit/X/p").await,
        "proxy-[p] fillslots failed"
    );
    assert_eq!(
        dashboard.refused("proxy/remove/X/p/0").await,
        "proxy-[p] shutdown failed"
    );
    until("its statistics say so", async || {
        dashboard
            .stats()
            .await
            .proxy
            .stats
            .get("p")
            .is_some_and(|report| report.timeout)
    })
    .await;
    dashboard.put("proxy/remove/X/p/1").await;
    assert!(dashboard.stats().await.proxy.models.is_empty());
    assert_eq!(bed.record("/codis3/demo/proxy/proxy-p"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_starts_anew_is_filled_and_started() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let server = bed.redis().await;
    dashboard.fill_group(1, std::slice::from_ref(&server)).await;
    let proxy = ProxyDouble::start("p").await;
    dashboard
        .put(&format!("proxy/create/X/{}", proxy.addr))
        .await;
    dashboard.give(0..=1023, 1).await;
    proxy.forget();
    until("it is filled and started", async || {
        proxy.started()
            && (0..1024).all(|id| {
                proxy
                    .slot(id)
                    .is_some_and(|slot| slot.backend_addr == server.addr)
            })
    })
    .await;
}

/// What somebody else wrote to the store is seen after a reload.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_reads_the_records_anew() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    dashboard.put("group/create/X/1").await;
    let dir = bed.path("store/data/codis3/demo/group");
    let text = std::fs::read_to_string(dir.join("group-0001")).unwrap();
    std::fs::write(
        dir.join("group-0002"),
        text.replace("\"id\": 1", "\"id\": 2"),
    )
    .unwrap();
    assert_eq!(dashboard.stats().await.group.models.len(), 1);
    dashboard.put("reload/X").await;
    assert_eq!(dashboard.stats().await.group.models.len(), 2);
    std::fs::write(dir.join("group-0003"), "nonsense").unwrap();
    assert_eq!(
        dashboard.refused("reload/X").await,
        "store: load group failed"
    );
    std::fs::remove_file(dir.join("group-0003")).unwrap();
    dashboard.put("group/create/X/4").await;
}
