//! The metrics port: a real scrape, line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use crate::support::{Kind, PATIENCE, Quorum, Sentinel, free_port, show, wait_for};

/// The status line and the body of a page.
fn get(port: u16, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// The figures of a page by series, after checking that each line is one that Prometheus takes.
fn scrape(port: u16) -> BTreeMap<String, f64> {
    let (status, text) = get(port, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    let (mut series, mut described) = (BTreeMap::new(), BTreeSet::new());
    let mut kinds = BTreeMap::new();
    let (before, after) = text.split_once("# EOF\n").unwrap();
    assert_eq!(after, "", "nothing follows the end");
    for line in before.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.splitn(3, ' ').collect();
            match words[0] {
                "HELP" => assert!(described.insert(words[1].to_owned()), "again: {line}"),
                "TYPE" => drop(kinds.insert(words[1].to_owned(), words[2].to_owned())),
                "UNIT" => {}
                other => panic!("{other}: {line}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let bare = name.split('{').next().unwrap();
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(bare.chars().all(valid), "{line}");
        let family = bare.strip_suffix("_total").unwrap_or(bare);
        let family = family.strip_suffix("_info").unwrap_or(family);
        let kind = kinds
            .get(family)
            .unwrap_or_else(|| panic!("no type: {line}"));
        assert_eq!(bare.ends_with("_total"), kind == "counter", "{line}");
        let value: f64 = value
            .parse()
            .unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(series.insert(name.to_owned(), value).is_none(), "{line}");
    }
    series
}

/// The figures before anything has happened.
fn check_quiet(series: &BTreeMap<String, f64>, master: &str) {
    let exporter = [
        ("slaves", 1.0),
        ("sentinels", 4.0),
        ("config_epoch", 0.0),
        ("setting_ckquorum", 2.0),
        ("setting_parallel_syncs", 1.0),
        ("setting_failover_timeout", 180_000.0),
        ("setting_down_after_milliseconds", 1000.0),
    ];
    for (name, value) in exporter {
        let name = format!("redis_sentinel_master_{name}{master}");
        assert_eq!(series.get(&name), Some(&value), "{name}");
    }
    let status = master.replace('}', ",master_status=\"ok\"}");
    for (name, value) in [
        ("redis_up", 1.0),
        ("redis_sentinel_masters", 1.0),
        ("redis_sentinel_tilt", 0.0),
        ("redis_sentinel_running_scripts", 0.0),
        ("redis_sentinel_scripts_queue_length", 0.0),
        ("redis_sentinel_simulate_failure_flags", 0.0),
        (&format!("redis_sentinel_master_status{status}"), 1.0),
        ("codis_sentinel_current_epoch", 0.0),
        ("codis_sentinel_disk_refuses", 0.0),
        ("codis_sentinel_persist_failures_total", 0.0),
        ("codis_sentinel_votes_given_total", 0.0),
        ("codis_sentinel_master_s_down{master_name=\"m\"}", 0.0),
        ("codis_sentinel_master_fence_epoch{master_name=\"m\"}", 0.0),
    ] {
        assert_eq!(series.get(name), Some(&value), "{name} in {series:#?}");
    }
    let quorum_ok = |name: &&String| name.starts_with("redis_sentinel_master_ckquorum_status");
    let name = series.keys().find(quorum_ok).unwrap();
    assert!(name.contains("message=\"OK 4 usable Sentinels. "), "{name}");
}

/// The figures of a sentinel that saw a failover.
fn check_failover(port: u16) {
    let told = "codis_sentinel_last_failover_stage_seconds{master_name=\"m\"";
    wait_for("the failover is told", || {
        let series = scrape(port);
        series.keys().any(|name| name.starts_with(told))
    });
    let series = scrape(port);
    let epoch = series["codis_sentinel_master_config_epoch{master_name=\"m\"}"];
    assert!(epoch >= 1.0 && series["codis_sentinel_current_epoch"] >= epoch);
    assert_eq!(series["codis_sentinel_master_switches_total"], 1.0);
    assert_eq!(
        series["codis_sentinel_events_total{event=\"+switch-master\"}"],
        1.0
    );
    let began = series["codis_sentinel_last_failover_timestamp_seconds{master_name=\"m\"}"];
    assert!(began > 1.0e9, "{began}");
}

/// The figures of the exporter and ours are there, and a failover shows in them stage by stage.
#[test]
fn a_scrape_tells_what_happens() {
    let mut quorum = Quorum::start(&[Kind::Ours; 3], 1, "");
    let port = free_port("127.0.0.1");
    let lines = format!(
        "sentinel monitor m {} 2\nsentinel down-after-milliseconds m 1000\n\
         sentinel metrics-port {port}\n",
        quorum.servers[0].words()
    );
    let observer = Sentinel::ours(&lines);
    let addr = quorum.servers[0].words().replace(' ', ":");
    let master = format!("{{master_name=\"m\",master_address=\"{addr}\"}}");
    wait_for("the peers are known", || {
        let series = scrape(port);
        let at = |name: &str| {
            series
                .get(&format!("redis_sentinel_master_{name}{master}"))
                .copied()
        };
        at("ok_sentinels") == Some(4.0) && at("ok_slaves") == Some(1.0)
    });
    check_quiet(&scrape(port), &master);

    quorum.servers[0].process.kill();
    quorum.wait_for_switch(0);
    check_failover(port);
    println!("{:#?}", scrape(port));
    assert_eq!(get(port, "/live").1, "live\n");
    assert_eq!(get(port, "/ready").1, "ready\n");
    assert!(get(port, "/nothing").0.contains("404"));
    assert_eq!(show(&observer.call("PING")), "+PONG");
}

/// The directives stay in a file that is rewritten, in a form that a stock sentinel reads over.
#[test]
fn the_port_is_kept_in_the_file() {
    let port = free_port("127.0.0.1");
    let lines = format!("sentinel metrics-port {port}\nsentinel metrics-bind 127.0.0.1\n");
    let mut sentinel = Sentinel::ours(&lines);
    assert_eq!(show(&sentinel.call("SENTINEL FLUSHCONFIG")), "+OK");
    assert_eq!(scrape(port)["redis_up"], 1.0);
    let text = sentinel.config();
    let expected = [
        format!("# codis-ha metrics-port {port}"),
        "# codis-ha metrics-bind 127.0.0.1".to_owned(),
    ];
    for line in &expected {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(sentinel.process.stop().success());
    sentinel.restart_as(PathBuf::from("redis-sentinel"));
    assert_eq!(show(&sentinel.call("SENTINEL FLUSHCONFIG")), "+OK");
    assert!(sentinel.process.stop().success());
    sentinel.restart_as(Sentinel::our_program());
    assert_eq!(scrape(port)["redis_up"], 1.0);
}

/// Without the directive there is no port.
#[test]
fn a_wrong_address_is_told_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.conf");
    std::fs::write(&path, "port 0\nsentinel metrics-bind nowhere\n").unwrap();
    let run = std::process::Command::new(Sentinel::our_program())
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(
        said.contains("metrics-bind nowhere") && said.contains("IP address"),
        "{said}"
    );
}
