//! Unix sockets, on both sides.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use codis_bed::process::Signal;
use socket2::{Domain, SockAddr, Socket, Type};

use super::daemon::Place;
use super::harness::{Server, Text, slot, spread, wait_for};

fn reply(stream: &mut impl Read, expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, expected);
}

/// A place whose clients come over a path.
fn unix_place(proto: &str) -> (Place, std::path::PathBuf) {
    let mut place = Place::new("");
    let path = place.path("clients.sock");
    place.addr = path.display().to_string();
    place.write_settings(&format!(
        "proto_type = \"{proto}\"\nproxy_unix_mode = \"0620\""
    ));
    (place, path)
}

#[test]
fn clients_come_over_a_path() {
    let server = Server::start(&[]);
    let (place, path) = unix_place("unix");
    place.write_slots(&spread(&[&server], 0));
    let mut killed = place.start(&["--fillslots=slots.json"]);
    wait_for("it listens", || UnixStream::connect(&path).is_ok());
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o620);
    killed.signal(Signal::KILL);
    killed.wait();
    assert!(path.exists(), "left behind");
    let mut running = place.start(&["--fillslots=slots.json"]);
    wait_for("it listens again", || UnixStream::connect(&path).is_ok());
    let second = place.command(&["--fillslots=slots.json"]).output().unwrap();
    assert_eq!(second.status.code(), Some(1), "the path is in use");
    wait_for("it serves", || {
        let mut client = UnixStream::connect(&path).unwrap();
        let asked = client.write_all(b"SET k v\r\nGET k\r\n");
        let mut told = [0; 12];
        asked.is_ok() && client.read_exact(&mut told).is_ok() && &told == b"+OK\r\n$1\r\nv\r\n"
    });
    let big = "x".repeat(1_000_000);
    let mut client = UnixStream::connect(&path).unwrap();
    write!(
        client,
        "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1000000\r\n{big}\r\n"
    )
    .unwrap();
    reply(&mut client, b"+OK\r\n");
    running.signal(Signal::TERM);
    assert_eq!(running.wait(), Some(0));
    assert!(!path.exists(), "removed at the end");
}

#[test]
fn clients_send_packets() {
    let server = Server::start(&[]);
    let (place, path) = unix_place("unixpacket");
    place.write_slots(&spread(&[&server], 0));
    let _running = place.start(&["--fillslots=slots.json"]);
    let connect = || {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        let patience = Some(std::time::Duration::from_secs(15));
        socket.set_read_timeout(patience).unwrap();
        socket
            .connect(&SockAddr::unix(&path).unwrap())
            .map(|()| socket)
    };
    wait_for("it serves", || {
        connect().is_ok_and(|mut client| {
            let mut told = [0; 64];
            client.write_all(b"PING\r\n").is_ok()
                && client
                    .read(&mut told)
                    .is_ok_and(|len| &told[..len] == b"+PONG\r\n")
        })
    });
    let mut client = connect().unwrap();
    let value = "y".repeat(100_000);
    let request = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n{value}\r\nGET k\r\n");
    assert_eq!(
        client.write(request.as_bytes()).unwrap(),
        request.len(),
        "one packet"
    );
    let expected = format!("+OK\r\n$100000\r\n{value}\r\n");
    let mut got = Vec::new();
    let mut packet = vec![0; 256 * 1024];
    while got.len() < expected.len() {
        let len = client.read(&mut packet).unwrap();
        assert!(len > 0);
        got.extend_from_slice(&packet[..len]);
    }
    assert!(got == expected.as_bytes());
    client.write_all(b"QUIT\r\n").unwrap();
    assert_eq!(client.read(&mut packet).unwrap(), 5);
    assert_eq!(client.read(&mut packet).unwrap(), 0, "the end");
}

#[test]
fn servers_are_reached_over_a_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("redis.sock").display().to_string();
    let server = Server::start(&["--unixsocket", &path]);
    let place = Place::new("");
    let all: Vec<_> = (0..1024)
        .map(|id| match id % 2 {
            0 => slot(id, 1, &format!("unix:{path}"), 0),
            _ => slot(id, 2, &path, 0),
        })
        .collect();
    place.write_slots(&all);
    let _running = place.start(&["--fillslots=slots.json"]);
    place.wait_served();
    let mut client = place.client();
    assert_eq!(client.text(&["MSET", "a", "1", "b", "2", "c", "3"]), "OK");
    assert_eq!(client.text(&["MGET", "a", "b", "c"]), "1 2 3");
    assert_eq!(server.run(&["DBSIZE"]).text(), "3");
    assert_eq!(client.text(&["PING", &path]), "PONG");
}
