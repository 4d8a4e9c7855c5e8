//! Filling slots: the barrier, locks, and what is refused.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use codis_bed::process::Signal;
use codis_core::slot::SlotId;

use super::harness::{Client, Fixture, Server, Text, patient, settings, slot, spread, wait_for};

/// Sends a request to a stopped server and waits until it is in flight there.
fn send_in_flight(fixture: &Fixture, client: &mut Client, args: &[&str]) {
    let before = fixture.stats().ops.total;
    client.send(args);
    wait_for("the request is decoded", || {
        fixture.stats().ops.total > before
    });
}

#[test]
fn a_move_waits_for_what_is_in_flight() {
    let (a, b) = (Server::start(&[]), Server::start(&[]));
    let fixture = Fixture::online(patient(), &[&a]);
    let id = SlotId::of_key(b"k").get();
    let mut client = fixture.client();
    client.text(&["SET", "k", "v"]);
    a.signal(Signal::STOP);
    send_in_flight(&fixture, &mut client, &["APPEND", "k", "1"]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            fixture.fill(&[slot(id, 2, &b.addr(), 0)]).unwrap();
            done.store(true, Ordering::Relaxed);
        });
        assert!(client.is_silent_for(Duration::from_millis(200)));
        assert!(!done.load(Ordering::Relaxed), "the fill waits");
        a.signal(Signal::CONT);
        assert_eq!(
            client.read().text(),
            "2",
            "the request in flight ended at the old owner"
        );
    });
    assert_eq!(
        client.text(&["APPEND", "k", "x"]),
        "1",
        "the next one is at the new owner"
    );
}

#[test]
fn a_hung_backend_does_not_keep_a_fill() {
    let (a, b) = (Server::start(&[]), Server::start(&[]));
    let fixture = Fixture::online(settings(), &[&a]);
    let id = SlotId::of_key(b"k").get();
    let mut client = fixture.client();
    client.text(&["SET", "k", "v"]);
    a.signal(Signal::STOP);
    send_in_flight(&fixture, &mut client, &["SET", "k", "hangs"]);
    let began = Instant::now();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            fixture.fill(&[slot(id, 2, &b.addr(), 0)]).unwrap();
            done.store(true, Ordering::Relaxed);
        });
        let mut asked = 0;
        while !done.load(Ordering::Relaxed) {
            fixture.stats();
            asked += 1;
        }
        assert!(asked > 1, "statistics wait for the fill");
    });
    // It waits for half of the hold of 3 s; the server hangs until the end of this test.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert!(
        client
            .read()
            .text()
            .contains("outcome of the write is unknown")
    );
    a.signal(Signal::CONT);
}

#[test]
fn a_locked_slot_holds_its_requests_and_no_others() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let id = SlotId::of_key(b"k").get();
    let mut locked = slot(id, 1, &server.addr(), 0);
    locked.locked = true;
    fixture.fill(&[locked]).unwrap();
    let mut held = fixture.client();
    held.send(&["SET", "k", "held"]);
    assert!(held.is_silent_for(Duration::from_millis(200)));
    assert_eq!(fixture.client().text(&["SET", "other", "v"]), "OK");
    assert_eq!(server.run(&["EXISTS", "k"]).text(), "0");
    fixture.fill(&[slot(id, 1, &server.addr(), 0)]).unwrap();
    assert_eq!(held.read().text(), "OK");
}

#[test]
fn a_lock_that_stays_fails_requests_after_the_wait() {
    let server = Server::start(&[]);
    let mut with = settings();
    with.slot_wait_timeout = codis_core::units::TimeSpan::from_millis(300);
    let fixture = Fixture::online(with, &[&server]);
    let mut locked = spread(&[&server], 0);
    for slot in &mut locked {
        slot.locked = true;
    }
    fixture.fill(&locked).unwrap();
    let told = fixture.client().text(&["SET", "k", "v"]);
    assert_eq!(told, "-ERR handle request, slot is locked for too long");
}

#[test]
fn what_cannot_be_routed_is_refused_and_nothing_is_applied() {
    let server = Server::start(&[]);
    let fixture = Fixture::online(settings(), &[&server]);
    let mut migrating = slot(3, 2, "127.0.0.1:1", 0);
    migrating.migrate_from = server.addr();
    migrating.forward_method = 2;
    let refused = fixture
        .fill(&[slot(2, 2, "127.0.0.1:1", 0), migrating])
        .unwrap_err();
    let text = "use of invalid forwarder method";
    assert!(refused.contains(text), "{refused}");
    let refused = fixture.fill(&[slot(1024, 1, "a:1", 0)]).unwrap_err();
    assert!(refused.contains("use of invalid slot id"), "{refused}");
    let refused = fixture
        .put_body("fillslots", &serde_json::json!({"id": 1}))
        .unwrap_err();
    assert!(refused.contains("invalid JSON body"), "{refused}");
    assert_eq!(fixture.slot_table()[2].backend_addr, server.addr());
}

/// A barrier has nothing to wait for at a server that is gone; what waits for it moves along,
/// through a lock too, and runs once and in order.
#[test]
fn a_move_takes_along_what_waits_for_a_dead_server() {
    let (mut a, b) = (Server::start(&[]), Server::start(&[]));
    let fixture = Fixture::online(patient(), &[&a]);
    let id = SlotId::of_key(b"k").get();
    let mut client = fixture.client();
    client.text(&["SET", "k", "v"]);
    a.kill();
    for letter in ["1", "2", "3"] {
        send_in_flight(&fixture, &mut client, &["APPEND", "k", letter]);
    }
    let mut locked = slot(id, 1, &a.addr(), 0);
    locked.locked = true;
    let began = Instant::now();
    fixture.fill(&[locked]).unwrap();
    send_in_flight(&fixture, &mut client, &["APPEND", "k", "4"]);
    fixture.fill(&[slot(id, 2, &b.addr(), 0)]).unwrap();
    // A barrier that waited for it would do so for half of the hold.
    let took = began.elapsed();
    assert!(took < patient().ha_hold.duration() / 2, "{took:?}");
    for length in ["1", "2", "3", "4"] {
        assert_eq!(client.read().text(), length);
    }
    assert_eq!(b.run(&["GET", "k"]).text(), "1234");
}
