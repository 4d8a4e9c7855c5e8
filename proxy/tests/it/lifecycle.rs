//! Stopping, and replacing the binary, while clients connect.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::daemon::{Daemon, Place};
use super::harness::{Client, Server, Text, spread, wait_for};
use codis_bed::process::Signal;

/// Clients that connect, ask, and leave, all the time. Gives what went wrong.
fn keep_connecting(addr: &str, stop: &AtomicBool, served: &AtomicUsize) -> Vec<String> {
    let mut wrong = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match ask_once(addr) {
            Ok(()) => {
                served.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if wrong.len() < 3 => wrong.push(error),
            Err(_) => {}
        }
    }
    wrong
}

fn ask_once(addr: &str) -> Result<(), String> {
    let say = |what: &str, error: std::io::Error| format!("{what}: {error}");
    let mut stream = TcpStream::connect(addr).map_err(|e| say("connect", e))?;
    let patience = Some(Duration::from_secs(30));
    stream
        .set_read_timeout(patience)
        .map_err(|e| say("set", e))?;
    for (request, expected) in [
        (&b"*1\r\n$4\r\nPING\r\n"[..], &b"+PONG\r\n"[..]),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", b"+OK\r\n"),
    ] {
        stream.write_all(request).map_err(|e| say("write", e))?;
        let mut reply = vec![0; expected.len()];
        stream.read_exact(&mut reply).map_err(|e| say("read", e))?;
        if reply != expected {
            return Err(String::from_utf8_lossy(&reply).into_owned());
        }
    }
    Ok(())
}

/// Runs `restarts` while clients connect, and shows that none was refused, reset or left alone.
fn without_a_refused_client(addr: &str, restarts: impl FnOnce(&dyn Fn())) {
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| keep_connecting(addr, &stop, &served)))
            .collect();
        restarts(&|| {
            let before = served.load(Ordering::Relaxed);
            wait_for("clients are served meanwhile", || {
                served.load(Ordering::Relaxed) > before + 20
            });
        });
        stop.store(true, Ordering::Relaxed);
        let all = clients.into_iter().map(|client| client.join().unwrap());
        all.flatten().collect()
    });
    assert_eq!(wrong, Vec::<String>::new(), "of {served:?}");
}

#[test]
fn a_successor_takes_over_without_a_refused_client() {
    let server = Server::start(&[]);
    let place = Place::new("proxy_handover = \"handover.sock\"\nha_cache = \"routes\"");
    place.write_slots(&spread(&[&server], 7));
    let mut running = place.start(&["--takeover", "--fillslots=slots.json"]);
    place.wait_served();
    let again = place.command(&[]).output().unwrap();
    assert_eq!(again.status.code(), Some(1), "only with the flag");
    without_a_refused_client(&place.addr, |served| {
        for round in 0..10 {
            // It gets the routes too: nobody fills its slots.
            let successor = place.start(&["--takeover", &format!("--ncpu={}", 1 + round % 3)]);
            assert_eq!(running.wait(), Some(0), "{}", place.said());
            running = successor;
            served();
        }
    });
    assert_eq!(place.status("/ready"), 200);
    let mut client = place.client();
    assert!(client.text(&["SLOTSMAPPING", "5"]).contains(&server.addr()));
    running.signal(Signal::TERM);
    assert_eq!(running.wait(), Some(0));
    assert!(!place.path("handover.sock").exists());
    let routes = std::fs::read_to_string(place.path("routes")).unwrap();
    assert!(routes.contains(&server.addr()));
    let files = std::fs::read_dir(place.dir.path()).unwrap().flatten();
    let mut names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    assert!(
        !names.any(|name| name.ends_with(".new")),
        "nothing half written"
    );
}

#[test]
fn a_successor_that_fails_leaves_everything_as_it_was() {
    let server = Server::start(&[]);
    let place = Place::new("proxy_handover = \"handover.sock\"");
    place.write_slots(&spread(&[&server], 0));
    let mut running = place.start(&["--fillslots=slots.json"]);
    place.wait_served();
    wait_for("it offers", || place.path("handover.sock").exists());
    let other = place
        .command(&["--takeover", "--product_name=other"])
        .output();
    let other = other.unwrap();
    assert_eq!(other.status.code(), Some(1));
    let told = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(told.contains("serves product t"), "{told}");
    assert!(place.is_served() && running.is_running());
    let mut next = place.start(&["--takeover"]);
    assert_eq!(running.wait(), Some(0), "it can still be followed");
    assert!(place.is_served() && next.is_running());
}

/// Starts a proxy as systemd does: with `sockets` as descriptors from 3 on.
fn activated(place: &Place, sockets: &[&std::net::TcpListener], notify: &str) -> Daemon {
    let mut script = String::new();
    for (n, socket) in sockets.iter().enumerate() {
        rustix::io::fcntl_setfd(socket.as_fd(), rustix::io::FdFlags::empty()).unwrap();
        script += &format!("exec {}<&{}; ", n + 3, socket.as_raw_fd());
    }
    let binary = env!("CARGO_BIN_EXE_codis-proxy");
    script += &format!(
        "LISTEN_PID=$$ LISTEN_FDS={} exec {binary} --config=proxy.toml \
         --fillslots=slots.json --ncpu=2",
        sockets.len()
    );
    let mut command = Command::new("bash");
    command
        .current_dir(place.dir.path())
        .args(["-c", &script])
        .env("NOTIFY_SOCKET", notify);
    Daemon::of(command, &place.path("err.log"))
}

#[test]
fn sockets_of_systemd_outlive_the_process() {
    let server = Server::start(&[]);
    let clients = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut place = Place::new("");
    place.addr = clients.local_addr().unwrap().to_string();
    place.admin = admin.local_addr().unwrap().to_string();
    place.write_settings("");
    place.write_slots(&spread(&[&server], 0));
    let notify = place.path("notify").display().to_string();
    let supervisor = UnixDatagram::bind(&notify).unwrap();
    let patience = Some(Duration::from_secs(30));
    supervisor.set_read_timeout(patience).unwrap();
    let told = || {
        let mut text = [0; 256];
        let len = supervisor.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..len]).trim().to_owned()
    };
    let mut running = activated(&place, &[&clients, &admin], &notify);
    assert_eq!(told(), "READY=1", "{}", place.said());
    place.wait_served();
    without_a_refused_client(&place.addr, |served| {
        for _ in 0..3 {
            running.signal(Signal::TERM);
            assert_eq!(told(), "STOPPING=1");
            assert_eq!(running.wait(), Some(0));
            running = activated(&place, &[&clients, &admin], &notify);
            assert_eq!(told(), "READY=1");
            served();
        }
    });
    assert_eq!(place.status("/live"), 200);
    let stray = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut wrong = activated(&place, &[&stray], &notify);
    assert_eq!(wrong.wait(), Some(1));
    assert!(
        place.said().contains("neither proxy_addr"),
        "{}",
        place.said()
    );
}

/// On a busy machine one of some tries looks in time.
#[test]
fn a_drain_is_told_first_and_ends_at_its_deadline() {
    let asked: Vec<usize> = (0..5)
        .map_while(|_| Some(asked_in_a_drain()).filter(|asked| *asked <= 10))
        .collect();
    assert!(asked.len() < 5, "{asked:?}");
}

/// Gives how often a client that stayed was answered when nobody else came in.
fn asked_in_a_drain() -> usize {
    let server = Server::start(&[]);
    let place = Place::new("drain_delay = \"4s\"\ndrain_timeout = \"4s\"");
    place.write_slots(&spread(&[&server], 0));
    let mut running = place.start(&["--fillslots=slots.json"]);
    place.wait_served();
    wait_for("it is ready", || place.status("/ready") == 200);
    running.signal(Signal::TERM);
    wait_for("it says that it stops", || place.status("/ready") == 503);
    if TcpStream::connect(&place.addr).is_err() {
        // This process was so late that the drain has begun.
        return 0;
    }
    let mut busy = place.client();
    assert_eq!(busy.text(&["SET", "k", "v"]), "OK", "clients still come in");
    wait_for("no client comes in", || {
        TcpStream::connect(&place.addr).is_err()
    });
    let began = Instant::now();
    let mut asked = 0;
    while began.elapsed() < Duration::from_secs(20) {
        busy.send(&["GET", "k"]);
        let Some(reply) = busy.try_read() else {
            break;
        };
        assert_eq!(
            reply.text(),
            "v",
            "one in the middle of something is served"
        );
        asked += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(running.wait(), Some(0));
    assert!(
        place
            .said()
            .contains("sessions cut at the end of the drain")
    );
    asked
}

#[test]
fn a_second_signal_ends_at_once() {
    let server = Server::start(&[]);
    let place = Place::new("drain_delay = \"60s\"");
    place.write_slots(&spread(&[&server], 0));
    let mut running = place.start(&["--fillslots=slots.json"]);
    place.wait_served();
    running.signal(Signal::TERM);
    wait_for("it stops", || place.said().contains("shutdown requested"));
    assert!(running.is_running());
    running.signal(Signal::INT);
    assert_eq!(running.wait(), Some(130));
}

#[test]
fn what_waits_in_the_queue_is_served_before_the_end() {
    let server = Server::start(&[]);
    let place = Place::new("");
    place.write_slots(&spread(&[&server], 0));
    let mut running = place.start(&["--fillslots=slots.json"]);
    place.wait_served();
    // The process stands still while they connect, so that they wait in the kernel.
    running.signal(Signal::STOP);
    let mut waiting: Vec<Client> = (0..50).map(|_| place.client()).collect();
    for client in &mut waiting {
        client.send(&["INCR", "n"]);
    }
    running.signal(Signal::TERM);
    running.signal(Signal::CONT);
    for client in &mut waiting {
        assert!(client.read().text().parse::<u64>().is_ok());
    }
    assert_eq!(running.wait(), Some(0));
    assert_eq!(server.run(&["GET", "n"]).text(), "50");
}
