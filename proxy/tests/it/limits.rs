//! What clients, servers and load may take from the others, and from the process.

use std::io::Write;
use std::time::Duration;

use codis_bed::process::Signal;
use codis_core::resp::encode_command;
use codis_core::units::ByteSize;

use super::daemon::Place;
use super::harness::{Client, Fixture, Server, Text, key_on, settings, spread, wait_for};

/// Half requests of many clients together are limited, whatever each may send; clients that ask
/// for little notice nothing.
#[test]
fn unfinished_requests_of_all_clients_are_limited() {
    const CLIENTS: usize = 24;
    const SENT: usize = 4 * 1024 * 1024;
    let server = Server::start(&[]);
    let place = Place::new("session_max_buffered = \"32mb\"");
    place.write_slots(&spread(&[&server], 0));
    let proxy = place.start(&["--fillslots=slots.json"]);
    place.wait_served();
    let part = vec![b'x'; SENT];
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| place.client()).collect();
    for client in &mut clients {
        let head = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\n";
        // Those that are refused are closed before they have sent everything.
        let _ = client.stream.write_all(head);
        let _ = client.stream.write_all(&part);
    }
    let mut other = place.client();
    assert_eq!(other.text(&["SET", "k", "v"]), "OK");
    let mut refused = 0;
    for client in &mut clients {
        if !client.is_silent_for(Duration::from_millis(300))
            && let Some(reply) = client.try_read()
        {
            let text = reply.text();
            assert!(text.contains("see session_max_buffered"), "{text}");
            refused += 1;
        }
    }
    assert!(refused >= CLIENTS / 2, "{refused}");
    assert!(refused < CLIENTS, "some were below the limit");
    let resident = proxy.resident_mib();
    assert!(resident < 200, "{resident} MiB");
    assert_eq!(other.text(&["GET", "k"]), "v");
}

/// What is announced and not sent takes nothing.
#[test]
fn announcements_take_no_memory() {
    let server = Server::start(&[]);
    let place = Place::new("");
    place.write_slots(&spread(&[&server], 0));
    let proxy = place.start(&["--fillslots=slots.json"]);
    place.wait_served();
    let before = proxy.resident_mib();
    let clients: Vec<Client> = (0..200)
        .map(|n| {
            let mut client = place.client();
            let bulk: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n";
            let array: &[u8] = b"*1048576\r\n$3\r\nDEL\r\n";
            client.send_raw(if n % 2 == 0 { bulk } else { array });
            client
        })
        .collect();
    let mut other = place.client();
    assert_eq!(other.text(&["SET", "k", "v"]), "OK");
    let grown = proxy.resident_mib().saturating_sub(before);
    assert!(grown < 64, "{grown} MiB for {} clients", clients.len());
    let mut too_long = place.client();
    too_long.send_raw(b"*2\r\n$3\r\nGET\r\n$1073741824\r\n");
    let told = too_long.read().text();
    assert!(told.starts_with("-ERR Protocol error"), "{told}");
    assert!(too_long.try_read().is_none());
}

/// When the queue of a server that hangs is full, a session that has little under way is still
/// read: what it asks of other servers runs, and is answered as far as the order permits.
#[test]
fn a_full_queue_does_not_keep_a_session_from_other_servers() {
    const FLOOD: usize = 20;
    let servers = [Server::start(&[]), Server::start(&[])];
    let mut with = settings();
    with.ha_hold = codis_core::units::TimeSpan::from_secs(60);
    let fixture = Fixture::online(with, &[&servers[0], &servers[1]]);
    let (hung, fine) = (key_on(0, 2, 0), key_on(1, 2, 0));
    let mut first = fixture.client();
    assert_eq!(first.text(&["SET", &hung, "v"]), "OK");
    servers[0].signal(Signal::STOP);
    let value = "v".repeat(64 * 1024);
    let mut flood = Vec::new();
    for _ in 0..40 {
        encode_command(&mut flood, &["SET", &hung, &value]);
    }
    let mut flooding: Vec<Client> = (0..FLOOD).map(|_| fixture.client()).collect();
    for client in &mut flooding {
        client.send_raw(&flood);
    }
    // Several sessions, so that every worker has one whose queue is full.
    let mut sessions: Vec<Client> = (0..8).map(|_| fixture.client()).collect();
    for (n, client) in sessions.iter_mut().enumerate() {
        client.send(&["SET", &fine, "before"]);
        client.send(&["GET", &hung]);
        client.send(&["SET", &format!("{{{fine}}}{n}"), "behind"]);
        assert_eq!(client.read().text(), "OK", "what comes first is answered");
    }
    for n in 0..sessions.len() {
        let key = format!("{{{fine}}}{n}");
        wait_for("what comes behind has run", || {
            servers[1].run(&["GET", &key]).text() == "behind"
        });
    }
    servers[0].signal(Signal::CONT);
    for client in &mut sessions {
        let got = client.read().text();
        assert!(got == "v" || got == value, "{}", got.len());
        assert_eq!(client.read().text(), "OK");
    }
}

/// A client that leaves its replies unread is cut off when memory is short.
#[test]
fn unread_replies_are_limited() {
    let server = Server::start(&[]);
    let mut with = settings();
    with.session_max_buffered = ByteSize::from_mib(8);
    let fixture = Fixture::online(with, &[&server]);
    let mut client = fixture.client();
    assert_eq!(
        client.text(&["SET", "big", &"x".repeat(4 * 1024 * 1024)]),
        "OK"
    );
    let mut lazy: Vec<Client> = (0..8).map(|_| fixture.client()).collect();
    for client in &mut lazy {
        for _ in 0..4 {
            client.send(&["GET", "big"]);
        }
    }
    wait_for("those that do not read are cut off", || {
        fixture.stats().sessions.alive < 9
    });
    assert_eq!(client.text(&["PING"]), "PONG");
}

/// Connections are opened when they are used, up to the number that belongs to the role.
#[test]
fn parallel_connections_come_on_demand() {
    let (master, replica) = (Server::start(&[]), Server::start(&[]));
    replica.follow(&master);
    let mut with = settings();
    with.backend_primary_parallel = 3;
    with.backend_replica_parallel = 1;
    with.backend_ping_period = codis_core::units::TimeSpan::from_secs(0);
    let fixture = Fixture::start(with);
    let mut all = spread(&[&master], 0);
    for slot in &mut all {
        slot.replica_groups = vec![vec![replica.addr()]];
    }
    fixture.fill(&all).unwrap();
    fixture.put("start").unwrap();
    let connections = |server: &Server| {
        let listed = server.run(&["CLIENT", "LIST", "TYPE", "normal"]).text();
        // One of them is the connection that asks.
        listed.lines().count() - 1
    };
    assert_eq!((connections(&master), connections(&replica)), (0, 0));
    let mut clients: Vec<Client> = (0..24).map(|_| fixture.client()).collect();
    assert_eq!(clients[0].text(&["SET", "k", "v"]), "OK");
    assert_eq!(connections(&master), 1, "of one client");
    for client in &mut clients {
        assert_eq!(client.text(&["SET", "k", "v"]), "OK");
        // From the replica, which may not have it yet.
        let read = client.text(&["GET", "k"]);
        assert!(matches!(&*read, "v" | "(nil)"), "{read}");
    }
    // Two workers.
    let of_master = connections(&master);
    assert!((4..=6).contains(&of_master), "{of_master}");
    wait_for("the replica is read", || {
        clients[0].text(&["GET", "k"]) == "v" && connections(&replica) >= 1
    });
    assert!(connections(&replica) <= 2);
}
