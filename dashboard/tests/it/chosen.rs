//! Promotions of a chosen server through sentinels of all kinds.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use codis_bed::wait::WAIT_MAX;
use codis_core::json;

use crate::bed::{Bed, Dashboard, Redis, neighbour, peer, redis_call, until};

async fn follows(server: &Redis, master: &Redis) -> bool {
    let port = master.addr.rsplit(':').next().map(str::to_owned);
    server.info("role").await.as_deref() == Some("slave")
        && server.info("master_port").await == port
}

async fn priority(server: &Redis) -> String {
    let told = server.call(&["CONFIG", "GET", "slave-priority"]).await;
    let told: Vec<String> = redis::from_redis_value(told.unwrap()).unwrap();
    told[1].clone()
}

/// The master and all its replicas as a sentinel sees them.
async fn monitored(dashboard: &Dashboard, sentinel: &Redis) -> (String, usize) {
    let path = format!("/api/topom/sentinels/info/{}/monitored", sentinel.addr);
    let monitored = dashboard.get(&path).await;
    let master = &monitored["demo-1"]["master"];
    let addr = format!("{}:{}", master["ip"], master["port"]).replace('"', "");
    let slaves = monitored["demo-1"]["slaves"].as_array().map_or(0, Vec::len);
    (addr, slaves)
}

/// Promotes the third of three, then the second, and checks that all follow each time.
async fn promotes_whom_the_operator_chose(binary: &Path) {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let servers = bed.replicated(2).await;
    dashboard.fill_group(1, &servers).await;
    // By itself a sentinel would choose the other one.
    servers[1]
        .call(&["CONFIG", "SET", "slave-priority", "1"])
        .await
        .unwrap();
    let sentinels = bed.sentinels(binary, &dashboard, 2).await;
    for chosen in [2, 1] {
        let candidate = &servers[chosen];
        until("all replicas are in step", async || {
            let mut up = 0;
            for server in &servers {
                up += usize::from(server.info("master_link_status").await.as_deref() == Some("up"));
            }
            up == 2
        })
        .await;
        dashboard
            .put(&format!("group/promote/X/1/{}", candidate.addr))
            .await;
        assert_eq!(dashboard.order(1).await[0], candidate.addr);
        assert_eq!(bed.held().master, candidate.addr);
        assert_eq!(candidate.info("role").await.as_deref(), Some("master"));
        for other in servers.iter().filter(|other| other.addr != candidate.addr) {
            until("the others follow", async || {
                follows(other, candidate).await
            })
            .await;
        }
        for sentinel in &sentinels {
            until("the group stays monitored", async || {
                monitored(&dashboard, sentinel).await == (candidate.addr.clone(), 2)
            })
            .await;
        }
        assert!(bed.held().priorities.is_empty());
        let priorities = [
            priority(&servers[0]).await,
            priority(&servers[1]).await,
            priority(&servers[2]).await,
        ];
        assert_eq!(priorities, ["100", "1", "100"], "they are given back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_sentinels_promote_whom_the_operator_chose() {
    promotes_whom_the_operator_chose(Path::new("redis-sentinel")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_sentinels_promote_whom_the_operator_chose() {
    promotes_whom_the_operator_chose(&neighbour("codis-sentinel")).await;
}

/// Redis 3.2 starts as a sentinel by its name.
#[tokio::test(flavor = "multi_thread")]
async fn sentinels_of_the_age_of_codis_promote_whom_the_operator_chose() {
    let Some(server) = peer("redis-3.2") else {
        eprintln!("SKIPPED");
        return;
    };
    let bed = Bed::new();
    let link = bed.path("redis-sentinel");
    std::os::unix::fs::symlink(server, &link).unwrap();
    promotes_whom_the_operator_chose(&link).await;
}

/// A dashboard that died between the change of a priority and its return.
#[tokio::test(flavor = "multi_thread")]
async fn a_priority_is_given_back_after_a_crash() {
    let bed = Bed::new();
    let mut dashboard = bed.dashboard().await;
    let servers = bed.replicated(1).await;
    dashboard.fill_group(1, &servers).await;
    dashboard
        .put(&format!("group/promote/X/1/{}", servers[1].addr))
        .await;
    dashboard.process.kill();
    let mut held = bed.held();
    held.priorities.insert(servers[0].addr.clone(), 42);
    let file = bed.path("store/data/codis3/demo/ha/group-0001");
    std::fs::write(file, json::encode(&held)).unwrap();
    dashboard = bed.dashboard().await;
    until("the priority is given back", async || {
        priority(&servers[0]).await == "42" && bed.held().priorities.is_empty()
    })
    .await;
    assert_eq!(dashboard.order(1).await[0], servers[1].addr);
}

/// Clients write to whoever is master; what was answered with OK is there afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_through_our_sentinels_loses_no_write() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let servers = bed.replicated(1).await;
    dashboard.fill_group(1, &servers).await;
    let _sentinels = bed
        .sentinels(&neighbour("codis-sentinel"), &dashboard, 1)
        .await;
    let ended = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicUsize::new(0));
    let write = |writer| {
        write(
            writer,
            servers[0].addr.clone(),
            ended.clone(),
            written.clone(),
        )
    };
    let writers: Vec<_> = (0..4).map(|writer| tokio::spawn(write(writer))).collect();
    until("clients write", async || {
        written.load(Ordering::SeqCst) > 100
    })
    .await;
    dashboard
        .put(&format!("group/promote/X/1/{}", servers[1].addr))
        .await;
    ended.store(true, Ordering::SeqCst);
    let mut acknowledged = 0;
    for writer in writers {
        for key in writer.await.unwrap() {
            acknowledged += 1;
            assert!(is_kept(&servers[1], &key).await, "{key} is lost");
        }
    }
    assert!(acknowledged > 100, "{acknowledged}");
    let orders = dashboard.audit("order").await;
    let handed_over = orders.iter().any(|entry| {
        let words = entry["order"].as_str().unwrap();
        words.starts_with("SENTINEL FAILOVER demo-1 COORDINATED TO") && entry["outcome"] == "done"
    });
    assert!(handed_over, "{orders:?}");
}

/// Whether a key is there. Whoever promotes a server cuts the connections of its clients.
async fn is_kept(server: &Redis, key: &str) -> bool {
    let mut kept = false;
    until("the new master answers", async || {
        let told = redis_call(&server.addr, &["EXISTS", key]).await;
        kept = told == Ok(redis::Value::Int(1));
        told.is_ok()
    })
    .await;
    kept
}

/// Writes to the old master until it is one no more; gives the keys that it acknowledged.
async fn write(
    writer: usize,
    master: String,
    ended: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
) -> Vec<String> {
    let mut keys = Vec::new();
    let client = redis::Client::open(format!("redis://{master}")).unwrap();
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(WAIT_MAX))
        .set_response_timeout(Some(WAIT_MAX));
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    let Ok(mut connection) = connection.await else {
        return keys;
    };
    while !ended.load(Ordering::SeqCst) {
        let key = format!("w{writer}-{}", keys.len());
        let mut command = redis::cmd("SET");
        command.arg(&key).arg("v");
        match command.query_async::<()>(&mut connection).await {
            Ok(()) => {
                keys.push(key);
                written.fetch_add(1, Ordering::SeqCst);
            }
            Err(_) => return keys,
        }
    }
    keys
}
