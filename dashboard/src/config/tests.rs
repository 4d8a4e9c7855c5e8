use std::collections::BTreeMap;

use super::*;

const SHIPPED: &str = include_str!("../../../conf/dashboard.toml");
const PAGE: &str = include_str!("../../../docs/dashboard.md");
/// Where the shipped file does not have the default, on purpose.
const SHIPPED_OTHERWISE: [&str; 3] = [
    "coordinator_addr",
    "sentinel_down_after",
    "sentinel_failover_timeout",
];

fn read(text: &str) -> Result<Settings, Problems> {
    Settings::read(Document::parse("t", text).unwrap())
}

/// Every key with its value as the file has it.
fn all(settings: &Settings) -> BTreeMap<String, String> {
    let shown = settings.shown();
    let members = shown.as_object().unwrap().iter();
    let mut all: BTreeMap<_, _> = members
        .map(|(key, value)| (key.clone(), value.to_string()))
        .collect();
    all.insert("product_auth".to_owned(), "\"\"".to_owned());
    all
}

#[test]
fn the_shipped_file_sets_every_key_to_its_default() {
    let default = all(&Settings::default());
    let mut shipped = all(&read(SHIPPED).unwrap());
    for line in SHIPPED.lines().filter(|line| !line.starts_with('#')) {
        let Some((key, _)) = line.split_once(" = ") else {
            assert_eq!(line, "");
            continue;
        };
        let value = shipped.remove(key).expect("one line a key");
        if SHIPPED_OTHERWISE.contains(&key) {
            assert_ne!(value, default[key], "{key} has its default");
        } else {
            assert_eq!(value, default[key], "{key}");
        }
    }
    assert!(shipped.is_empty(), "not in the file: {shipped:?}");
}

/// The page has one row a key: `| `key` | default | range | effect |`.
#[test]
fn the_page_tells_every_key_and_its_default() {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter_map(|row| {
        let (key, rest) = row.split_once("` | `")?;
        let (default, _) = rest.split_once('`')?;
        Some((key.to_owned(), default.to_owned()))
    });
    let told: BTreeMap<String, String> = rows.collect();
    assert_eq!(told, all(&Settings::default()));
}

#[test]
fn passwords_are_not_shown() {
    let secret = "product_auth = \"s3cret\"\ncoordinator_auth = \"u:s3cret\"\n\
                  sentinel_auth_pass = \"s3cret\"";
    let read = read(secret).unwrap();
    let shown = read.shown().to_string();
    assert!(!shown.contains("s3cret"), "{shown}");
    assert_eq!(read.shown()["sentinel_auth_pass"], "***");
    assert_eq!(read.shown()["migration_method"], "semi-async");
    assert_eq!(read.shown()["sentinel_failover_timeout"], "5m");
}

#[test]
fn every_problem_is_reported() {
    let bad = "product_name = \"-\"\nsentinel_quorum = 0\nmigration_timeout = \"1h30m\"\nnope = 1";
    let problems = read(bad).unwrap_err();
    assert_eq!(problems.lines().len(), 4, "{problems}");
}

#[test]
fn additions_are_refused_out_of_their_range() {
    for bad in [
        "leader_lease = \"999ms\"",
        "leader_lease = \"6m\"",
        "proxy_silent_max = \"2s\"",
        "proxy_silent_max = \"2m\"",
        "sync_parallel = 0",
        "sync_parallel = 1025",
        "migration_parallel_group = 0",
        "migration_parallel_group = 1025",
        "audit_log_max_bytes = \"1kb\"",
        "audit_log_max_bytes = \"2gb\"",
        "audit_log = 1",
        "sentinel_auth_user = \"two words\"",
        "sentinel_auth_user = \"without-password\"",
    ] {
        let key = bad.split_once(' ').unwrap().0;
        let problems = read(bad).expect_err(bad).to_string();
        assert!(problems.contains(key), "{bad}: {problems}");
    }
}

/// What the originals ship is read without a change.
#[test]
fn a_file_of_the_original_is_read() {
    let read = read(include_str!("tests/dashboard-3.2.toml")).unwrap();
    assert_eq!(read.coordinator_name, "zookeeper");
    assert_eq!(read.migration_parallel_slots, 100);
    assert_eq!(read.migration_async_maxbytes, ByteSize::from_mib(32));
}
