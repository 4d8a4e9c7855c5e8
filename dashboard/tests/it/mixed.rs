//! Sentinels of all kinds in one quorum under one dashboard: Redis 3.2, the age of Codis, Debian's
//! Redis 7, and ours.

use std::path::{Path, PathBuf};
use std::time::Duration;

use codis_core::api::{MasterFields, SentinelStats};
use codis_core::epoch::Epoch;

use crate::bed::{Bed, DOWN_AFTER_MILLIS, Dashboard, Redis, neighbour, peer, until_within};

/// Stock sentinels that vote for one another at the same time try again after twice the
/// `failover-timeout`, which is 10 s here.
const FAILOVER_MAX: Duration = Duration::from_secs(90);

/// Redis 3.2 as `scripts/peers` leaves it; started by a link of this name it is a sentinel.
fn redis_3_2(bed: &Bed) -> Option<PathBuf> {
    let link = bed.path("redis-sentinel");
    std::os::unix::fs::symlink(peer("redis-3.2")?, &link).unwrap();
    Some(link)
}

/// One sentinel of each kind. Without Redis 3.2 there are two of Redis 7, and the test says so.
async fn one_of_each(bed: &Bed) -> [Redis; 3] {
    let old = redis_3_2(bed).unwrap_or_else(|| "redis-sentinel".into());
    [
        bed.sentinel(&old).await,
        bed.sentinel(Path::new("redis-sentinel")).await,
        bed.sentinel(&neighbour("codis-sentinel")).await,
    ]
}

fn port(addr: &str) -> &str {
    addr.rsplit(':').next().unwrap()
}

async fn field(sentinel: &Redis, name: &str, field: &str) -> String {
    let told = sentinel.call(&["SENTINEL", "MASTER", name]).await;
    let fields: Option<MasterFields> = told.ok().and_then(|f| redis::from_redis_value(f).ok());
    fields
        .and_then(|mut fields| fields.remove(field))
        .unwrap_or_default()
}

/// Waits until all sentinels on record, so many, watch `master` with one good replica and know each
/// other, and nothing is out of step.
async fn whole(board: &Dashboard, master: &str, count: usize) {
    let name = format!("{}-1", board.product);
    let others = (count - 1).to_string();
    let sees = |stats: &SentinelStats| {
        let Some(seen) = stats.sentinel.get(&name) else {
            return false;
        };
        let has = |fields: &MasterFields, name: &str, value: &str| {
            fields.get(name).is_some_and(|held| held == value)
        };
        let good = |slave: &&MasterFields| has(slave, "master-link-status", "ok");
        has(&seen.master, "port", port(master))
            && has(&seen.master, "flags", "master")
            && has(&seen.master, "num-other-sentinels", &others)
            && seen.slaves.iter().filter(good).count() == 1
    };
    until_within(FAILOVER_MAX, "all sentinels see the same", async || {
        let stats = board.stats().await;
        let sentinels = &stats.sentinels;
        !sentinels.model.out_of_sync
            && stats.group.models.iter().all(|group| !group.out_of_sync)
            && sentinels.model.servers.len() == count
            && sentinels.stats.len() == count
            && sentinels.stats.values().all(&sees)
    })
    .await;
}

/// Kills the master; the replica is adopted at a higher epoch, by nobody's command.
async fn fails_over(bed: &Bed, board: &Dashboard, old: &mut Redis, new: &Redis) {
    let before = match bed.record("/codis3/demo/ha/group-0001") {
        Some(_) => bed.held().epoch,
        None => Epoch::ZERO,
    };
    old.process.kill();
    until_within(FAILOVER_MAX, "the new master is adopted", async || {
        board.order(1).await[0] == new.addr
    })
    .await;
    let held = bed.held();
    assert!(held.epoch > before, "{:?} after {before:?}", held.epoch);
    assert_eq!(held.master, new.addr);
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_of_all_kinds_serve_one_product() {
    let bed = Bed::new();
    let board = bed.dashboard().await;
    let mut servers = bed.replicated(1).await;
    board.fill_group(1, &servers).await;
    let sentinels = one_of_each(&bed).await;
    for sentinel in &sentinels {
        board
            .put(&format!("sentinels/add/X/{}", sentinel.addr))
            .await;
    }
    whole(&board, &servers[0].addr, 3).await;

    // Another product moves in. Neither is told of, or loses, what is the other's.
    let other = bed.dashboard_of("other").await;
    let theirs = bed.replicated(1).await;
    other.fill_group(1, &theirs).await;
    for sentinel in &sentinels {
        other
            .put(&format!("sentinels/add/X/{}", sentinel.addr))
            .await;
    }
    whole(&other, &theirs[0].addr, 3).await;
    whole(&board, &servers[0].addr, 3).await;

    // Settings change in place: no moment without replicas, so none in which nobody fails over.
    for sentinel in &sentinels {
        let wrong = [
            "SENTINEL",
            "SET",
            "demo-1",
            "down-after-milliseconds",
            "60000",
        ];
        sentinel.call(&wrong).await.unwrap();
    }
    board.put("sentinels/resync-all/X").await;
    for sentinel in &sentinels {
        let down_after = field(sentinel, "demo-1", "down-after-milliseconds").await;
        assert_eq!(down_after, DOWN_AFTER_MILLIS.to_string());
        assert_eq!(field(sentinel, "demo-1", "num-slaves").await, "1");
    }

    // The master dies, returns, and follows; nobody resyncs anything.
    let (old, new) = servers.split_at_mut(1);
    fails_over(&bed, &board, &mut old[0], &new[0]).await;
    bed.redis_again(&mut old[0]).await;
    whole(&board, &new[0].addr, 3).await;
    whole(&other, &theirs[0].addr, 3).await;

    // One leaves and forgets this product only; it comes back, and the group fails over once more.
    let ours = &sentinels[2];
    board.put(&format!("sentinels/del/X/{}/0", ours.addr)).await;
    until_within(FAILOVER_MAX, "it has forgotten this product", async || {
        field(ours, "demo-1", "port").await.is_empty()
    })
    .await;
    assert_eq!(field(ours, "other-1", "port").await, port(&theirs[0].addr));
    board.put(&format!("sentinels/add/X/{}", ours.addr)).await;
    whole(&board, &new[0].addr, 3).await;
    fails_over(&bed, &board, &mut new[0], &old[0]).await;
    bed.redis_again(&mut new[0]).await;
    whole(&board, &old[0].addr, 3).await;
    whole(&other, &theirs[0].addr, 3).await;
    let adopted = board.audit("change").await;
    let adopted = adopted
        .iter()
        .filter(|entry| entry["what"].as_str().unwrap().starts_with("adopt 1"));
    assert_eq!(adopted.count(), 2, "one for each failover");
}
