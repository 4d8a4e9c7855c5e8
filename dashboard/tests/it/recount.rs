//! Sentinels that are removed, and the majority of those that stay.

use std::path::Path;
use std::time::Duration;

use redis::Value;

use crate::bed::{Bed, Redis, neighbour, until_within};

/// Each of those that stay is reset in its turn, and learns the others before the next one is.
const RECOUNT_MAX: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_of_ours_count_one_that_was_removed_no_more() {
    is_not_counted(&neighbour("codis-sentinel")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_sentinels_count_one_that_was_removed_no_more() {
    is_not_counted(Path::new("redis-sentinel")).await;
}

async fn fields(sentinel: &Redis) -> std::collections::BTreeMap<String, String> {
    let told = sentinel.call(&["SENTINEL", "MASTER", "demo-1"]).await;
    redis::from_redis_value(told.unwrap()).unwrap()
}

/// Of three, one goes: the majority of the two that stay is one of two voters, not of three of
/// which one never votes. At every moment one of them knows the master and its replica.
async fn is_not_counted(binary: &Path) {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let servers = bed.replicated(1).await;
    dashboard.fill_group(1, &servers).await;
    let mut sentinels = bed.sentinels(binary, &dashboard, 1).await;
    let gone = sentinels.pop().unwrap();
    dashboard
        .put(&format!("sentinels/del/X/{}/0", gone.addr))
        .await;
    until_within(
        RECOUNT_MAX,
        "those that stay count each other",
        async || {
            let mut knowing = 0;
            let mut counts = Vec::new();
            for sentinel in &sentinels {
                let fields = fields(sentinel).await;
                knowing += usize::from(fields["num-slaves"] == "1");
                counts.push(fields["num-other-sentinels"].clone());
            }
            assert!(knowing > 0, "nobody could fail over: {counts:?}");
            counts == ["1", "1"]
        },
    )
    .await;
    let left = gone.call(&["SENTINEL", "MASTERS"]).await.unwrap();
    assert_eq!(left, Value::Array(Vec::new()));
}
