//! `/metrics`, `/live` and `/ready`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::harness::{Fixture, Server, key_on, settings, slot, wait_for};
use super::http::get;
use codis_bed::process::Signal;

/// The samples of a scrape, by name and labels.
fn scrape(fixture: &Fixture) -> BTreeMap<String, f64> {
    let text = get(fixture, "/metrics").text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn class_count(samples: &BTreeMap<String, f64>, class: &str) -> f64 {
    samples[&format!("codis_proxy_request_duration_seconds_count{{class=\"{class}\"}}")]
}

/// Each class of command has its histogram, which counts each request once.
#[test]
fn requests_are_timed_by_class() {
    let servers = [Server::start(&[]), Server::start(&[])];
    let fixture = Fixture::online(settings(), &[&servers[0], &servers[1]]);
    let (a, b) = (key_on(0, 2, 0), key_on(1, 2, 0));
    let mut client = fixture.client();
    for call in [
        &["GET", &*a][..],
        &["GET", &b],
        &["SET", &a, "v"],
        &["MGET", &a, &b],
        &["SELECT", "0"],
        &["PING"],
        &["NOSUCH", &a],
        &["KEYS", "*"],
        &["LPUSH", &a, "v"],
    ] {
        client.run(call);
    }
    let samples = scrape(&fixture);
    for (class, count) in [
        ("read", 2.0),
        ("write", 2.0),
        ("split", 1.0),
        ("local", 1.0),
        ("special", 1.0),
        ("unknown", 1.0),
        ("refused", 1.0),
    ] {
        assert_eq!(class_count(&samples, class), count, "{class}");
        let last =
            format!("codis_proxy_request_duration_seconds_bucket{{le=\"+Inf\",class=\"{class}\"}}");
        assert_eq!(samples[&last], count, "{class}");
    }
    let coded = |code: &str| {
        samples[&format!("codis_proxy_error_replies_by_code_total{{code=\"{code}\"}}")]
    };
    assert_eq!((coded("WRONGTYPE"), coded("ERR")), (1.0, 2.0));
    assert_eq!(samples["codis_proxy_error_replies_total"], 3.0);
    assert_eq!(
        samples["codis_proxy_command_calls_total{command=\"GET\"}"],
        2.0
    );
    assert!(samples["codis_proxy_session_read_bytes_total"] > 100.0);
    assert!(samples["codis_proxy_session_written_bytes_total"] > 50.0);
    assert_eq!(samples["codis_proxy_slots{state=\"open\"}"], 1024.0);
    assert!(samples["codis_proxy_process_resident_memory_bytes"] > 1e6);
    assert!(samples["codis_proxy_process_cpu_seconds_total"] >= 0.0);
}

/// A request that took half a second is in a bucket that says so.
#[test]
fn a_slow_request_is_in_a_late_bucket() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    client.run(&["SET", "k", "v"]);
    let before = fixture.stats().ops.total;
    server.signal(Signal::STOP);
    client.send(&["GET", "k"]);
    wait_for("the proxy has it", || fixture.stats().ops.total > before);
    std::thread::sleep(Duration::from_millis(500));
    server.signal(Signal::CONT);
    client.read();
    let samples = scrape(&fixture);
    let within = |bound: &str| {
        samples[&format!(
            "codis_proxy_request_duration_seconds_bucket{{le=\"{bound}\",class=\"read\"}}"
        )]
    };
    assert_eq!((within("0.196608"), within("12.582912")), (0.0, 1.0));
    let sum = samples["codis_proxy_request_duration_seconds_sum{class=\"read\"}"];
    assert!(sum > 0.2, "{sum}");
}

/// A frozen server shows by its address: what waits for it, and that its link is up or lost.
#[test]
fn backends_show_what_waits_for_them() {
    let servers = [Server::start(&[]), Server::start(&[])];
    let fixture = Fixture::online(settings(), &[&servers[0], &servers[1]]);
    let mut client = fixture.client();
    let (a, b) = (key_on(0, 2, 0), key_on(1, 2, 0));
    client.run(&["SET", &a, "v"]);
    client.run(&["SET", &b, "v"]);
    let sample = |name: &str, server: &Server| {
        let samples = scrape(&fixture);
        let key = format!(
            "codis_proxy_backend_{name}{{backend=\"{}\"}}",
            server.addr()
        );
        samples.get(&key).copied().unwrap_or(-1.0)
    };
    assert!(sample("replies_total", &servers[0]) >= 1.0);
    wait_for("both links are shown", || {
        sample("connections_up", &servers[0]) == 1.0 && sample("connections_up", &servers[1]) == 1.0
    });
    servers[0].signal(Signal::STOP);
    client.send(&["GET", &a]);
    wait_for("one is in flight", || {
        sample("in_flight_requests", &servers[0]) == 1.0
    });
    assert_eq!(sample("in_flight_requests", &servers[1]), 0.0);
    servers[0].signal(Signal::CONT);
    client.read();
    wait_for("none is in flight", || {
        sample("in_flight_requests", &servers[0]) == 0.0
    });
}

#[test]
fn slots_and_epochs_are_counted() {
    let server = Server::start(&[]);
    let fixture = Fixture::start(settings());
    let mut slots: Vec<_> = (0..10).map(|id| slot(id, 3, &server.addr(), 9)).collect();
    slots[0].locked = true;
    fixture.fill(&slots).unwrap();
    let samples = scrape(&fixture);
    let slots = |state: &str| samples[&format!("codis_proxy_slots{{state=\"{state}\"}}")];
    assert_eq!(
        (slots("open"), slots("locked"), slots("offline")),
        (9.0, 1.0, 1014.0)
    );
    assert_eq!(samples["codis_proxy_group_epoch{group=\"3\"}"], 9.0);
}

/// Not ready with the reason until every slot can be served; alive all the time.
#[test]
fn readiness_says_what_is_missing() {
    let server = Server::start(&[]);
    let fixture = Fixture::start(settings());
    let ready = || {
        let answer = get(&fixture, "/ready");
        (answer.status, answer.text())
    };
    assert_eq!(
        ready(),
        (503, "not ready: not started by a dashboard\n".to_owned())
    );
    assert_eq!(get(&fixture, "/live").text(), "live\n");
    fixture.put("start").unwrap();
    assert_eq!(
        ready(),
        (503, "not ready: 1024 slots are offline\n".to_owned())
    );
    fixture
        .fill(&super::harness::spread(&[&server], 0))
        .unwrap();
    assert_eq!(ready(), (200, "ready\n".to_owned()));
    // The listener of the admin API ends soon after, so the control side is asked.
    fixture.put("shutdown").unwrap();
    let why = fixture.proxy().control.readiness().unwrap_err();
    assert_eq!(why, "shutting down");
}

/// The document of the metrics names all of them, and no others.
#[test]
fn every_metric_is_explained() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    fixture.client().run(&["GET", "k"]);
    let text = get(&fixture, "/metrics").text();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let exposed: BTreeSet<String> = types
        .map(|line| match line.split_once(' ').unwrap() {
            (name, "counter") => format!("{name}_total"),
            (name, "info") => format!("{name}_info"),
            (name, _) => name.to_owned(),
        })
        .collect();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/proxy-metrics.md");
    let document = std::fs::read_to_string(file).unwrap();
    let explained: BTreeSet<String> = document
        .split('`')
        .filter(|word| word.starts_with("codis_proxy_"))
        .map(str::to_owned)
        .collect();
    let unexplained: Vec<&String> = exposed.difference(&explained).collect();
    assert!(unexplained.is_empty(), "not in {file}: {unexplained:?}");
    let gone: Vec<&String> = explained.difference(&exposed).collect();
    assert!(gone.is_empty(), "not exposed: {gone:?}");
}
