//! The slow log, as clients and operators read it.

use std::time::{SystemTime, UNIX_EPOCH};

use codis_bed::process::Signal;
use codis_core::resp::Value;
use codis_core::units::TimeSpan;
use codis_proxy::settings::Settings;

use super::harness::{Client, Fixture, Server, Text, key_on, settings, wait_for};

fn keeping_from(span: TimeSpan) -> Settings {
    Settings {
        slowlog_log_slower_than: span,
        ..settings()
    }
}

/// What takes this long is slow. A machine that is busy does the rest in less.
const SLOW: TimeSpan = TimeSpan::from_millis(1000);

/// A request to a server that hangs for long enough from when the proxy has it.
fn slowed(fixture: &Fixture, server: &Server, client: &mut Client, args: &[&str]) {
    let before = fixture.stats().ops.total;
    server.signal(Signal::STOP);
    client.send(args);
    wait_for("the proxy has it", || fixture.stats().ops.total > before);
    std::thread::sleep(SLOW.duration());
    server.signal(Signal::CONT);
    client.read();
}

fn entries(value: &Value) -> Vec<Vec<Value>> {
    let Value::Array(Some(entries)) = value else {
        panic!("no list of entries: {value:?}");
    };
    let members = |entry: &Value| match entry {
        Value::Array(Some(members)) => members.clone(),
        other => panic!("no entry: {other:?}"),
    };
    entries.iter().map(members).collect()
}

/// A server that sleeps delays the requests of its keys: they, and they alone, are kept, with who
/// sent them.
#[test]
fn slow_requests_are_kept_with_their_arguments() {
    let servers = [Server::start(&[]), Server::start(&[])];
    let fixture = Fixture::online(keeping_from(SLOW), &[&servers[0], &servers[1]]);
    let (slow, fast) = (key_on(0, 2, 0), key_on(1, 2, 0));
    let mut client = fixture.client();
    client.run(&["CLIENT", "SETNAME", "reporter"]);
    client.run(&["SET", &fast, "v"]);
    client.run(&["SET", &slow, "v"]);
    assert_eq!(client.text(&["SLOWLOG", "LEN"]), "0");

    let long = "y".repeat(200);
    slowed(&fixture, &servers[0], &mut client, &["SET", &slow, &long]);
    client.run(&["SET", &fast, "v"]);
    assert_eq!(client.text(&["slowlog", "len"]), "1");
    let got = entries(&client.run(&["SLOWLOG", "GET"]));
    let [id, time, micros, args, peer, name] = got[0].as_slice() else {
        panic!("six members: {got:?}");
    };
    assert_eq!(id.text(), "0");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let time: u64 = time.text().parse().unwrap();
    assert!(time.abs_diff(now.as_secs()) < 60, "{time}");
    assert!(micros.text().parse::<u64>().unwrap() >= 1_000_000);
    let cut = format!("SET {slow} {}... (72 more bytes)", "y".repeat(128));
    assert_eq!(args.text(), cut);
    assert_eq!(peer.text(), client.stream.local_addr().unwrap().to_string());
    assert_eq!(name.text(), "reporter");

    // Two parts of a split command: kept once, whole.
    slowed(&fixture, &servers[0], &mut client, &["MGET", &fast, &slow]);
    let got = entries(&client.run(&["SLOWLOG", "GET", "1"]));
    assert_eq!(got[0][3].text(), format!("MGET {fast} {slow}"));
    assert_eq!(client.text(&["SLOWLOG", "RESET"]), "OK");
    assert_eq!(client.text(&["SLOWLOG", "LEN"]), "0");
}

/// The request of a client that did not want to wait is the one that an operator looks for.
#[test]
fn the_request_of_a_client_that_left_is_kept() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(keeping_from(SLOW), &[&server]);
    let mut client = fixture.client();
    client.run(&["SET", "k", "v"]);
    let before = fixture.stats().ops.total;
    server.signal(Signal::STOP);
    let mut gone = fixture.client();
    gone.send(&["SET", "k", "w"]);
    wait_for("the proxy has it", || fixture.stats().ops.total > before);
    gone.stream.shutdown(std::net::Shutdown::Both).unwrap();
    drop(gone);
    std::thread::sleep(SLOW.duration());
    server.signal(Signal::CONT);
    wait_for("kept", || client.text(&["SLOWLOG", "LEN"]) == "1");
    assert!(client.text(&["SLOWLOG", "GET"]).contains("SET k w"));
}

#[test]
fn a_limit_of_zero_keeps_everything_but_passwords_and_a_negative_one_nothing() {
    let server = Server::start(&[]);
    let all = Settings {
        session_auth: "secret".to_owned(),
        slowlog_max_len: 3,
        ..keeping_from(TimeSpan::from_secs(0))
    };
    let fixture = Fixture::online(all, &[&server]);
    let mut client = fixture.client();
    assert_eq!(
        client.text(&["SLOWLOG", "GET"]),
        "-NOAUTH Authentication required"
    );
    client.run(&["AUTH", "secret"]);
    client.run(&["ECHO", "x"]);
    client.run(&["GET", "k"]);
    let got = entries(&client.run(&["SLOWLOG", "GET", "-1"]));
    let shown: Vec<String> = got.iter().map(|entry| entry[3].text()).collect();
    assert_eq!(shown, ["GET k", "ECHO x", "AUTH (redacted)"]);

    let fixture = Fixture::online(keeping_from(TimeSpan::from_secs(-1)), &[&server]);
    let mut client = fixture.client();
    client.run(&["GET", "k"]);
    assert_eq!(client.text(&["SLOWLOG", "LEN"]), "0");
}

#[test]
fn slowlog_answers_what_redis_answers_to_bad_calls() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let (mut ours, mut theirs) = (fixture.client(), server.client());
    for call in [
        &["SLOWLOG", "GET", "-2"][..],
        &["SLOWLOG", "GET", "0"],
        &["SLOWLOG", "NOPE"],
        &["SLOWLOG", "LEN"],
    ] {
        assert_eq!(ours.text(call), theirs.text(call), "{call:?}");
    }
    for call in [
        &["SLOWLOG"][..],
        &["SLOWLOG", "LEN", "x"],
        &["SLOWLOG", "GET", "x"],
    ] {
        assert!(ours.text(call).starts_with("-ERR "), "{call:?}");
    }
    assert!(ours.text(&["SLOWLOG", "HELP"]).contains("RESET"));
}

/// Over HTTP an entry also names the server that answered.
#[test]
fn the_slow_log_is_served_over_http() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(keeping_from(TimeSpan::from_secs(0)), &[&server]);
    let mut client = fixture.client();
    client.run(&["SET", "k", "v"]);
    client.run(&["GET", "k"]);
    let xauth = fixture.xauth();
    let all = super::http::get(&fixture, &format!("/api/proxy/slowlog/{xauth}")).json();
    assert_eq!(all.as_array().unwrap().len(), 2);
    let newest = super::http::get(&fixture, &format!("/api/proxy/slowlog/{xauth}/1")).json();
    let members: Vec<&String> = newest[0].as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["id", "time", "usecs", "args", "client", "name", "backend"]
    );
    assert_eq!(newest[0]["args"], serde_json::json!(["GET", "k"]));
    assert_eq!(newest[0]["backend"], server.addr());
    let wrong = super::http::get(&fixture, &format!("/api/proxy/slowlog/{xauth}/x"));
    assert_eq!(wrong.status, 800);
    fixture.put("slowlog/reset").unwrap();
    let none = super::http::get(&fixture, &format!("/api/proxy/slowlog/{xauth}")).json();
    assert_eq!(none, serde_json::json!([]));
}
