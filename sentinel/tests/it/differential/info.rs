//! `INFO`, field by field.

use super::{Bed, Pair, script};

/// Fields whose values are equal.
const EQUAL: &[&str] = &[
    "redis_git_sha1",
    "redis_git_dirty",
    "redis_mode",
    "os",
    "arch_bits",
    "multiplexing_api",
    "process_supervised",
    "uptime_in_days",
    "configured_hz",
    "io_threads_active",
    "cluster_connections",
    "blocked_clients",
    "tracking_clients",
    "rejected_connections",
    "pubsub_channels",
    "pubsub_patterns",
    "pubsubshard_channels",
];

/// Checks every section, and the combinations of names.
pub fn check(bed: &Bed) {
    let mut pair = Pair::of(bed);
    let mut both = |line: &'static str| {
        pair.say(&script::words(line));
        pair.hear(line).map(|value| {
            assert!(
                matches!(value, codis_core::resp::Value::Bulk(Some(_))),
                "{line}: {value:?}"
            );
            value.as_str().unwrap().to_owned()
        })
    };
    for line in [
        "INFO server",
        "INFO clients",
        "INFO stats",
        "INFO cpu",
        "INFO sentinel",
        "INFO",
        "INFO all",
        "INFO everything",
        "INFO default",
        "INFO CPU Server",
        "INFO sentinel nothing sentinel",
    ] {
        let [ours, stock] = both(line);
        compare(line, &ours, &stock);
    }
    for line in [
        "INFO nothing",
        "INFO replication",
        "INFO commandstats",
        "INFO nothing keyspace",
    ] {
        assert_eq!(both(line), ["", ""], "{line}");
    }
    let [ours, stock] = both("INFO sentinel").map(|text| {
        let lines = text.split("\r\n").map(|line| match line.split_once(':') {
            // The order of masters is that of a hash table.
            Some((key, facts)) if key.starts_with("master") => facts.to_owned(),
            _ => line.to_owned(),
        });
        let newer = |line: &String| line.starts_with("sentinel_total_tilt:");
        let mut lines: Vec<String> = lines.filter(|line| !newer(line)).collect();
        lines.sort();
        lines
    });
    assert_eq!(ours, stock);
}

/// The fields of stock are among ours in the same order, and what is equal is equal.
fn compare(line: &str, ours: &str, stock: &str) {
    let mut rest = ours.split("\r\n");
    for wanted in stock.split("\r\n") {
        let key = wanted.split(':').next().unwrap();
        let found = rest.find(|line| line.split(':').next() == Some(key));
        let found = found.unwrap_or_else(|| panic!("{line}: no {key} at its place in\n{ours}"));
        if EQUAL.contains(&key) || key.starts_with("sentinel_") {
            assert_eq!(found, wanted, "{line}");
        }
        // A number is a number in both.
        let is_number = |line: &str| line.split_once(':').map(|(_, v)| v.parse::<f64>().is_ok());
        if key != "executable" && key != "redis_build_id" {
            assert_eq!(is_number(found), is_number(wanted), "{line}: {key}");
        }
    }
}
