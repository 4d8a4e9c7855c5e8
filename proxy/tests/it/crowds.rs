//! Many at once: announcements of giants, giants, clients that do not read, connections.
//!
//! Each test runs the program, looks at its memory from outside, and has one client that goes on
//! working all the while.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use codis_bed::process::Signal;
use codis_core::resp::encode_command;

use super::harness::{Client, SOON, Server, Text, key_on, spread, wait_for};
use super::process::Process;

const MIB: usize = 1024 * 1024;

/// A proxy with two servers, and the client that must go on: on a server of its own.
struct Scene {
    servers: [Server; 2],
    process: Process,
    bystander: Client,
    count: u64,
}

impl Scene {
    fn start(more: &str) -> Self {
        let servers = [Server::start(&[]), Server::start(&[])];
        let slots = spread(&[&servers[0], &servers[1]], 0);
        let process = Process::start_with(&slots, more);
        let bystander = Client::connect(&process.addr);
        Self {
            servers,
            process,
            bystander,
            count: 0,
        }
    }

    fn client(&self) -> Client {
        Client::connect(&self.process.addr)
    }

    /// The other session is served, and the memory is below a limit.
    fn check(&mut self, mib: u64) {
        self.count += 1;
        let told = self.bystander.text(&["INCR", &key_on(1, 2, 0)]);
        assert_eq!(told, self.count.to_string());
        let used = self.process.resident_mib();
        assert!(used < mib, "{used} MiB are in use, more than {mib}");
    }

    fn check_memory_returns(&mut self, mib: u64) {
        wait_for("the memory is given back", || {
            self.process.resident_mib() < mib
        });
        self.check(mib);
    }
}

/// Memory is taken for what has come, not for what was announced.
#[test]
fn announcements_of_giants_cost_nothing() {
    let mut scene = Scene::start("");
    let mut clients = Vec::new();
    for n in 0..400 {
        let mut client = scene.client();
        let announcement: &[u8] = match n % 3 {
            0 => b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n",
            1 => b"*1048576\r\n$4\r\nMGET\r\n$536870912\r\n",
            _ => b"*2\r\n$536870912\r\n",
        };
        client.send_raw(announcement);
        client.send_raw(&[b'x'; 1000]);
        clients.push(client);
        if n % 40 == 0 {
            scene.check(100);
        }
    }
    for announcement in [
        &b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1073741824\r\n"[..],
        b"*2\r\n$536870913\r\n",
        b"*1048577\r\n",
        b"*9223372036854775807\r\n",
        b"*1\r\n$99999999999999999999\r\n",
    ] {
        let mut client = scene.client();
        client.send_raw(announcement);
        let told = client.read().text();
        assert!(told.starts_with("-ERR Protocol error: "), "{told}");
        assert!(client.try_read().is_none());
    }
    scene.check(100);
}

/// An array as long as the limit is served; the keys of the second half are as good as the first.
#[test]
fn an_array_of_a_million_is_served() {
    const KEYS: usize = 1_000_000;
    let mut scene = Scene::start("");
    assert_eq!(scene.bystander.text(&["SET", "k", "v"]), "OK");
    let mut request = Vec::from(format!("*{}\r\n$6\r\nEXISTS\r\n", KEYS + 1));
    request.extend(b"$1\r\nk\r\n".repeat(KEYS));
    let mut client = scene.client();
    let mut writer = client.stream.try_clone().unwrap();
    client.stream.set_read_timeout(Some(4 * SOON)).unwrap();
    let sending = std::thread::spawn(move || {
        writer.write_all(&request).unwrap();
        writer
            .write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nw\r\n")
            .unwrap();
    });
    for _ in 0..50 {
        scene.check(400);
    }
    assert_eq!(client.read().text(), KEYS.to_string());
    assert_eq!(client.read().text(), "OK");
    sending.join().unwrap();
    drop(client);
    scene.check_memory_returns(150);
}

/// Ten clients each ask for 60 MiB and read nothing, although all together may keep 48 MiB. Those
/// that keep more than their part are ended while the replies come, so memory stays near the limit
/// at all times; the other session is served meanwhile, and what was kept is given back.
///
/// `requests` are lines about the key `hung`, whose server hangs if `hangs`, and the key `big`.
fn check_flood(hangs: bool, requests: impl Fn(&str, &str) -> String) {
    const CLIENTS: usize = 10;
    const PEAK_MIB: u64 = 256;
    let mut scene = Scene::start("session_max_buffered = \"48mb\"");
    let (hung, big) = (key_on(0, 2, 0), key_on(1, 2, 1));
    let set = scene.bystander.text(&["SET", &big, &"x".repeat(MIB)]);
    assert_eq!(set, "OK");
    if hangs {
        scene.servers[0].signal(Signal::STOP);
    }
    let mut flood = Vec::new();
    for request in requests(&hung, &big).lines() {
        let words: Vec<&str> = request.split(' ').collect();
        encode_command(&mut flood, &words);
    }
    let mut lazy: Vec<Client> = (0..CLIENTS).map(|_| scene.client()).collect();
    for client in &mut lazy {
        client.send_raw(&flood);
        scene.check(PEAK_MIB);
    }
    let all = format!("connected_clients:{}\r\n", CLIENTS + 1);
    wait_for("somebody is ended", || {
        scene.check(PEAK_MIB);
        let info = scene.bystander.text(&["INFO", "proxy"]);
        assert!(info.contains("connected_clients:"), "{info}");
        !info.contains(&all)
    });
    drop(lazy);
    // The allocator gives back when it has something to do.
    wait_for("the memory is given back", || {
        assert_eq!(scene.bystander.text(&["GET", &big]).len(), MIB);
        scene.process.resident_mib() < 150
    });
    let peak = scene.process.peak_mib();
    assert!(peak < PEAK_MIB, "{peak} MiB were in use");
    scene.check(PEAK_MIB);
}

#[test]
fn clients_that_do_not_read_are_ended_at_the_limit() {
    check_flood(false, |_, big| format!("GET {big}\n").repeat(60));
}

/// What waits for the reply of a server that hangs counts as well.
#[test]
fn replies_behind_one_that_does_not_come_are_limited() {
    check_flood(true, |hung, big| {
        format!("GET {hung}\n") + &format!("GET {big}\n").repeat(60)
    });
}

/// And so does what waits for the part of its own command that does not come.
#[test]
fn parts_of_commands_whose_other_parts_do_not_come_are_limited() {
    check_flood(true, |hung, big| format!("MGET {hung} {big}\n").repeat(60));
}

/// Bytes that come one at a time are requests like any others.
#[test]
fn requests_may_come_byte_by_byte() {
    let mut scene = Scene::start("");
    let mut request = Vec::new();
    encode_command(&mut request, &["APPEND", "k", "0123456789"]);
    let mut clients: Vec<Client> = (0..20).map(|_| scene.client()).collect();
    for byte in request.chunks(1) {
        for client in &mut clients {
            client.send_raw(byte);
        }
        scene.check(100);
    }
    let lengths: usize = clients
        .iter_mut()
        .map(|client| client.read().text().parse::<usize>().unwrap())
        .sum();
    assert_eq!(lengths, (1..=20).map(|n| n * 10).sum::<usize>());
}

/// A process that opens connections, since one may not open so many files. It comes from an
/// address of its own, so that ports do not run out.
struct Crowd {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Crowd {
    fn start(n: usize, count: usize, to: SocketAddr) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/crowd.py");
        let mut child = Command::new("python3")
            .args([script, &to.ip().to_string(), &to.port().to_string()])
            .args([&count.to_string(), &format!("127.0.0.{}", 2 + n)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 must be installed (scripts/setup)");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn read(&mut self) -> String {
        let line = self.lines.next();
        line.expect("the crowd says why it fails").unwrap()
    }

    /// How many are served, and how many were refused.
    fn count(&mut self) -> (usize, usize) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let told = self.read();
        let (served, refused) = told.split_once(' ').unwrap();
        (served.parse().unwrap(), refused.parse().unwrap())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Twenty thousand come although a thousand may: the thousand are served, the others are told so
/// and hold nothing, and when all have gone there is room again.
#[test]
fn twenty_thousand_connections_against_a_lower_limit() {
    const ALL: usize = 20_000;
    const PLACES: usize = 1_000;
    const PARTS: usize = 4;
    let mut scene = Scene::start(&format!("proxy_max_clients = {PLACES}"));
    let to: SocketAddr = scene.process.addr.parse().unwrap();
    let start = |n| Crowd::start(n, ALL / PARTS, to);
    let mut crowds: Vec<Crowd> = (0..PARTS).map(start).collect();
    for _ in 0..200 {
        scene.check(150);
    }
    for crowd in &mut crowds {
        assert_eq!(crowd.read(), "open");
        scene.check(150);
    }
    let (mut served, mut refused) = (0, 0);
    for crowd in &mut crowds {
        let (more_served, more_refused) = crowd.count();
        served += more_served;
        refused += more_refused;
        scene.check(150);
    }
    assert_eq!(served + 1, PLACES, "the bystander has a place too");
    assert_eq!(served + refused, ALL);
    drop(crowds);
    wait_for("places are free", || {
        let mut next = scene.client();
        let _ = next.stream.write_all(b"PING\r\n");
        next.try_read().is_some_and(|reply| reply.text() == "PONG")
    });
    scene.check_memory_returns(150);
}
