//! Locked slots and hung servers: what waits, for how long, and what does not.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use codis_bed::process::Signal;
use codis_core::api::Slot;
use codis_core::units::{ByteSize, TimeSpan};

use super::harness::{Fixture, Server, Text, key_on, settings, slot, spread, wait_for};

fn locked(slots: Vec<Slot>) -> Vec<Slot> {
    let lock = |slot| Slot {
        locked: true,
        ..slot
    };
    slots.into_iter().map(lock).collect()
}

/// The slots of server `index` of two.
fn half(all: &[Slot], index: u16) -> Vec<Slot> {
    let own = |slot: &&Slot| slot.id % 2 == index;
    all.iter().filter(own).cloned().collect()
}

fn metric(fixture: &Fixture, name: &str) -> u64 {
    let mut stream = std::net::TcpStream::connect(fixture.admin()).unwrap();
    let ask = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(ask).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("codis_proxy_{name} ")))
        .unwrap_or_else(|| panic!("{name} in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_hung_server_delays_no_other_fill_and_no_admin_call() {
    let (hung, well) = (Server::start(&[]), Server::start(&[]));
    let mut with = settings();
    // A fill that waits for the hung server does so for half of it.
    with.ha_hold = TimeSpan::from_secs(14);
    let fixture = Fixture::online(with, &[&hung, &well]);
    let all = spread(&[&hung, &well], 0);
    let key = key_on(0, 2, 0);
    let mut waiting = fixture.client();
    waiting.text(&["SET", &key, "v"]);
    hung.signal(Signal::STOP);
    let before = fixture.stats().ops.total;
    waiting.send(&["SET", &key, "w"]);
    wait_for("the write is in flight", || {
        fixture.stats().ops.total > before
    });
    let done = AtomicBool::new(false);
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            fixture.fill(&locked(half(&all, 0))).unwrap();
            done.store(true, Ordering::Relaxed);
        });
        std::thread::sleep(Duration::from_millis(100));
        let mut client = fixture.client();
        let well_key = key_on(1, 2, 0);
        for round in 0..3 {
            fixture.stats();
            fixture.slot_table();
            assert_eq!(client.text(&["PING", &well.addr()]), "PONG");
            fixture.fill(&locked(half(&all, 1))).unwrap();
            fixture.fill(&half(&all, 1)).unwrap();
            client.text(&["SET", &well_key, &round.to_string()]);
        }
        assert!(!done.load(Ordering::Relaxed), "they waited with the fill");
        // One with a slot in common does wait, and is bounded too.
        fixture.fill(&[slot(0, 2, &well.addr(), 0)]).unwrap();
        assert!(began.elapsed() > Duration::from_secs(6), "it did not wait");
        wait_for("the first fill", || done.load(Ordering::Relaxed));
    });
    assert!(began.elapsed() < Duration::from_secs(40));
    let told = waiting.read().text();
    assert!(told.contains("outcome of the write is unknown"), "{told}");
    hung.signal(Signal::CONT);
}

#[test]
fn a_session_goes_on_behind_a_locked_slot() {
    let (a, b) = (Server::start(&[]), Server::start(&[]));
    let fixture = Fixture::online(settings(), &[&a, &b]);
    let all = spread(&[&a, &b], 0);
    fixture.fill(&locked(half(&all, 0))).unwrap();
    let (held, open) = (key_on(0, 2, 0), key_on(1, 2, 0));
    let mut client = fixture.client();
    client.send(&["INCR", &held]);
    for _ in 0..500 {
        client.send(&["INCR", &open]);
    }
    client.send(&["INCR", &held]);
    wait_for("those behind have run", || {
        b.run(&["GET", &open]).text() == "500"
    });
    assert!(client.is_silent_for(Duration::from_millis(50)));
    assert_eq!(a.run(&["EXISTS", &held]).text(), "0");
    wait_for("both show", || metric(&fixture, "slot_waiting") == 2);
    assert!(metric(&fixture, "slot_waiting_bytes") > 0);
    fixture.fill(&half(&all, 0)).unwrap();
    assert_eq!(client.read().text(), "1");
    for n in 1..=500 {
        assert_eq!(client.read().text(), n.to_string());
    }
    assert_eq!(client.read().text(), "2");
    wait_for("none waits", || metric(&fixture, "slot_waiting") == 0);
    assert_eq!(metric(&fixture, "slot_waiting_bytes"), 0);
}

/// Each slot of a command that waits for two locks goes its way when its own lock ends.
#[test]
fn a_command_over_two_locks_keeps_the_order_of_each() {
    let (a, b) = (Server::start(&[]), Server::start(&[]));
    let fixture = Fixture::online(settings(), &[&a, &b]);
    let all = spread(&[&a, &b], 0);
    fixture.fill(&locked(all.clone())).unwrap();
    let (first, second) = (key_on(0, 2, 0), key_on(1, 2, 0));
    let mut client = fixture.client();
    client.send(&["MSET", &first, "1", &second, "1"]);
    client.send(&["APPEND", &first, "2"]);
    client.send(&["APPEND", &second, "2"]);
    wait_for("they wait", || metric(&fixture, "slot_waiting") == 3);
    fixture.fill(&half(&all, 0)).unwrap();
    wait_for("the first slot goes on", || {
        a.run(&["GET", &first]).text() == "12"
    });
    let mut reader = fixture.client();
    reader.send(&["GET", &second]);
    wait_for("it waits too", || metric(&fixture, "slot_waiting") == 3);
    // A client that only closes may still read; one that resets its connection does not.
    let socket = socket2::SockRef::from(&reader.stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop(reader);
    wait_for("nobody reads what it asked for", || {
        metric(&fixture, "slot_waiting") == 2
    });
    assert_eq!(b.run(&["EXISTS", &second]).text(), "0");
    fixture.fill(&half(&all, 1)).unwrap();
    for reply in ["OK", "2", "2"] {
        assert_eq!(client.read().text(), reply);
    }
    assert_eq!(b.run(&["GET", &second]).text(), "12");
}

#[test]
fn what_waits_for_a_lock_is_bounded_in_memory_and_in_time() {
    let server = Server::start(&[]);
    let mut with = settings();
    with.slot_wait_max_bytes = ByteSize::from_kib(200);
    with.slot_wait_timeout = TimeSpan::from_millis(1500);
    let fixture = Fixture::online(with, &[&server]);
    fixture.fill(&locked(spread(&[&server], 0))).unwrap();
    let large = "x".repeat(10_000);
    let mut client = fixture.client();
    let began = Instant::now();
    for _ in 0..30 {
        client.send(&["SET", "k", &large]);
    }
    client.send(&["ECHO", "last"]);
    let replies: Vec<String> = (0..31).map(|_| client.read().text()).collect();
    assert!(began.elapsed() > Duration::from_secs(1));
    let count = |text: &str| replies.iter().filter(|reply| *reply == text).count() as u64;
    let late = count("-ERR handle request, slot is locked for too long");
    let full = count("-ERR handle request, too many requests wait for locked or migrating slots");
    assert_eq!(late + full, 30, "{replies:?}");
    assert!(
        (5..=10).contains(&late),
        "half of 200 KiB for each of two workers: {late}"
    );
    assert_eq!(replies[30], "last");
    assert_eq!(metric(&fixture, "slot_wait_timeouts_total"), late);
    assert_eq!(metric(&fixture, "slot_wait_refusals_total"), full);
    assert_eq!(server.run(&["EXISTS", "k"]).text(), "0");
}
