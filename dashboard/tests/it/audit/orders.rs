//! Orders to servers, sentinels and proxies are recorded, those too that nobody asked for and those
//! that came to nothing.

use std::path::Path;

use serde_json::Value;

use super::newest;
use crate::bed::{Bed, Dashboard, neighbour, until};
use crate::doubles::ProxyDouble;

/// The orders so far that `is` picks.
async fn orders(dashboard: &Dashboard, is: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut all = dashboard.audit("order").await;
    all.retain(is);
    all
}

/// Waits for an order to `to` that begins so, and gives it.
async fn order(dashboard: &Dashboard, to: &str, begin: &str) -> Value {
    let found = async || {
        orders(dashboard, |entry| {
            entry["to"] == to && entry["order"].as_str().unwrap().starts_with(begin)
        })
        .await
    };
    until(&format!("{begin} to {to}"), async || {
        !found().await.is_empty()
    })
    .await;
    found().await.remove(0)
}

fn slave_of(addr: &str) -> String {
    format!("SLAVEOF {}", addr.replace(':', " "))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_servers_were_told_is_recorded_with_their_answer() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let mut servers = bed.replicated(2).await;
    dashboard.fill_group(1, &servers).await;
    servers[2].process.kill();
    let promote = format!("group/promote/X/1/{}", servers[1].addr);
    dashboard.put(&promote).await;
    let asked = promote.replace("/X", "");
    let promoted = order(&dashboard, &servers[1].addr, "SLAVEOF NO ONE").await;
    assert_eq!(
        (&promoted["outcome"], &promoted["what"]),
        (&"done".into(), &asked.clone().into())
    );
    let from = promoted["from"].as_str().unwrap();
    assert!(from.starts_with("127.0.0.1:"), "{promoted}");
    let words = slave_of(&servers[1].addr);
    let followed = order(&dashboard, &servers[0].addr, &words).await;
    assert_eq!(
        (&followed["outcome"], &followed["what"]),
        (&"done".into(), &asked.into())
    );
    let dead = order(&dashboard, &servers[2].addr, &words).await;
    assert_eq!(dead["outcome"], "failed");
    assert!(
        dead["cause"].as_str().unwrap().contains(&servers[2].addr),
        "{dead}"
    );
    assert!(dead["took_ms"].is_u64());

    // A server that takes the command for a wrong one refuses, and says so.
    let hidden = "rename-command SLAVEOF \"\"\nrename-command REPLICAOF \"\"\n";
    let odd = bed.redis_with(hidden).await;
    dashboard.put(&format!("group/add/X/1/{}", odd.addr)).await;
    dashboard
        .put(&format!("group/action/create/X/{}", odd.addr))
        .await;
    let refused = order(&dashboard, &odd.addr, &words).await;
    assert_eq!(
        (&refused["outcome"], &refused["from"]),
        (&"refused".into(), &"dashboard".into()),
        "{refused}"
    );
    assert_eq!(refused["what"], format!("group/action {}", odd.addr));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proxies_were_told_is_recorded_with_their_answer() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let proxy = ProxyDouble::start("p").await;
    dashboard
        .put(&format!("proxy/create/X/{}", proxy.addr))
        .await;
    // The poller may have been there first.
    let created = format!("proxy/create/{}", proxy.addr);
    let is_start = |entry: &Value| entry["order"] == "start" && entry["what"] == created;
    let started = orders(&dashboard, is_start).await;
    let shown: Vec<_> = started.iter().map(|e| (&e["to"], &e["outcome"])).collect();
    let addr = Value::from(proxy.addr.clone());
    assert_eq!(shown.last(), Some(&(&addr, &"done".into())));
    proxy.hang(true);
    dashboard.refused("proxy/remove/X/p/0").await;
    dashboard.put("proxy/remove/X/p/1").await;
    let ended = orders(&dashboard, |entry| entry["order"] == "shutdown").await;
    let shown: Vec<_> = ended.iter().map(|e| (&e["what"], &e["outcome"])).collect();
    assert_eq!(
        shown,
        [
            (&"proxy/remove/p/0".into(), &"failed".into()),
            (&"proxy/remove/p/1".into(), &"failed".into())
        ],
        "forced or not, the proxy did not answer"
    );
    let calls = newest(&dashboard, 1000).await;
    let forced = calls
        .iter()
        .find(|e| e["kind"] == "call" && e["what"] == "proxy/remove/p/1");
    assert_eq!(forced.unwrap()["outcome"], "done");
}

/// Sentinels are told what to watch by nobody's command, and to fail over by an operator's; what
/// they decide by themselves is adopted in their name.
#[tokio::test(flavor = "multi_thread")]
async fn what_sentinels_were_told_and_what_they_decided_is_recorded() {
    let bed = Bed::new();
    let auth = "product_auth = \"hush hush\"\n";
    let dashboard = bed.dashboard_with(auth).await;
    let password = "requirepass \"hush hush\"\nmasterauth \"hush hush\"\n";
    let servers = [
        bed.redis_with(password).await,
        bed.redis_with(password).await,
    ];
    dashboard.fill_group(1, &servers).await;
    dashboard
        .put(&format!("group/action/create/X/{}", servers[1].addr))
        .await;
    let ours = bed
        .sentinels(&neighbour("codis-sentinel"), &dashboard, 1)
        .await;
    let stock = bed.sentinel(Path::new("redis-sentinel")).await;
    dashboard
        .put(&format!("sentinels/add/X/{}", stock.addr))
        .await;
    let flushed = order(&dashboard, &stock.addr, "SENTINEL FLUSHCONFIG").await;
    assert_eq!(flushed["what"], format!("sentinels/add/{}", stock.addr));
    for sentinel in [&ours[0].addr, &stock.addr] {
        let watch = order(&dashboard, sentinel, "SENTINEL MONITOR demo-1 127.0.0.1").await;
        assert_eq!(
            (&watch["outcome"], &watch["from"]),
            (&"done".into(), &"dashboard".into())
        );
        let secret = order(&dashboard, sentinel, "SENTINEL SET demo-1 auth-pass").await;
        assert_eq!(secret["order"], "SENTINEL SET demo-1 auth-pass ***");
    }
    dashboard
        .put(&format!("group/promote/X/1/{}", servers[1].addr))
        .await;
    let failovers = orders(&dashboard, |entry| {
        entry["order"]
            .as_str()
            .unwrap()
            .starts_with("SENTINEL FAILOVER demo-1")
    })
    .await;
    let taken = failovers
        .iter()
        .find(|entry| entry["outcome"] == "done")
        .unwrap();
    assert_eq!(
        taken["what"],
        format!("group/promote/1/{}", servers[1].addr)
    );
    adopted_from_a_sentinel(&dashboard, &servers[1].addr).await;
    forgotten_by(&dashboard, &stock.addr).await;
    let all = newest(&dashboard, 1000).await;
    assert!(
        !Value::from(all).to_string().contains("hush"),
        "the password is shown"
    );
}

async fn adopted_from_a_sentinel(dashboard: &Dashboard, master: &str) {
    let adopted = newest(dashboard, 1000).await;
    let adopted = adopted
        .iter()
        .find(|e| e["what"] == format!("adopt 1 {master}"))
        .unwrap();
    assert_eq!(adopted["kind"], "change");
    assert!(
        adopted["from"].as_str().unwrap().starts_with("sentinel "),
        "{adopted}"
    );
    assert!(
        adopted["records"].to_string().contains("ha group-[1]"),
        "{adopted}"
    );
}

async fn forgotten_by(dashboard: &Dashboard, sentinel: &str) {
    dashboard
        .put(&format!("sentinels/del/X/{sentinel}/0"))
        .await;
    // The call makes it forget, and so does what kept it in step: whoever is first. The other one
    // finds it done, and may order nothing.
    let is_removal = |e: &Value| e["order"] == "SENTINEL REMOVE demo-1" && e["to"] == *sentinel;
    until("one of them has made it forget", async || {
        let removals = orders(dashboard, is_removal).await;
        removals.iter().any(|entry| entry["outcome"] == "done")
    })
    .await;
}
