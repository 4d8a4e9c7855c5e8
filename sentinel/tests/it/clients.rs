//! What `CLIENT` does to real connections, and what a client may cost.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use codis_core::resp::Value;

use crate::support::{Client, Kind, Quorum, Sentinel, show, wait_for};

fn id(client: &mut Client) -> String {
    show(&client.call("CLIENT ID"))[1..].to_owned()
}

/// The ids of the clients whose line in CLIENT LIST contains a text.
fn ids(sentinel: &Sentinel, part: &str) -> Vec<String> {
    let list = sentinel.call("CLIENT LIST");
    let lines = list
        .as_str()
        .unwrap()
        .lines()
        .filter(|line| line.contains(part));
    let id = |line: &str| line.split(' ').next().unwrap().to_owned();
    lines.map(id).collect()
}

/// KILL ends the connections that its filters select, and no others.
#[test]
fn connections_are_ended_by_every_filter() {
    let sentinel = Sentinel::ours("");
    let mut killer = sentinel.client();
    let mut other = sentinel.client();
    let own = id(&mut killer);
    for filter in [
        "ID {id}",
        "ADDR {addr}",
        "TYPE pubsub",
        "USER default",
        "LADDR {laddr}",
    ] {
        let mut victim = sentinel.client();
        victim.call("HELLO 3");
        let line = show(&victim.call("CLIENT INFO"));
        let field = |name: &str| {
            let fields = line.trim_start_matches("=txt:").split(' ');
            let mut values = fields.filter_map(|field| field.strip_prefix(name));
            values.next().unwrap().to_owned()
        };
        let filter = filter
            .replace("{id}", &field("id="))
            .replace("{addr}", &field("addr="))
            .replace("{laddr}", &field("laddr="));
        let line = format!("CLIENT KILL {filter}");
        if filter.starts_with("TYPE") {
            victim.subscribe("x");
            assert_eq!(show(&victim.call("PING")), "+PONG", "RESP3 allows more");
        }
        let everybody = filter.starts_with("USER") || filter.starts_with("LADDR");
        let killed = killer.call(&line).as_int().unwrap();
        assert_eq!(killed, if everybody { 2 } else { 1 }, "{line}");
        assert_eq!(victim.read(), None, "{line}");
        if everybody {
            other = sentinel.client();
        }
    }
    assert_eq!(show(&other.call("PING")), "+PONG");
    assert_eq!(show(&killer.call(&format!("CLIENT KILL ID {own}"))), ":0");
    let line = format!("CLIENT KILL ID {own} SKIPME no");
    assert_eq!(show(&killer.call(&line)), ":1", "it is told first");
    assert_eq!(killer.read(), None);
}

/// PAUSE holds up commands until it is over or, for WRITE, undone.
#[test]
fn commands_wait_for_the_end_of_a_pause() {
    let sentinel = Sentinel::ours("");
    let (mut one, mut other) = (sentinel.client(), sentinel.client());
    assert_eq!(show(&one.call("CLIENT PAUSE 60000 WRITE")), "+OK");
    other.write("PUBLISH __sentinel__:hello x");
    assert_eq!(show(&one.call("PING")), "+PONG");
    other.patience(Duration::from_millis(100));
    assert_eq!(other.read(), None, "PUBLISH waits");
    assert_eq!(show(&one.call("CLIENT UNPAUSE")), "+OK");
    other.patience(crate::support::PATIENCE);
    assert_eq!(other.read(), Some(Value::Integer(1)));

    let begin = Instant::now();
    assert_eq!(show(&one.call("CLIENT PAUSE 300")), "+OK");
    assert_eq!(show(&other.call("PING")), "+PONG");
    assert!(begin.elapsed() >= Duration::from_millis(290));
}

/// Another password for sentinels opens their links anew, another one for a master its links.
#[test]
fn links_are_opened_anew_for_another_password() {
    let quorum = Quorum::start(&[Kind::Ours, Kind::Ours], 1, "");
    let [one, other] = &quorum.sentinels[..] else {
        panic!("two sentinels");
    };
    let myid = show(&one.call("SENTINEL MYID"));
    let name = format!(" name=sentinel-{}-cmd ", &myid[..8]);
    let before = ids(other, &name);
    assert_eq!(before.len(), 1, "{before:?}");
    let order = "SENTINEL CONFIG SET sentinel-pass x loglevel verbose";
    assert_eq!(show(&one.call(order)), "+OK");
    wait_for("the link is another", || {
        let now = ids(other, &name);
        now.len() == 1 && now != before
    });
    assert!(
        one.config().contains("\nloglevel verbose\n"),
        "{}",
        one.config()
    );

    let server = &quorum.servers[0];
    let links = || {
        let list = server.call("CLIENT LIST");
        let part = format!(" name=sentinel-{}-", &myid[..8]);
        let lines = list.as_str().unwrap().lines();
        let ours = lines.filter(|line| line.contains(&part));
        let ids: Vec<String> = ours
            .map(|l| l.split(' ').next().unwrap().to_owned())
            .collect();
        ids
    };
    let before = links();
    assert_eq!(before.len(), 2, "{before:?}");
    assert_eq!(show(&one.call("SENTINEL SET m auth-user default")), "+OK");
    wait_for("the links are others", || {
        let now = links();
        now.len() == 2 && now.iter().all(|id| !before.contains(id))
    });
}

/// A subscriber that does not read is closed before its events fill the memory, and the events of
/// others do not wait for it.
#[test]
fn a_subscriber_that_does_not_read_is_closed() {
    let sentinel = Sentinel::ours("sentinel monitor m 127.0.0.1 30 2\n");
    let mut deaf = TcpStream::connect((sentinel.host.as_str(), sentinel.port)).unwrap();
    deaf.write_all(b"PSUBSCRIBE *\r\n").unwrap();
    // Each of its patterns makes another copy of an event.
    let patterns: Vec<String> = (0..1000).map(|n| format!("[+{n}]set")).collect();
    let request = format!("PSUBSCRIBE {}\r\n", patterns.join(" "));
    deaf.write_all(request.as_bytes()).unwrap();
    let mut listener = sentinel.client();
    listener.subscribe("+set");
    let value = "x".repeat(900);
    let mut client = sentinel.client();
    let mut rounds = 0;
    wait_for("the deaf subscriber is gone", || {
        for _ in 0..10 {
            client.write(&format!("SENTINEL SET m auth-user {value}{rounds}"));
            assert_eq!(show(&client.read().unwrap()), "+OK");
            assert_eq!(listener.message().unwrap().0, "+set");
            rounds += 1;
        }
        show(&client.call("INFO clients")).contains("pubsub_clients:1\r\n")
    });
    let info = show(&client.call("INFO stats"));
    assert!(
        info.contains("client_output_buffer_limit_disconnections:1\r\n"),
        "{info}"
    );
    println!("closed after {rounds} events");
}

/// A request that is too long closes its connection and no other.
#[test]
fn a_request_that_is_too_long_is_refused() {
    let sentinel = Sentinel::ours("");
    let mut client = sentinel.client();
    client.write_raw(b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nx\r\n$1048577\r\n");
    let said = show(&client.read().unwrap());
    assert_eq!(
        said,
        "-ERR Protocol error: request is longer than 1048576 bytes"
    );
    assert_eq!(client.read(), None);
    let info = show(&sentinel.call("INFO stats"));
    assert!(
        info.contains("client_query_buffer_limit_disconnections:1\r\n"),
        "{info}"
    );
}
