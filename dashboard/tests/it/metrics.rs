//! Figures for Prometheus, and stale peers.

use std::collections::BTreeSet;

use rustix::process::Signal;

use crate::bed::{Bed, Dashboard, call, figure, until};
use crate::doubles::ProxyDouble;

async fn scrape(dashboard: &Dashboard) -> String {
    let answer = call(&dashboard.addr, "GET", "/metrics", "").await.unwrap();
    assert_eq!(answer.status, 200);
    answer.body
}

/// The document of the metrics names all of them, and no others.
#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_explained() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    // Requests are counted once there are any.
    dashboard.stats().await;
    let text = scrape(&dashboard).await;
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let exposed: BTreeSet<String> = types
        .map(|line| match line.split_once(' ').unwrap() {
            (name, "counter") => format!("{name}_total"),
            (name, "info") => format!("{name}_info"),
            (name, _) => name.to_owned(),
        })
        .collect();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/dashboard-metrics.md");
    let document = std::fs::read_to_string(file).unwrap();
    let explained: BTreeSet<String> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `codis_dashboard_"))
        .filter_map(|row| row.split_once('`'))
        .map(|(name, _)| format!("codis_dashboard_{name}"))
        .collect();
    let unexplained: Vec<&String> = exposed.difference(&explained).collect();
    assert!(unexplained.is_empty(), "not in {file}: {unexplained:?}");
    let gone: Vec<&String> = explained.difference(&exposed).collect();
    assert!(gone.is_empty(), "not exposed: {gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_follow_the_cluster_and_its_requests() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let redis = bed.redis().await;
    dashboard.fill_group(1, std::slice::from_ref(&redis)).await;
    dashboard.give(0..=99, 1).await;
    dashboard.refused("group/create/X/1").await;
    call(&dashboard.addr, "BREW", "/topom", "").await.unwrap();
    until("nobody is late", async || {
        let stale = "codis_dashboard_peers_stale{kind=\"server\"}";
        figure(&dashboard.addr, stale).await == Some(0.0)
    })
    .await;
    let text = scrape(&dashboard).await;
    let has = |line: &str| {
        let line = format!("codis_dashboard_{line}");
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    };
    has("leader 1");
    has("slots{state=\"open\"} 100");
    has("slots{state=\"offline\"} 924");
    has("groups 1");
    has("peers{kind=\"server\"} 1");
    has("http_requests_total{method=\"PUT\",status=\"800\"} 1");
    has("http_requests_total{method=\"other\",status=\"404\"} 1");
    has("store_errors_total{operation=\"write\"} 0");
    let count = "codis_dashboard_edit_duration_seconds_count";
    assert!(text.contains(count) && !text.contains(&format!("{count} 0\n")));
}

/// A server and a proxy that hang are shown as they were, with an age that grows; the rest is not.
#[tokio::test(flavor = "multi_thread")]
async fn hung_peers_keep_their_last_figures_with_their_age() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let servers = bed.replicated(1).await;
    dashboard.fill_group(1, &servers).await;
    let proxy = ProxyDouble::start("hangs").await;
    dashboard
        .put(&format!("proxy/create/X/{}", proxy.addr))
        .await;
    let (hung, well) = (&servers[1], &servers[0]);
    until("all are polled", async || {
        let stats = dashboard.stats().await;
        stats.group.stats.len() == 2
            && stats.group.stats.values().all(|s| !s.stats.is_empty())
            && stats.proxy.stats.values().any(|s| s.stats.is_some())
    })
    .await;
    hung.process.signal(Signal::STOP);
    proxy.hang(true);
    let mut ages = Vec::new();
    until("their age grows", async || {
        let stats = dashboard.stats().await;
        let server = &stats.group.stats[&hung.addr];
        let report = &stats.proxy.stats["hangs"];
        let (Some(server_age), Some(proxy_age)) = (server.age_ms, report.age_ms) else {
            return false;
        };
        // A busy machine may be late with one that is well, once.
        if stats.group.stats[&well.addr].age_ms.is_some() {
            return false;
        }
        assert!(server.timeout && server.stats.is_empty(), "as the original");
        let last = server.last.as_deref().unwrap();
        assert_eq!(last.stats["role"], "slave");
        assert!(report.last.as_deref().unwrap().stats.is_some());
        ages.push((server_age, proxy_age));
        let (first, now) = (ages[0], *ages.last().unwrap());
        now.0 > first.0 + 500 && now.1 > first.1 + 500
    })
    .await;
    for kind in ["server", "proxy"] {
        let line = format!("codis_dashboard_peers_stale{{kind=\"{kind}\"}} 1\n");
        until("one of each kind is stale", async || {
            scrape(&dashboard).await.contains(&line)
        })
        .await;
        let name = format!("codis_dashboard_peer_age_seconds_max{{kind=\"{kind}\"}}");
        let age = figure(&dashboard.addr, &name).await.unwrap();
        assert!(age > 0.5, "{kind}: {age}");
    }
    hung.process.signal(Signal::CONT);
    proxy.hang(false);
    until("they are fresh again", async || {
        let stats = dashboard.stats().await;
        stats.group.stats[&hung.addr].age_ms.is_none()
            && stats.proxy.stats["hangs"].age_ms.is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_tell_the_slots_in_a_few_lines() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let redis = bed.redis().await;
    dashboard.fill_group(3, std::slice::from_ref(&redis)).await;
    dashboard.assign(10..=19, 3).await;
    assert_eq!(
        dashboard.get("/topom/slots/ranges").await,
        serde_json::json!([
            { "begin": 0, "end": 9, "group_id": 0 },
            { "begin": 10, "end": 19, "group_id": 3 },
            { "begin": 20, "end": 1023, "group_id": 0 },
        ])
    );
    let debug = call(&dashboard.addr, "GET", "/debug/pprof/heap", "").await;
    assert_eq!(debug.unwrap().status, 501);
}
