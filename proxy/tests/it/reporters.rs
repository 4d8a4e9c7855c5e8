//! Reports to other systems, against listeners that read strictly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use codis_core::units::TimeSpan;
use codis_proxy::settings::Settings;

use super::harness::{Fixture, SOON, Server, settings, wait_for};

/// What the influx and statsd reports hold, in this order.
const FIELDS: [&str; 14] = [
    "ops_total",
    "ops_fails",
    "ops_redis_errors",
    "ops_qps",
    "sessions_total",
    "sessions_alive",
    "rusage_mem",
    "rusage_cpu",
    "runtime_gc_num",
    "runtime_gc_total_pausems",
    "runtime_num_procs",
    "runtime_num_goroutines",
    "runtime_num_cgo_call",
    "runtime_num_mem_offheap",
];

/// A request that a listener got.
#[derive(Clone)]
struct Got {
    at: Instant,
    head: String,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.to_owned())
    }
}

/// An HTTP server that answers each request with a status, or never.
struct Listener {
    addr: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Listener {
    fn start(status: Option<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let taken = got.clone();
        // The thread ends with the process of the test.
        thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(SOON)).unwrap();
                let Some((head, body)) = request(&mut stream) else {
                    continue;
                };
                let at = Instant::now();
                taken.lock().unwrap().push(Got { at, head, body });
                match status {
                    Some(status) => {
                        let answer = format!(
                            "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                        );
                        let _ = stream.write_all(answer.as_bytes());
                    }
                    None => kept.push(stream),
                }
            }
        });
        Self { addr, got }
    }

    fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    fn wait(&self, count: usize) -> Vec<Got> {
        wait_for("reports", || self.got().len() >= count);
        self.got()
    }
}

fn request(stream: &mut impl Read) -> Option<(String, String)> {
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&all).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let len = head.lines().find_map(|line| {
                let (key, value) = line.split_once(": ")?;
                let is_len = key.eq_ignore_ascii_case("content-length");
                is_len.then(|| value.parse::<usize>().unwrap())
            });
            if body.len() >= len.unwrap_or(0) {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => all.extend_from_slice(&chunk[..n]),
            _ => return None,
        }
    }
}

/// A proxy with one server and three answered requests.
fn proxy(settings: Settings) -> (Server, Fixture) {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings, &[&server]);
    let mut client = fixture.client();
    client.run(&["SET", "k", "v"]);
    client.run(&["GET", "k"]);
    client.run(&["LPUSH", "k", "v"]);
    (server, fixture)
}

#[test]
fn the_overview_is_posted_as_json() {
    let listener = Listener::start(Some(200));
    let url = format!("http://user:secret@{}/in/here?x=1", listener.addr);
    let (_server, fixture) = proxy(Settings {
        metrics_report_server: url,
        ..settings()
    });
    wait_for("a report that counts all requests", || {
        listener.got().iter().any(|got| {
            let body: serde_json::Value = serde_json::from_str(&got.body).unwrap();
            body["stats"]["ops"]["total"] == 3
        })
    });
    let got = listener.wait(3).pop().unwrap();
    assert!(
        got.head.starts_with("POST /in/here?x=1 HTTP/1.1\r\n"),
        "{}",
        got.head
    );
    assert_eq!(got.header("content-type").unwrap(), "application/json");
    assert_eq!(
        got.header("authorization").unwrap(),
        "Basic dXNlcjpzZWNyZXQ="
    );
    let body: serde_json::Value = serde_json::from_str(&got.body).unwrap();
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["version", "compile", "config", "model", "stats"]);
    assert_eq!(body["model"]["token"], fixture.proxy().control.model.token);
    assert!(body["stats"]["ops"].get("cmd").is_none());
    assert!(body["stats"]["runtime"]["num_procs"].as_u64() == Some(2));
    assert!(!got.body.contains("secret"));
}

type Pairs = Vec<(String, String)>;

/// Reads one point as InfluxDB does: tags, fields, nanoseconds.
fn point(line: &str) -> (Pairs, Pairs, u64) {
    let line = line.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{line}");
    let parts: Vec<&str> = line.split(' ').collect();
    let [key, fields, nanos] = parts.as_slice() else {
        panic!("three parts: {line}");
    };
    let pairs = |text: &str| -> Pairs {
        let split = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        };
        text.split(',').map(split).collect()
    };
    let (measurement, tags) = key.split_once(',').unwrap();
    assert_eq!(measurement, "codis_usage");
    (pairs(tags), pairs(fields), nanos.parse().unwrap())
}

#[test]
fn influxdb_gets_points_in_line_protocol() {
    let listener = Listener::start(Some(204));
    let (_server, fixture) = proxy(Settings {
        metrics_report_influxdb_server: listener.url(),
        metrics_report_influxdb_username: "writer".to_owned(),
        metrics_report_influxdb_password: "pass".to_owned(),
        metrics_report_influxdb_database: "codis db".to_owned(),
        ..settings()
    });
    let total = |got: &Got| point(&got.body).1[0].1.clone();
    wait_for("a point that counts all requests", || {
        listener.got().iter().any(|got| total(got) == "3i")
    });
    let got = listener.wait(3);
    let last = got.last().unwrap();
    let target = "POST /write?consistency=&db=codis%20db&precision=ns&rp= HTTP/1.1\r\n";
    assert!(last.head.starts_with(target), "{}", last.head);
    assert_eq!(
        last.header("authorization").unwrap(),
        "Basic d3JpdGVyOnBhc3M="
    );
    let (tags, fields, nanos) = point(&last.body);
    let model = &fixture.proxy().control.model;
    for (name, value) in [
        ("token", &model.token),
        ("product_name", &model.product_name),
        ("admin_addr", &model.admin_addr),
        ("proxy_addr", &model.proxy_addr),
        ("hostname", &model.hostname),
    ] {
        assert!(
            tags.contains(&(name.to_owned(), value.clone())),
            "{name} in {tags:?}"
        );
    }
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, FIELDS);
    for (name, value) in &fields {
        match name.as_str() {
            "rusage_cpu" => assert!(value.parse::<f64>().is_ok(), "{value}"),
            "runtime_gc_total_pausems" => assert_eq!(value, "\"0\""),
            _ => assert!(
                value.strip_suffix('i').unwrap().parse::<u64>().is_ok(),
                "{name}"
            ),
        }
    }
    assert!(nanos > 1_600_000_000_000_000_000);
    let spans = got.windows(2).map(|two| two[1].at - two[0].at);
    assert!(
        spans
            .into_iter()
            .all(|span| span > Duration::from_millis(500))
    );
}

#[test]
fn statsd_gets_gauges() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let (_server, fixture) = proxy(Settings {
        metrics_report_statsd_server: socket.local_addr().unwrap().to_string(),
        metrics_report_statsd_prefix: "pre".to_owned(),
        ..settings()
    });
    let model = &fixture.proxy().control.model;
    let flat = |addr: &str| addr.replace(['.', ':'], "_");
    let (admin, proxy) = (flat(&model.admin_addr), flat(&model.proxy_addr));
    let prefix = format!("pre.codis-demo.{admin}.{proxy}.");
    let deadline = Instant::now() + SOON;
    let mut seen: Vec<(String, f64)> = Vec::new();
    while !seen.contains(&("ops_total".to_owned(), 3.0)) || !seen.len().is_multiple_of(FIELDS.len())
    {
        assert!(Instant::now() < deadline, "{seen:?}");
        let mut datagram = [0; 2048];
        let len = socket.recv(&mut datagram).unwrap();
        for line in std::str::from_utf8(&datagram[..len]).unwrap().split('\n') {
            let gauge = line
                .strip_prefix(&prefix)
                .unwrap()
                .strip_suffix("|g")
                .unwrap();
            let (name, value) = gauge.split_once(':').unwrap();
            seen.push((name.to_owned(), value.parse().unwrap()));
        }
    }
    let names: Vec<&str> = seen.iter().map(|(name, _)| name.as_str()).collect();
    for round in names.chunks(FIELDS.len()) {
        assert_eq!(round, FIELDS);
    }
}

/// Sinks that hang, refuse, answer errors or are not there: clients and the API notice nothing,
/// and the sinks are tried again.
#[test]
fn broken_sinks_harm_nobody() {
    let hangs = Listener::start(None);
    let fails = Listener::start(Some(500));
    let (_server, fixture) = proxy(Settings {
        metrics_report_server: hangs.url(),
        metrics_report_influxdb_server: fails.url(),
        metrics_report_statsd_server: "127.0.0.1:1".to_owned(),
        ..settings()
    });
    let mut client = fixture.client();
    let hung = hangs.wait(1)[0].at;
    for _ in 0..50 {
        let begun = Instant::now();
        assert_eq!(client.text(&["GET", "k"]), "v");
        assert!(fixture.stats().online);
        assert!(begun.elapsed() < Duration::from_secs(4));
    }
    let got = fails.wait(3);
    let spans: Vec<Duration> = got.windows(2).map(|two| two[1].at - two[0].at).collect();
    // What a busy machine is late with comes sooner after that.
    assert!(spans[0] > Duration::from_millis(500), "{spans:?}");
    assert!(spans[1] > Duration::from_millis(1_200), "{spans:?}");
    let again = hangs.wait(2)[1].at;
    assert!(
        again - hung > Duration::from_secs(3),
        "given up after five seconds"
    );
}

#[test]
fn a_period_is_kept() {
    let listener = Listener::start(Some(200));
    let (_server, _fixture) = proxy(Settings {
        metrics_report_server: listener.url(),
        metrics_report_period: TimeSpan::from_secs(3),
        ..settings()
    });
    let got = listener.wait(2);
    assert!(got[1].at - got[0].at > Duration::from_millis(2_000));
}
