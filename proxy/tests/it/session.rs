//! What a client may rely on: order, limits, protocol errors, the end.

use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use codis_bed::process::Signal;
use codis_core::resp::encode_command;

use super::harness::{Fixture, Server, Text, key_on, settings, wait_for};

#[test]
fn replies_come_in_the_order_of_requests() {
    let servers = [Server::start(&[]), Server::start(&[])];
    let fixture = Fixture::online(settings(), &[&servers[0], &servers[1]]);
    let (slow, fast) = (key_on(0, 2, 0), key_on(1, 2, 0));
    let mut client = fixture.client();
    client.text(&["SET", &slow, "slow"]);
    client.text(&["SET", &fast, "fast"]);
    servers[0].signal(Signal::STOP);
    client.send(&["GET", &slow]);
    client.send(&["GET", &fast]);
    client.send(&["MGET", &fast, &slow]);
    client.send(&["PING"]);
    let mut other = fixture.client();
    assert_eq!(other.text(&["GET", &fast]), "fast");
    assert!(
        client.is_silent_for(Duration::from_millis(50)),
        "another session does not wait"
    );
    servers[0].signal(Signal::CONT);
    for expected in ["slow", "fast", "fast slow", "PONG"] {
        assert_eq!(client.read().text(), expected);
    }
}

#[test]
fn a_pipeline_deeper_than_the_limit_is_slowed_and_not_cut() {
    let server = Server::start(&[]);
    let mut with = settings();
    with.session_max_pipeline = 100;
    let fixture = Fixture::online(with, &[&server]);
    let mut client = fixture.client();
    let mut requests = Vec::new();
    for i in 0..20_000 {
        encode_command(
            &mut requests,
            &["SET", &format!("k{}", i % 50), &i.to_string()],
        );
        encode_command(&mut requests, &["GET", &format!("k{}", i % 50)]);
    }
    let mut writer = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || writer.write_all(&requests).unwrap());
    for i in 0..20_000 {
        assert_eq!(client.read().text(), "OK");
        assert_eq!(client.read().text(), i.to_string());
    }
    sending.join().unwrap();
    assert!(fixture.stats().ops.total >= 40_000);
    assert_eq!(fixture.stats().ops.fails, 0);
}

#[test]
fn a_client_that_does_not_read_stops_only_itself() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    let value = "x".repeat(1024 * 1024);
    client.text(&["SET", "big", &value]);
    let mut lazy = fixture.client();
    for _ in 0..64 {
        lazy.send(&["GET", "big"]);
    }
    for i in 0..200 {
        assert_eq!(client.text(&["SET", &format!("s{i}"), "v"]), "OK");
    }
    for _ in 0..64 {
        assert_eq!(lazy.read().text().len(), value.len());
    }
}

#[test]
fn big_values_pass_whole() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    let value: String = (0..10_000_000u32)
        .map(|i| char::from(b'a' + (i % 26) as u8))
        .collect();
    assert_eq!(client.text(&["SET", "big", &value]), "OK");
    assert!(client.text(&["GET", "big"]) == value);
    client.text(&["SET", "small", "s"]);
    assert!(client.text(&["MGET", "small", "big", "none"]) == format!("s {value} (nil)"));
}

#[test]
fn a_protocol_error_is_said_and_closes() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    for bad in [
        &b"*1\r\n:1\r\n"[..],
        b"*0\r\n",
        b"*2\r\n$3\r\nGET\r\n$-1\r\n",
        b"*x\r\n",
    ] {
        let mut client = fixture.client();
        client.send(&["SET", "k", "v"]);
        client.send_raw(bad);
        assert_eq!(client.read().text(), "OK", "what came before is answered");
        let error = client.read().text();
        assert!(error.starts_with("-ERR Protocol error: "), "{error}");
        assert!(client.try_read().is_none());
    }
    assert_eq!(
        fixture.client().text(&["GET", "k"]),
        "v",
        "others are not hurt"
    );
}

#[test]
fn a_half_closed_client_gets_its_replies() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    for i in 0..100 {
        client.send(&["INCRBY", "n", &i.to_string()]);
    }
    client.stream.shutdown(Shutdown::Write).unwrap();
    let mut last = String::new();
    while let Some(reply) = client.try_read() {
        last = reply.text();
    }
    assert_eq!(last, "4950");
}

#[test]
fn too_many_clients_are_told_so() {
    let server = Server::start(&[]);
    let mut with = settings();
    with.proxy_max_clients = 2;
    let fixture = Fixture::online(with, &[&server]);
    let (mut a, mut b) = (fixture.client(), fixture.client());
    assert_eq!(a.text(&["PING"]), "PONG");
    assert_eq!(b.text(&["PING"]), "PONG");
    let mut c = fixture.client();
    assert_eq!(c.read().text(), "-ERR max number of clients reached");
    assert!(c.try_read().is_none());
    drop(a);
    wait_for("a place is free", || {
        let mut next = fixture.client();
        next.send(&["PING"]);
        next.try_read().is_some_and(|reply| reply.text() == "PONG")
    });
}

#[test]
fn idle_sessions_end_and_failures_break_sessions_if_wanted() {
    let server = Server::start(&[]);
    let mut with = settings();
    with.session_recv_timeout = codis_core::units::TimeSpan::from_millis(1500);
    with.session_break_on_failure = true;
    let fixture = Fixture::online(with, &[&server]);
    let mut idle = fixture.client();
    assert_eq!(idle.text(&["PING"]), "PONG");
    assert!(idle.try_read().is_none(), "closed after a while");
    let mut client = fixture.client();
    client.send(&["SET", "k", "v"]);
    client.send(&["KEYS", "*"]);
    client.send(&["GET", "k"]);
    assert_eq!(client.read().text(), "OK");
    assert!(client.read().text().contains("not allowed"));
    assert!(client.try_read().is_none());
}

/// A flood towards a backend that hangs fills bounded queues and then stops the clients; when the
/// backend goes on, every request is answered.
#[test]
fn a_hung_backend_stops_the_clients_that_feed_it() {
    const REQUESTS: usize = 1500;
    let servers = [Server::start(&[]), Server::start(&[])];
    let fixture = Fixture::online(settings(), &[&servers[0], &servers[1]]);
    let (hung, fine) = (key_on(0, 2, 0), key_on(1, 2, 0));
    let value = "v".repeat(16 * 1024);
    servers[0].signal(Signal::STOP);
    let mut clients: Vec<_> = (0..6).map(|_| fixture.client()).collect();
    std::thread::scope(|scope| {
        for client in &clients {
            let mut writer = client.stream.try_clone().unwrap();
            let (hung, value) = (&hung, &value);
            scope.spawn(move || {
                let mut request = Vec::new();
                encode_command(&mut request, &["SET", hung, value]);
                for _ in 0..REQUESTS {
                    writer.write_all(&request).unwrap();
                }
            });
        }
        let mut last = u64::MAX;
        wait_for("the flood stands still", || {
            let now = fixture.stats().ops.total;
            std::thread::sleep(Duration::from_millis(200));
            std::mem::replace(&mut last, now) == now
        });
        assert!(
            last < (clients.len() * REQUESTS) as u64,
            "it was not stopped: {last}"
        );
        assert_eq!(fixture.client().text(&["SET", &fine, "v"]), "OK");
        servers[0].signal(Signal::CONT);
        for client in &mut clients {
            for _ in 0..REQUESTS {
                assert_eq!(client.read().text(), "OK");
            }
        }
    });
}
