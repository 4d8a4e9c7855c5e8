//! The admin API, byte for byte where the clients of Codis look.

use codis_core::model;
use serde_json::{Value, json};

use super::harness::{Fixture, Server, free_port, settings, slot, wait_for};
use super::http::{ask, get, gunzip, put};

/// The names of an object's members, in order, with those of objects below as `a.b`.
fn names(value: &Value) -> Vec<String> {
    let Value::Object(members) = value else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for (name, member) in members {
        let below = names(member);
        if below.is_empty() {
            out.push(name.clone());
        }
        out.extend(below.into_iter().map(|inner| format!("{name}.{inner}")));
    }
    out
}

/// `stall_fence` is ours; originals skip members that they do not know.
const STATS: &str = "\
    online closed sentinels.servers sentinels.masters.1 ops.total ops.fails ops.redis.errors \
    ops.qps ops.cmd sessions.total sessions.alive rusage.now rusage.cpu rusage.mem \
    rusage.raw.utime rusage.raw.stime rusage.raw.cutime rusage.raw.cstime \
    rusage.raw.num_threads rusage.raw.vm_size rusage.raw.vm_rss backend.primary_only \
    stall_fence \
    runtime.general.alloc runtime.general.sys runtime.general.lookups runtime.general.mallocs \
    runtime.general.frees runtime.heap.alloc runtime.heap.sys runtime.heap.idle \
    runtime.heap.inuse runtime.heap.objects runtime.gc.num runtime.gc.cpu_fraction \
    runtime.gc.total_pausems runtime.num_procs runtime.num_goroutines runtime.num_cgo_call \
    runtime.mem_offheap";
const MODEL: &str = "token start_time admin_addr proto_type proxy_addr product_name pid pwd sys \
    hostname datacenter";
const COMMAND: &str = "opstr calls usecs usecs_percall fails redis_errtype";

/// The members of statistics, model and overview are those of the original, in its order.
#[test]
fn every_member_is_there_in_the_order_of_the_original() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let nobody = format!("127.0.0.1:{}", free_port());
    fixture
        .put_body("sentinels", &json!({"servers": [nobody]}))
        .unwrap();
    let mut client = fixture.client();
    client.run(&["SET", "k", "v"]);
    client.run(&["GET", "k"]);
    client.run(&["LPUSH", "k", "v"]);
    let stats = get(&fixture, "/proxy/stats").json();
    assert_eq!(names(&stats).join(" "), STATS);
    let commands = stats["ops"]["cmd"].as_array().unwrap();
    assert_eq!(names(&commands[0]).join(" "), COMMAND);
    let calls: Vec<&str> = commands
        .iter()
        .map(|c| c["opstr"].as_str().unwrap())
        .collect();
    assert_eq!(calls, ["GET", "LPUSH", "SET"], "sorted");
    assert_eq!(commands[1]["redis_errtype"], 1);
    assert_eq!(commands[1]["fails"], 0);
    let per_call = commands[0]["usecs"].as_u64().unwrap() / commands[0]["calls"].as_u64().unwrap();
    assert_eq!(commands[0]["usecs_percall"], per_call);
    assert!(stats["runtime"]["general"]["alloc"].as_u64() > Some(0));
    assert!(stats["runtime"]["num_goroutines"].as_u64() > Some(0));

    let model = get(&fixture, "/proxy/model");
    assert_eq!(names(&model.json()).join(" "), MODEL);
    assert_eq!(get(&fixture, "/api/proxy/model").body, model.body);
    let overview = get(&fixture, "/proxy").json();
    let members: Vec<&String> = overview.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["version", "compile", "config", "model", "stats", "slots"]
    );
    let slot_names = names(&overview["slots"][7]).join(" ");
    assert_eq!(slot_names, "id backend_addr backend_addr_group_id");
}

/// Bit 1 adds commands, bit 4 the runtime, bit 2 nothing here; what is no number is an error.
#[test]
fn flags_choose_the_parts_of_statistics() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    fixture.client().run(&["GET", "k"]);
    let xauth = fixture.xauth();
    for (flags, commands, runtime) in [
        ("0", false, false),
        ("1", true, false),
        ("2", false, false),
        ("4", false, true),
        ("7", true, true),
        ("-1", true, true),
    ] {
        let stats = get(&fixture, &format!("/api/proxy/stats/{xauth}/{flags}")).json();
        assert_eq!(stats["ops"].get("cmd").is_some(), commands, "{flags}");
        assert_eq!(stats.get("runtime").is_some(), runtime, "{flags}");
    }
    let wrong = get(&fixture, &format!("/api/proxy/stats/{xauth}/x"));
    assert_eq!(wrong.status, 800);
}

/// Four spaces, escaped markup, one content type; errors are status 800 with cause and stack.
#[test]
fn answers_and_errors_have_the_form_of_codis() {
    let fixture = Fixture::start(codis_proxy::settings::Settings {
        proxy_datacenter: "<a&b>".to_owned(),
        ..settings()
    });
    let model = get(&fixture, "/proxy/model");
    assert_eq!(
        model.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert!(model.text().starts_with("{\n    \"token\": \""));
    assert!(
        model
            .text()
            .contains("\"datacenter\": \"\\u003ca\\u0026b\\u003e\"")
    );
    let refused = get(&fixture, "/api/proxy/xping/0123");
    assert_eq!(refused.status, 800);
    assert_eq!(
        refused.text(),
        "{\n    \"Cause\": \"invalid xauth, please check product name \\u0026 auth\",\n    \
         \"Stack\": null\n}"
    );
    let root = get(&fixture, "/");
    assert_eq!(
        (root.status, root.header("location")),
        (302, Some("/proxy"))
    );
    for (method, path) in [("GET", "/nope"), ("POST", "/proxy"), ("GET", "/api/proxy")] {
        let unknown = ask(&fixture.admin(), method, path, "", b"");
        assert_eq!(unknown.status, 404, "{method} {path}");
        assert_eq!(unknown.text(), "404 page not found");
        assert!(
            unknown
                .header("content-type")
                .unwrap()
                .starts_with("text/plain")
        );
    }
    for path in ["/debug", "/debug/pprof/", "/debug/pprof/heap"] {
        let none = get(&fixture, path);
        assert_eq!(none.status, 501, "{path}");
        assert!(none.text().contains("no profiler"));
    }
}

/// Every route with a secret refuses a wrong one, and changes nothing.
#[test]
fn a_wrong_secret_opens_nothing() {
    let fixture = Fixture::start(settings());
    let gets = [
        "xping/X",
        "stats/X",
        "stats/X/1",
        "slots/X",
        "slowlog/X",
        "slowlog/X/1",
    ];
    let puts = [
        "start/X",
        "stats/reset/X",
        "forcegc/X",
        "shutdown/X",
        "loglevel/X/info",
        "fillslots/X",
        "sentinels/X",
        "sentinels/X/rewatch",
        "slowlog/reset/X",
    ];
    let all = gets.map(|path| ("GET", path)).into_iter();
    for (method, path) in all.chain(puts.map(|path| ("PUT", path))) {
        let path = format!("/api/proxy/{}", path.replace('X', &"0".repeat(32)));
        let refused = ask(&fixture.admin(), method, &path, "", b"[]");
        assert_eq!(refused.status, 800, "{method} {path}");
        assert!(refused.text().contains("invalid xauth"), "{path}");
    }
    assert!(!fixture.stats().online && !fixture.stats().closed);
}

/// What anybody may read holds no password.
#[test]
fn passwords_never_appear() {
    let fixture = Fixture::start(codis_proxy::settings::Settings {
        product_auth: "product-secret".to_owned(),
        session_auth: "session-secret".to_owned(),
        jodis_auth: "user:jodis-secret".to_owned(),
        metrics_report_influxdb_password: "influx-secret".to_owned(),
        metrics_report_server: "http://user:report-secret@127.0.0.1:1/".to_owned(),
        ..settings()
    });
    for path in [
        "/proxy",
        "/proxy/stats",
        "/proxy/model",
        "/proxy/slots",
        "/metrics",
        "/ready",
    ] {
        let text = get(&fixture, path).text();
        assert!(!text.contains("secret"), "{path}: {text}");
    }
}

#[test]
fn answers_are_compressed_for_those_who_take_it() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let admin = fixture.admin();
    let plain = get(&fixture, "/proxy/slots");
    assert_eq!(plain.header("content-encoding"), None);
    let packed = ask(
        &admin,
        "GET",
        "/proxy/slots",
        "Accept-Encoding: gzip\r\n",
        b"",
    );
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() * 5 < plain.body.len());
    assert_eq!(gunzip(&packed.body), plain.body);
}

/// The original takes what it cannot read for an empty list and answers OK.
#[test]
fn a_fill_that_cannot_be_read_changes_nothing() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let before = fixture.slot_table();
    let path = format!("/api/proxy/fillslots/{}", fixture.xauth());
    for body in [
        &b""[..],
        b"[",
        b"{}",
        b"\"x\"",
        b"[1]",
        b"[{\"id\": 2000}]",
        b"[{\"id\": -1}]",
        b"[{\"id\": 1, \"forward_method\": 7, \"backend_addr\": \"127.0.0.1:1\"}]",
    ] {
        let answer = put(&fixture, &path, body);
        let shown = String::from_utf8_lossy(body);
        assert_eq!(answer.status, 800, "{shown}");
        assert!(answer.json()["Cause"].is_string(), "{shown}");
    }
    assert_eq!(fixture.slot_table(), before);
    assert_eq!(put(&fixture, &path, b"[]").text(), "\"OK\"");
}

#[test]
fn levels_of_the_log_are_named_as_in_codis() {
    let fixture = Fixture::start(settings());
    let level = |name: &str| {
        let path = format!("/api/proxy/loglevel/{}/{name}", fixture.xauth());
        put(&fixture, &path, b"")
    };
    for name in ["error", "WARN", "Warning", "info", "DEBUG", "none"] {
        assert_eq!(level(name).text(), "\"OK\"", "{name}");
    }
    assert_eq!(level("trace").json()["Cause"], "invalid loglevel");
}

/// A reset counts from now: open sessions stay counted, commands are gone.
#[test]
fn a_reset_starts_from_the_open_sessions() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut stays = fixture.client();
    stays.run(&["GET", "k"]);
    let mut leaves = fixture.client();
    leaves.run(&["LPUSH", "k", "v"]);
    drop(leaves);
    wait_for("one session", || fixture.stats().sessions.alive == 1);
    assert_eq!(fixture.stats().sessions.total, 2);
    fixture.put("stats/reset").unwrap();
    let stats = fixture.stats();
    assert_eq!((stats.ops.total, stats.ops.redis.errors), (0, 0));
    assert_eq!((stats.sessions.total, stats.sessions.alive), (1, 1));
    assert!(stats.ops.cmd.is_empty());
    stays.run(&["GET", "k"]);
    assert_eq!(fixture.stats().ops.cmd[0].calls, 1);
}

/// A slot without a server: requests fail, and all counters say so.
#[test]
fn failures_of_the_proxy_are_counted() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    fixture
        .fill(&[slot(codis_core::slot::SlotId::of_key(b"k").get(), 0, "", 0)])
        .unwrap();
    fixture.client().run(&["GET", "k"]);
    let stats = fixture.stats();
    assert_eq!((stats.ops.fails, stats.ops.redis.errors), (1, 1));
    assert_eq!(
        (stats.ops.cmd[0].fails, stats.ops.cmd[0].redis_errtype),
        (1, 1)
    );
}

/// CPU and requests of the last second show work, and its end.
#[test]
fn figures_of_the_last_second_follow_the_work() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    wait_for("requests per second and CPU are seen", || {
        for _ in 0..50 {
            client.run(&["GET", "k"]);
        }
        let stats = fixture.stats();
        stats.ops.qps > 0 && stats.rusage.cpu > 0.0
    });
    wait_for("no requests any more", || fixture.stats().ops.qps == 0);
    let raw = fixture.stats().rusage.raw;
    assert_eq!(raw.utime % 1_000_000, 0, "nanoseconds of whole ticks");
    assert!(raw.vm_rss > 1 << 20 && raw.vm_size > raw.vm_rss && raw.num_threads >= 3);
}

/// The sentinels of a product are set, kept and dropped by the body of the call.
#[test]
fn sentinels_are_watched_as_told() {
    let fixture = Fixture::start(settings());
    let nobody = format!("127.0.0.1:{}", free_port());
    let told = model::Sentinel {
        servers: vec![nobody.clone()],
        ..Default::default()
    };
    fixture.put_body("sentinels", &told).unwrap();
    assert_eq!(fixture.stats().sentinels.servers, [nobody]);
    let path = format!("/api/proxy/sentinels/{}/rewatch", fixture.xauth());
    assert_eq!(put(&fixture, &path, b"").text(), "\"OK\"");
    let path = format!("/api/proxy/sentinels/{}", fixture.xauth());
    assert_eq!(put(&fixture, &path, b"{\"servers\": [\"x\"]}").status, 800);
    assert_eq!(put(&fixture, &path, b"{").status, 800);
    assert_eq!(put(&fixture, &path, b"{}").text(), "\"OK\"");
    assert!(fixture.stats().sentinels.servers.is_empty());
}

#[test]
fn a_proxy_that_was_shut_down_takes_no_orders() {
    let fixture = Fixture::start(settings());
    fixture.put("shutdown").unwrap();
    let control = &fixture.proxy().control;
    assert_eq!(
        control.check_open().unwrap_err().to_string(),
        "use of closed proxy"
    );
    assert!(control.stats(0).closed && control.shutdown.is_requested());
}
