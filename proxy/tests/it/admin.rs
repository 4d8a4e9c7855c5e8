//! The admin API, as dashboards and operators use it.

use super::harness::{Fixture, Server, settings, spread, wait_for};

#[test]
fn a_dashboard_brings_a_proxy_online() {
    let server = Server::start(&[]);
    let fixture = Fixture::start(settings());
    let get = |path: &str| {
        let admin = fixture.admin();
        let asked = fixture.http.get::<serde_json::Value>(&admin, path);
        fixture
            .runtime
            .block_on(asked)
            .map_err(|error| error.to_string())
    };
    let model = get("/api/proxy/model").unwrap();
    assert_eq!(model["product_name"], "codis-demo");
    assert_eq!(model["proxy_addr"], fixture.proxy().addr.to_string());
    let xauth = fixture.xauth();
    assert_eq!(get(&format!("/api/proxy/xping/{xauth}")).unwrap(), "OK");
    let refused = get("/api/proxy/xping/0123").unwrap_err();
    assert!(
        refused.contains("invalid xauth, please check product name & auth"),
        "{refused}"
    );
    assert!(get("/ready").unwrap_err().contains("503"));
    fixture.fill(&spread(&[&server], 0)).unwrap();
    fixture.put("start").unwrap();
    assert!(fixture.stats().online);

    let mut client = fixture.client();
    for _ in 0..10 {
        client.run(&["SET", "k", "v"]);
    }
    client.run(&["KEYS", "*"]);
    let stats = get(&format!("/api/proxy/stats/{xauth}/5")).unwrap();
    assert_eq!(stats["ops"]["total"], 11);
    assert_eq!(stats["ops"]["redis"]["errors"], 1);
    assert_eq!(stats["ops"]["cmd"][1]["opstr"], "SET");
    assert_eq!(stats["ops"]["cmd"][1]["calls"], 10);
    assert_eq!(stats["sessions"]["alive"], 1);
    assert!(stats["runtime"]["num_procs"].as_u64() > Some(0));
    assert!(stats["rusage"]["mem"].as_u64() > Some(0));
    let basic = get(&format!("/api/proxy/stats/{xauth}")).unwrap();
    assert!(basic["ops"].get("cmd").is_none() && basic.get("runtime").is_none());
    let overview = get("/proxy").unwrap();
    assert_eq!(overview["config"]["session_recv_timeout"], "30m");
    assert!(overview["config"].get("product_auth").is_none());
    assert_eq!(overview["slots"].as_array().unwrap().len(), 1024);

    fixture.put("stats/reset").unwrap();
    assert_eq!(fixture.stats().ops.total, 0);
    assert_eq!(fixture.stats().sessions.total, 1);
    fixture.put("forcegc").unwrap();
    fixture.put("shutdown").unwrap();
    assert!(fixture.proxy().control.shutdown.is_requested());
}

#[test]
fn metrics_and_health_are_served() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    client.run(&["SET", "k", "v"]);
    wait_for("counted", || {
        let scraped = fixture.proxy().control.stats(0);
        scraped.ops.total == 1
    });
    let mut raw = super::harness::Client::connect(&fixture.admin());
    raw.send_raw(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut raw.stream, &mut text).unwrap();
    for name in [
        "codis_proxy_requests_total 1",
        "codis_proxy_sessions_alive 1",
        "codis_proxy_online 1",
        "codis_proxy_slots_offline 0",
        "codis_proxy_writes_unknown_total 0",
    ] {
        assert!(text.contains(name), "{name} in {text}");
    }
}
