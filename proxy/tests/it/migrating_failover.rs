//! Requests of migrating slots when an owner changes under them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use codis_core::epoch::Epoch;
use codis_proxy::route::Pair;

use super::double::Double;
use super::harness::{Text, settings, slot, wait_for};
use super::migrating::{Migration, tagged};

#[test]
fn a_failover_of_the_old_owner_re_points_what_waits() {
    for method in [0, 1] {
        let m = Migration::begin(method, settings());
        m.at_old(&["SET", "{t}a", "1"]);
        let mut client = m.client();
        m.old.die();
        client.send(&["INCR", "{t}a"]);
        assert!(client.is_silent_for(Duration::from_millis(100)));
        let next = Double::before(&m.old_data);
        let pair = Pair {
            epoch: Epoch(3),
            master: next.addr.clone(),
        };
        m.fixture.proxy().control.adopt(1, pair, "test");
        assert_eq!(client.read().text(), "2");
        assert_eq!(client.text(&["INCR", "{t}a"]), "3");
        let shown = &m.fixture.slot_table()[usize::from(tagged())];
        assert_eq!(shown.migrate_from, next.addr);
        assert_eq!(shown.migrate_from_epoch, Epoch(3));
    }
}

#[test]
fn a_failover_of_the_new_owner_re_points_what_waits() {
    for method in [0, 1] {
        let m = Migration::begin(method, settings());
        m.at_old(&["SET", "{t}a", "1"]);
        m.at_new(&["SET", "{t}b", "1"]);
        m.new.die();
        let (mut one, mut other) = (m.client(), m.client());
        one.send(&["INCR", "{t}b"]);
        other.send(&["INCR", "{t}a"]);
        assert!(one.is_silent_for(Duration::from_millis(100)));
        let next = Double::before(&m.new_data);
        let pair = Pair {
            epoch: Epoch(3),
            master: next.addr.clone(),
        };
        m.fixture.proxy().control.adopt(2, pair, "test");
        assert_eq!(one.read().text(), "2");
        assert_eq!(other.read().text(), "2");
    }
}

/// A wrapped write that was sent to an owner which then died may have run.
#[test]
fn a_wrapped_write_without_an_answer_is_never_sent_again() {
    let m = Migration::semi_async();
    m.at_old(&["SET", "{t}a", "1"]);
    let mut client = m.client();
    assert_eq!(client.text(&["GET", "{t}a"]), "1");
    m.old.knobs().hang.store(true, Ordering::Relaxed);
    let before = m.old.knobs().seen("SLOTSMGRT-EXEC-WRAPPER");
    client.send(&["INCR", "{t}a"]);
    wait_for("the write is there", || {
        m.old.knobs().seen("SLOTSMGRT-EXEC-WRAPPER") > before
    });
    let next = Double::before(&m.old_data);
    let pair = Pair {
        epoch: Epoch(3),
        master: next.addr.clone(),
    };
    m.fixture.proxy().control.adopt(1, pair, "test");
    let told = client.read().text();
    assert!(told.contains("outcome of the write is unknown"), "{told}");
    assert_eq!(next.knobs().seen("SLOTSMGRT-EXEC-WRAPPER"), 0);
    assert_eq!(client.text(&["GET", "{t}a"]), "1", "a new request goes on");
}

#[test]
fn a_move_that_is_rolled_back_sends_what_waits_to_the_old_owner() {
    for method in [0, 1] {
        let m = Migration::begin(method, settings());
        m.at_old(&["SET", "{t}a", "1"]);
        m.old.knobs().hang.store(true, Ordering::Relaxed);
        let mut client = m.client();
        client.send(&["GET", "{t}a"]);
        client.send(&["INCR", "{t}a"]);
        let mut back = m.form(method);
        back.locked = true;
        std::thread::scope(|scope| {
            scope.spawn(|| m.fixture.fill(&[back]).unwrap());
            std::thread::sleep(Duration::from_millis(100));
            m.old.knobs().hang.store(false, Ordering::Relaxed);
        });
        m.fixture
            .fill(&[slot(tagged(), 1, &m.old.addr, 0)])
            .unwrap();
        let got = client.read().text();
        let expected = if m.at_new(&["EXISTS", "{t}a"]) == "1" {
            "(nil)"
        } else {
            "1"
        };
        assert_eq!(got, expected);
        client.read();
    }
}
