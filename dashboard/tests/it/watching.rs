//! Sentinels that lose what they were told, and what puts them right.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bed::{Bed, DOWN_AFTER_MILLIS, Dashboard, Redis, neighbour, once_within, until};

/// How long a sentinel may stay wrong: the time to its next poll, a second, and what the poll and
/// the orders take, and that on a busy machine. Whoever waited for an operator would wait on.
const RIGHT_WITHIN: Duration = Duration::from_secs(12);
/// The same, and until it knows the replicas: it looks for them by itself. A stock one opens its
/// connections once a second.
const AGAIN_WITHIN: Duration = Duration::from_secs(24);

/// The fields of a monitor; none when the sentinel says that it has no such one.
async fn monitor(sentinel: &Redis, name: &str) -> BTreeMap<String, String> {
    let fields = RefCell::new(BTreeMap::new());
    until("the sentinel answers", async || {
        match sentinel.call(&["SENTINEL", "MASTER", name]).await {
            Ok(told) => *fields.borrow_mut() = redis::from_redis_value(told).unwrap(),
            Err(error) => return error.code().is_some(),
        }
        true
    })
    .await;
    fields.into_inner()
}

async fn field(sentinel: &Redis, name: &str, field: &str) -> String {
    monitor(sentinel, name)
        .await
        .remove(field)
        .unwrap_or_default()
}

/// A group of a master and a replica that one sentinel watches.
async fn watched(bed: &Bed, binary: &Path) -> (Dashboard, Vec<Redis>, Redis) {
    let dashboard = bed.dashboard().await;
    let servers = bed.replicated(1).await;
    dashboard.fill_group(1, &servers).await;
    let sentinel = bed.sentinel(binary).await;
    dashboard
        .put(&format!("sentinels/add/X/{}", sentinel.addr))
        .await;
    until("the sentinel watches and knows the replica", async || {
        field(&sentinel, "demo-1", "num-slaves").await == "1"
            && !dashboard.stats().await.sentinels.model.out_of_sync
    })
    .await;
    (dashboard, servers, sentinel)
}

/// The monitor is back, with its settings, and knows the replica; gives how long that took.
async fn is_watched_again(sentinel: &Redis) -> Duration {
    let down_after = DOWN_AFTER_MILLIS.to_string();
    let took = until("the monitor is back", async || {
        field(sentinel, "demo-1", "down-after-milliseconds").await == down_after
    })
    .await;
    let knows = until("it knows the replica", async || {
        field(sentinel, "demo-1", "num-slaves").await == "1"
    })
    .await;
    took + knows
}

async fn what_is_lost_comes_back(binary: PathBuf) {
    let bed = Bed::new();
    let (dashboard, servers, mut sentinel) = watched(&bed, &binary).await;
    // Changed by hand: put right in place, for the replicas are known all the time.
    for (option, value) in [
        ("down-after-milliseconds", DOWN_AFTER_MILLIS),
        ("quorum", 2),
        ("parallel-syncs", 1),
    ] {
        once_within(RIGHT_WITHIN, option, async || {
            sentinel
                .call(&["SENTINEL", "SET", "demo-1", option, "70007"])
                .await
                .unwrap();
            until("the option is put right", async || {
                let fields = monitor(&sentinel, "demo-1").await;
                assert_eq!(fields["num-slaves"], "1", "the monitor was made anew");
                fields[option] == value.to_string()
            })
            .await
        })
        .await;
    }
    // Removed by hand.
    once_within(AGAIN_WITHIN, "it is watched again", async || {
        sentinel
            .call(&["SENTINEL", "REMOVE", "demo-1"])
            .await
            .unwrap();
        is_watched_again(&sentinel).await
    })
    .await;
    // A monitor of a group that is not there goes; one of another product stays.
    let port = servers[0].addr.rsplit(':').next().unwrap();
    for name in ["demo-9", "other-1"] {
        sentinel
            .call(&["SENTINEL", "MONITOR", name, "127.0.0.1", port, "1"])
            .await
            .unwrap();
    }
    until("the monitor of no group is gone", async || {
        monitor(&sentinel, "demo-9").await.is_empty()
    })
    .await;
    assert!(!monitor(&sentinel, "other-1").await.is_empty());
    // Its file is lost.
    once_within(AGAIN_WITHIN, "it is told again", async || {
        sentinel.process.kill();
        bed.restart_sentinel(&mut sentinel, &binary).await;
        is_watched_again(&sentinel).await
    })
    .await;
    assert!(!dashboard.stats().await.sentinels.model.out_of_sync);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_sentinel_that_loses_what_it_was_told_is_told_again() {
    what_is_lost_comes_back("redis-sentinel".into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_ours_that_loses_what_it_was_told_is_told_again() {
    what_is_lost_comes_back(neighbour("codis-sentinel")).await;
}

/// A resync at any moment leaves no instant in which the group is not watched.
#[tokio::test(flavor = "multi_thread")]
async fn a_resync_never_removes_a_monitor() {
    let bed = Bed::new();
    let (dashboard, _servers, sentinel) = watched(&bed, Path::new("redis-sentinel")).await;
    let looks = Cell::new(0);
    let resyncs = async {
        for round in 0.. {
            dashboard.put("sentinels/resync-all/X").await;
            if round >= 5 && looks.get() > 5 {
                break;
            }
        }
    };
    let look = async {
        loop {
            let slaves = field(&sentinel, "demo-1", "num-slaves").await;
            assert_eq!(slaves, "1", "after {} looks", looks.get());
            looks.set(looks.get() + 1);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = resyncs => {}
        () = look => {}
    }
}

/// A sentinel that is dead keeps neither the mark nor the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_sentinel_does_not_keep_the_mark() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let servers = bed.replicated(1).await;
    dashboard.fill_group(1, &servers[..1]).await;
    let mut sentinels = Vec::new();
    for _ in 0..3 {
        let sentinel = bed.sentinel(Path::new("redis-sentinel")).await;
        dashboard
            .put(&format!("sentinels/add/X/{}", sentinel.addr))
            .await;
        sentinels.push(sentinel);
    }
    let mut dead = sentinels.pop().unwrap();
    dead.process.kill();
    dashboard
        .put(&format!("group/add/X/1/{}", servers[1].addr))
        .await;
    until("the mark is cleared", async || {
        !dashboard.stats().await.sentinels.model.out_of_sync
    })
    .await;
    bed.restart_sentinel(&mut dead, Path::new("redis-sentinel"))
        .await;
    until("the dead one is told when it returns", async || {
        field(&dead, "demo-1", "num-slaves").await == "1"
    })
    .await;
}

/// Sentinels that ask for a user and a password of their own.
#[tokio::test(flavor = "multi_thread")]
async fn sentinels_may_ask_for_a_password() {
    let bed = Bed::new();
    let settings = "sentinel_auth_user = \"codis\"\nsentinel_auth_pass = \"s3cret\"\n";
    let dashboard = bed.dashboard_with(settings).await;
    let servers = bed.replicated(1).await;
    dashboard.fill_group(1, &servers).await;
    let sentinel = bed.sentinel(Path::new("redis-sentinel")).await;
    let acl = "ACL SETUSER codis on >s3cret +@all &*";
    let words: Vec<&str> = acl.split(' ').collect();
    sentinel.call(&words).await.unwrap();
    let acl = "ACL SETUSER default on nopass -@all +ping";
    let words: Vec<&str> = acl.split(' ').collect();
    sentinel.call(&words).await.unwrap();
    dashboard
        .put(&format!("sentinels/add/X/{}", sentinel.addr))
        .await;
    until("it watches, and is heard", async || {
        let section = dashboard.stats().await.sentinels;
        section.masters.contains_key("1") && !section.model.out_of_sync
    })
    .await;
    let shown = dashboard.get("/topom").await.to_string();
    assert!(!shown.contains("s3cret"), "the password is shown");
}

/// Two products on the same sentinels see their own groups alone.
#[tokio::test(flavor = "multi_thread")]
async fn two_products_share_a_sentinel() {
    let bed = Bed::new();
    let (one, servers, sentinel) = watched(&bed, Path::new("redis-sentinel")).await;
    let another = Bed::new();
    let two = another.dashboard_of("other").await;
    let their = another.redis().await;
    two.fill_group(1, std::slice::from_ref(&their)).await;
    two.put(&format!("sentinels/add/X/{}", sentinel.addr)).await;
    until("both are watched", async || {
        !field(&sentinel, "other-1", "port").await.is_empty()
            && !two.stats().await.sentinels.model.out_of_sync
    })
    .await;
    one.put("sentinels/resync-all/X").await;
    two.put(&format!("sentinels/del/X/{}/0", sentinel.addr))
        .await;
    until("the other product is forgotten", async || {
        monitor(&sentinel, "other-1").await.is_empty()
    })
    .await;
    let port = servers[0].addr.rsplit(':').next().unwrap().to_owned();
    assert_eq!(field(&sentinel, "demo-1", "port").await, port);
}

/// A replica that left its group and is gone could still be promoted by whoever lists it.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_left_its_group_is_forgotten() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let mut servers = bed.replicated(2).await;
    dashboard.fill_group(1, &servers).await;
    let sentinel = bed.sentinel(Path::new("redis-sentinel")).await;
    dashboard
        .put(&format!("sentinels/add/X/{}", sentinel.addr))
        .await;
    until("the sentinel knows both replicas", async || {
        field(&sentinel, "demo-1", "num-slaves").await == "2"
    })
    .await;
    let mut left = servers.pop().unwrap();
    dashboard.put(&format!("group/del/X/1/{}", left.addr)).await;
    // It still follows, so nothing would be gained by now.
    assert_eq!(field(&sentinel, "demo-1", "num-slaves").await, "2");
    left.process.kill();
    let listed = async || {
        let told = sentinel.call(&["SENTINEL", "SLAVES", "demo-1"]).await;
        let slaves: Vec<BTreeMap<String, String>> = redis::from_redis_value(told.unwrap()).unwrap();
        let name = |slave: BTreeMap<String, String>| slave["name"].clone();
        slaves.into_iter().map(name).collect::<Vec<_>>()
    };
    until("it is forgotten", async || {
        !listed().await.contains(&left.addr)
    })
    .await;
    until("the other one is known again", async || {
        listed().await == [servers[1].addr.clone()]
    })
    .await;
}
