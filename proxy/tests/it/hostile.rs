//! What clients and servers that do the worst they can must not achieve.

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use codis_bed::process::Signal;
use codis_core::resp::encode_command;
use codis_core::units::TimeSpan;

use super::harness::{Client, Fixture, SOON, Server, Text, settings, spread, wait_for};
use super::process::Process;

/// What was taken in is answered to the end, even when the replies do not fit at once.
#[test]
fn a_half_closed_client_gets_large_replies_too() {
    const REQUESTS: usize = 200;
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    client.send_raw(b"SLOTSMAPPING\r\n".repeat(REQUESTS).as_slice());
    client.stream.shutdown(Shutdown::Write).unwrap();
    let mut replies = 0;
    while client.try_read().is_some() {
        replies += 1;
    }
    assert_eq!(replies, REQUESTS);
}

/// The first write waits because the server is read-only; the second one comes when the server is
/// writable again. Running the first one after it would leave the older value.
#[test]
fn a_write_that_was_refused_does_not_overtake_a_later_one() {
    let (server, master) = (Server::start(&[]), Server::start(&[]));
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    for round in 0..5 {
        server.follow(&master);
        client.send(&["SET", "k", "older"]);
        let refused = || server.run(&["INFO", "errorstats"]).text();
        wait_for("the server refuses it", || {
            refused().contains("errorstat_READONLY:count=")
        });
        let mut other = server.client();
        let mut both = Vec::new();
        encode_command(&mut both, &["REPLICAOF", "NO", "ONE"]);
        encode_command(&mut both, &["DEBUG", "SLEEP", "0.2"]);
        other.send_raw(&both);
        client.send(&["SET", "k", "newer"]);
        let (first, second) = (client.read().text(), client.read().text());
        assert_eq!(second, "OK");
        let value = server.run(&["GET", "k"]).text();
        assert_eq!(value, "newer", "round {round}: {first}, {second}");
        other.read();
        other.read();
        server.run(&["CONFIG", "RESETSTAT"]);
    }
}

#[test]
fn a_script_that_pretends_to_be_refused_runs_once() {
    let server = Server::start(&[]);
    let mut with = settings();
    with.ha_hold = TimeSpan::from_millis(500);
    let fixture = Fixture::online(with, &[&server]);
    for code in ["LOADING", "READONLY", "MASTERDOWN"] {
        let script = format!(
            "redis.call('INCR', KEYS[1]) return redis.error_reply('{code} says the script')"
        );
        let told = fixture.client().text(&["EVAL", &script, "1", code]);
        assert_eq!(told, format!("-{code} says the script"));
        assert_eq!(server.run(&["GET", code]).text(), "1");
    }
}

/// A server that closes the link in the middle of a request would do so again.
#[test]
fn a_request_that_breaks_its_link_is_not_sent_for_ever() {
    let server = Server::start(&["--proto-max-bulk-len", "1mb"]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    assert_eq!(client.text(&["SET", "k", "v"]), "OK");
    let began = Instant::now();
    let told = client.text(&["SET", "k", &"x".repeat(64 * 1024 * 1024)]);
    assert!(told.starts_with("-ERR "), "{told}");
    assert!(began.elapsed() < SOON);
    assert_eq!(client.text(&["GET", "k"]), "v");
    assert_eq!(fixture.client().text(&["SET", "k", "w"]), "OK");
}

#[test]
fn a_deeply_nested_reply_costs_nobody_the_link() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    client.text(&["SET", "k", "v"]);
    let script = "local t = {1} for i = 1, 500 do t = {t} end return t";
    client.send(&["EVAL", script, "1", "k"]);
    let mut other = fixture.client();
    assert_eq!(other.text(&["INCR", "n"]), "1");
    let mut reply = vec![0; 500 * 4 + 4 + 4];
    std::io::Read::read_exact(&mut client.stream, &mut reply).unwrap();
    assert!(reply.ends_with(b"*1\r\n:1\r\n"));
    assert_eq!(client.text(&["GET", "k"]), "v");
    assert_eq!(fixture.stats().ops.fails, 0);
}

/// Clients that are told to go away stay connected and come again: a place that gets free is
/// nevertheless given to the next one.
#[test]
fn refused_clients_take_no_place() {
    let server = Server::start(&[]);
    let mut with = settings();
    with.proxy_max_clients = 1;
    let fixture = Fixture::online(with, &[&server]);
    let mut only = fixture.client();
    assert_eq!(only.text(&["PING"]), "PONG");
    let mut refused: Vec<Client> = (0..20).map(|_| fixture.client()).collect();
    for client in &mut refused {
        assert!(client.read().text().contains("max number of clients"));
    }
    drop(only);
    let began = Instant::now();
    loop {
        let mut next = fixture.client();
        next.stream.write_all(b"PING\r\n").unwrap();
        let taken = next.try_read().is_some_and(|reply| reply.text() == "PONG");
        if taken {
            break;
        }
        refused.push(next);
        assert!(began.elapsed() < SOON);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_runs_after_a_failure_that_breaks_the_session() {
    let server = Server::start(&[]);
    let mut with = settings();
    with.session_break_on_failure = true;
    let fixture = Fixture::online(with, &[&server]);
    let mut client = fixture.client();
    client.send_raw(b"SET before v\r\nKEYS *\r\nSET after v\r\n");
    assert_eq!(client.read().text(), "OK");
    assert!(client.read().text().contains("not allowed"));
    assert!(client.try_read().is_none());
    assert_eq!(server.run(&["EXISTS", "before", "after"]).text(), "1");
}

/// The part that fails decides, whichever part is answered last.
#[test]
fn a_split_command_that_fails_breaks_the_session() {
    let servers = [Server::start(&[]), Server::start(&[])];
    let mut with = settings();
    with.session_break_on_failure = true;
    with.ha_hold = TimeSpan::from_millis(200);
    let fixture = Fixture::start(with);
    let mut slots = spread(&[&servers[0], &servers[1]], 0);
    for slot in slots.iter_mut().filter(|slot| slot.id % 2 == 0) {
        slot.backend_addr.clear();
    }
    fixture.fill(&slots).unwrap();
    fixture.put("start").unwrap();
    let (offline, fine) = (
        super::harness::key_on(0, 2, 0),
        super::harness::key_on(1, 2, 0),
    );
    let mut client = fixture.client();
    let told = client.text(&["MGET", &offline, &fine]);
    assert!(told.contains("slot is not ready"), "{told}");
    assert!(client.try_read().is_none());
    assert_eq!(fixture.stats().ops.fails, 1);
}

#[test]
fn a_backend_that_wants_another_password_is_named() {
    let server = Server::start(&["--requirepass", "inside"]);
    let mut with = settings();
    with.product_auth = "wrong".to_owned();
    with.ha_hold = TimeSpan::from_millis(200);
    let fixture = Fixture::online(with, &[&server]);
    let told = fixture.client().text(&["GET", "k"]);
    assert!(
        told.contains("WRONGPASS") && told.contains(&server.addr()),
        "{told}"
    );
}

/// The memory of a large request or reply is given back when it is done, not when the next large
/// one comes.
#[test]
fn idle_sessions_keep_no_memory_of_large_requests() {
    const CLIENTS: usize = 48;
    let server = Server::start(&[]);
    let process = Process::start(&spread(&[&server], 0));
    let value = "x".repeat(9 * 1024 * 1024);
    let mut clients: Vec<Client> = Vec::new();
    for n in 0..CLIENTS {
        let mut client = Client::connect(&process.addr);
        match n % 3 {
            0 => assert_eq!(client.text(&["SET", "k", &value]), "OK"),
            1 => assert_eq!(client.run(&["ECHO", &value]).text().len(), value.len()),
            _ => assert_eq!(client.run(&["GET", "k"]).text().len(), value.len()),
        }
        clients.push(client);
    }
    wait_for("the memory is free", || process.resident_mib() < 150);
}

#[test]
fn a_client_without_the_password_cannot_fill_the_memory() {
    let server = Server::start(&[]);
    let mut with = settings();
    with.session_auth = "secret".to_owned();
    let fixture = Fixture::online(with, &[&server]);
    let mut client = fixture.client();
    client.send_raw(b"*2\r\n$4\r\nAUTH\r\n$500000000\r\n");
    client.send_raw(&[b'x'; 100_000]);
    let told = client.read().text();
    assert_eq!(told, "-ERR Protocol error: too big request");
    assert!(client.try_read().is_none());
    let mut client = fixture.client();
    assert_eq!(client.text(&["AUTH", "secret"]), "OK");
    let value = "x".repeat(1024 * 1024);
    assert_eq!(client.text(&["SET", "k", &value]), "OK");
}

#[test]
fn a_new_link_selects_its_database() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut client = fixture.client();
    assert_eq!(client.text(&["SELECT", "7"]), "OK");
    for round in 0..5 {
        assert_eq!(client.text(&["SET", "k", &round.to_string()]), "OK");
        server.run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        assert_eq!(client.text(&["GET", "k"]), round.to_string());
    }
    assert_eq!(
        server.run(&["EXISTS", "k"]).text(),
        "0",
        "database 0 is empty"
    );
}

/// A client that never reads is cut off; what it asked for is dropped with it.
#[test]
fn a_client_that_never_reads_is_cut_off() {
    let server = Server::start(&[]);
    let mut with = settings();
    with.session_send_timeout = TimeSpan::from_millis(500);
    let fixture = Fixture::online(with, &[&server]);
    let mut client = fixture.client();
    client.text(&["SET", "big", &"x".repeat(8 * 1024 * 1024)]);
    let mut lazy = fixture.client();
    for _ in 0..40 {
        lazy.send(&["GET", "big"]);
    }
    wait_for("it is cut off", || fixture.stats().sessions.alive == 1);
    assert_eq!(client.text(&["INCR", "n"]), "1");
}

/// A session ends with writes under way on a server that hangs: they run once, and the answers
/// for nobody leave the answers of others in their places.
#[test]
fn writes_of_a_client_that_left_run_once() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut stays = fixture.client();
    assert_eq!(stays.text(&["SET", "mine", "v"]), "OK");
    server.signal(Signal::STOP);
    for _ in 0..20 {
        let mut leaves = fixture.client();
        for _ in 0..10 {
            leaves.send(&["INCR", "n"]);
            leaves.send(&["GET", "n"]);
        }
    }
    wait_for("all are decoded", || fixture.stats().ops.total >= 401);
    stays.send(&["GET", "mine"]);
    server.signal(Signal::CONT);
    assert_eq!(stays.read().text(), "v");
    wait_for("the writes run", || {
        server.run(&["GET", "n"]).text() == "200"
    });
    wait_for("the sessions end", || fixture.stats().sessions.alive == 1);
    assert_eq!(server.run(&["GET", "n"]).text(), "200");
}
