//! The names of the members of the overview, against those of Codis 3.2.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use codis_bed::wait::WAIT_MAX;
use rustix::process::Signal;
use serde_json::Value;

use crate::bed::Bed;
use crate::doubles::ProxyDouble;

/// A line for each member: `=` one of the original, `+` one of ours. Names that depend on the
/// cluster are `*`, elements of lists `[]`.
const GOLDEN: &str = include_str!("golden/overview-members.txt");
/// Below these, names are addresses, tokens, or what a Redis server says.
const FREE: [&str; 7] = [
    "stats.group.stats",
    "stats.group.stats.*.stats",
    "stats.group.stats.*.last.stats",
    "stats.proxy.stats",
    "stats.sentinels.stats",
    "stats.sentinels.stats.*.stats",
    "stats.sentinels.masters",
];

/// Adds the names of all members of `value`.
fn members(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(all) => {
            let free = FREE.contains(&path) || path.ends_with(".sentinel");
            for (name, member) in all {
                let name = if free { "*" } else { name };
                let below = if path.is_empty() {
                    name.to_owned()
                } else {
                    format!("{path}.{name}")
                };
                into.insert(below.clone());
                // What a sentinel says of a master is not ours to name.
                if !path.ends_with(".sentinel.*") {
                    members(member, &below, into);
                }
            }
        }
        Value::Array(elements) => {
            let below = format!("{path}[]");
            elements.iter().for_each(|e| members(e, &below, into));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn golden(mark: char) -> BTreeSet<String> {
    let lines = GOLDEN.lines().filter_map(|line| line.strip_prefix(mark));
    lines.map(|line| line.trim().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_members_of_the_overview_are_those_of_codis() {
    let bed = Bed::new();
    let dashboard = bed.dashboard().await;
    let servers = bed.replicated(1).await;
    let gone = bed.redis().await;
    dashboard.fill_group(1, &servers).await;
    dashboard.fill_group(2, &[gone]).await;
    let proxy = ProxyDouble::start("proxy").await;
    dashboard
        .put(&format!("proxy/create/X/{}", proxy.addr))
        .await;
    let sentinel = bed.sentinel(Path::new("redis-sentinel")).await;
    dashboard
        .put(&format!("sentinels/add/X/{}", sentinel.addr))
        .await;
    // A hung server and one that refuses: both forms of a failed poll.
    servers[1].process.signal(Signal::STOP);
    let refused = dashboard.order(2).await[0].clone();
    crate::bed::redis_call(&refused, &["SHUTDOWN", "NOSAVE"])
        .await
        .ok();
    let mut seen = BTreeSet::new();
    let known: BTreeSet<String> = golden('=').union(&golden('+')).cloned().collect();
    let begun = Instant::now();
    loop {
        members(&dashboard.get("/topom").await, "", &mut seen);
        let missing: Vec<&String> = known.difference(&seen).collect();
        if missing.is_empty() {
            break;
        }
        let waited = begun.elapsed() > WAIT_MAX;
        assert!(!waited, "in the golden file alone: {missing:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    servers[1].process.signal(Signal::CONT);
    let unknown: Vec<&String> = seen.difference(&known).collect();
    assert!(unknown.is_empty(), "not in the golden file: {unknown:?}");
}
