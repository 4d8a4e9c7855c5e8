//! A whole slot moves from one server to another under load, and a checker counts.
//!
//! Clients increment counters that they share, and write, read back and delete keys of their own,
//! in two databases, with small and large values, one by one and in pipelines. Each increment that
//! was answered is there once in the end, and nobody ever reads anything but what was written.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use codis_core::api::Slot;
use codis_core::epoch::Epoch;
use codis_core::slot::SlotId;
use codis_proxy::route::Pair;

use super::double::Double;
use super::harness::{Client, Fixture, SOON, Server, Text, settings, slot, wait_for};

const CLIENTS: usize = 4;
const DATABASES: u32 = 2;
const UNKNOWN: &str = "outcome of the write is unknown";

/// Keys of the slot of `{m}`: some share that tag, most have none.
fn keys(family: &str, count: usize) -> Vec<String> {
    let id = SlotId::of_key(b"{m}");
    let plain = (0..).map(|n| format!("{family}:{n}"));
    let plain = plain.filter(|key| SlotId::of_key(key.as_bytes()) == id);
    let tagged = (0..).map(|n| format!("{{m}}{family}:{n}"));
    plain
        .take(count - count / 4)
        .chain(tagged.take(count / 4))
        .collect()
}

/// What the clients know, by database and counter: answered, and perhaps run.
#[derive(Default)]
struct Ledger {
    counts: Mutex<BTreeMap<(u32, String), (u64, u64)>>,
    requests: AtomicU64,
    stop: AtomicBool,
}

impl Ledger {
    fn count(&self, db: u32, key: &str, reply: &str) {
        let mut counts = self.counts.lock().unwrap();
        let (answered, unknown) = counts.entry((db, key.to_owned())).or_default();
        if reply.contains(UNKNOWN) {
            *unknown += 1;
        } else {
            assert!(reply.parse::<u64>().is_ok(), "INCR {key}: {reply}");
            *answered += 1;
        }
    }
}

struct Worker<'a> {
    client: Client,
    db: u32,
    name: String,
    ledger: &'a Ledger,
    own: Vec<String>,
    values: BTreeMap<String, String>,
    may_fail: bool,
}

impl Worker<'_> {
    fn run(mut self, counters: &[String]) {
        let mut round = 0;
        while !self.ledger.stop.load(Ordering::Relaxed) {
            round += 1;
            let counter = &counters[(round * 7) % counters.len()];
            let reply = self.client.text(&["INCR", counter]);
            self.ledger.count(self.db, counter, &reply);
            self.pipeline(counters, round);
            self.own_keys(round);
            self.ledger.requests.fetch_add(10, Ordering::Relaxed);
        }
    }

    fn pipeline(&mut self, counters: &[String], round: usize) {
        let chosen: Vec<&String> = (0..5)
            .map(|n| &counters[(round + n) % counters.len()])
            .collect();
        for counter in &chosen {
            self.client.send(&["INCR", counter]);
        }
        for counter in chosen {
            let reply = self.client.read().text();
            self.ledger.count(self.db, counter, &reply);
        }
    }

    /// Nobody else writes these, so what is read is what was written last.
    fn own_keys(&mut self, round: usize) {
        let key = self.own[round % self.own.len()].clone();
        let size = if round.is_multiple_of(13) {
            200_000
        } else {
            10
        };
        let value = format!("{}:{round}:{}", self.name, "x".repeat(size));
        self.client.send(&["SET", &key, &value]);
        self.client.send(&["GET", &key]);
        let (set, got) = (self.client.read().text(), self.client.read().text());
        if set == "OK" {
            assert!(got == value, "{key}: read {:.60}, wrote {value:.60}", got);
            self.values.insert(key.clone(), value);
        } else {
            assert!(self.may_fail && set.contains(UNKNOWN), "SET {key}: {set}");
            self.values.remove(&key);
        }
        let other = &self.own[(round * 3) % self.own.len()];
        let got = self.client.text(&["GET", other]);
        match self.values.get(other) {
            Some(known) => assert!(got == *known, "{other}: read {got:.60}, wrote {known:.60}"),
            None if self.may_fail => {}
            None => assert_eq!(got, "(nil)", "{other}"),
        }
        if round.is_multiple_of(5) && !self.may_fail {
            let gone = self.client.text(&["DEL", &key, other]);
            let expected = [&key, other]
                .into_iter()
                .filter(|k| self.values.remove(*k).is_some());
            assert_eq!(gone, expected.count().to_string());
        }
    }
}

/// Two servers, one proxy, and the slot that goes from the first to the second.
struct Stage {
    old_data: Server,
    new_data: Server,
    old: Double,
    new: Double,
    fixture: Fixture,
    id: u16,
    method: u8,
}

impl Stage {
    fn new(method: u8) -> Self {
        let (old_data, new_data) = (Server::start(&[]), Server::start(&[]));
        let (old, new) = (Double::before(&old_data), Double::before(&new_data));
        let fixture = Fixture::start(settings());
        let all: Vec<Slot> = (0..1024).map(|id| slot(id, 1, &old.addr, 1)).collect();
        fixture.fill(&all).unwrap();
        fixture.put("start").unwrap();
        old.knobs().batch_millis.store(3, Ordering::Relaxed);
        Self {
            old_data,
            new_data,
            old,
            new,
            fixture,
            id: SlotId::of_key(b"{m}").get(),
            method,
        }
    }

    fn form(&self, from: &str, locked: bool) -> Slot {
        self.form_to(&self.new, from, locked)
    }

    fn form_to(&self, to: &Double, from: &str, locked: bool) -> Slot {
        Slot {
            migrate_from: from.to_owned(),
            migrate_from_group_id: if from.is_empty() { 0 } else { 1 },
            forward_method: self.method,
            locked,
            ..slot(self.id, 2, &to.addr, 0)
        }
    }

    /// Moves what is there, like the dashboard does, until nothing is left or `until` says so.
    fn move_all(&self, from: &Double, to: &Double, until: impl Fn() -> bool) {
        let (host, port) = to.addr.rsplit_once(':').unwrap();
        let slot = self.id.to_string();
        for db in 0..DATABASES {
            let mut mover = from.client();
            mover.text(&["SELECT", &db.to_string()]);
            while !until() {
                let told = if self.method == 0 {
                    mover.text(&["SLOTSMGRTTAGSLOT", host, port, "3000", &slot])
                } else {
                    let name = "SLOTSMGRTTAGSLOT-ASYNC";
                    mover.text(&[name, host, port, "3000", "200", "33554432", &slot, "7"])
                };
                if told.ends_with(" 0") {
                    break;
                }
                assert!(!told.starts_with('-'), "{told}");
            }
        }
    }

    fn run(&self, may_fail: bool, play: impl FnOnce(&Ledger)) {
        let ledger = Ledger::default();
        let counters = keys("counter", 40);
        std::thread::scope(|scope| {
            for n in 0..CLIENTS {
                let mut client = self.fixture.client();
                let db = n as u32 % DATABASES;
                client.text(&["SELECT", &db.to_string()]);
                let worker = Worker {
                    client,
                    db,
                    name: format!("client {n}"),
                    ledger: &ledger,
                    own: keys(&format!("own{n}"), 20),
                    values: BTreeMap::new(),
                    may_fail,
                };
                let counters = &counters;
                scope.spawn(move || {
                    let ledger = worker.ledger;
                    let _stop = StopAll(ledger);
                    worker.run(counters);
                });
            }
            let _stop = StopAll(&ledger);
            self.progress(&ledger);
            play(&ledger);
            self.progress(&ledger);
        });
        self.check(&ledger);
    }

    /// Waits until the clients have done some more.
    fn progress(&self, ledger: &Ledger) {
        let before = ledger.requests.load(Ordering::Relaxed);
        wait_for("clients go on", || {
            ledger.requests.load(Ordering::Relaxed) > before + 500
                || ledger.stop.load(Ordering::Relaxed)
        });
    }

    fn check(&self, ledger: &Ledger) {
        let counts = ledger.counts.lock().unwrap();
        assert!(counts.len() > 40, "both databases were used");
        let mut new = self.new_data.client();
        for ((db, key), (answered, unknown)) in counts.iter() {
            new.text(&["SELECT", &db.to_string()]);
            let value: u64 = new.text(&["GET", key]).parse().unwrap_or(0);
            let range = *answered..=answered + unknown;
            assert!(
                range.contains(&value),
                "db {db} {key}: {value}, not in {range:?}"
            );
        }
        assert_eq!(self.old_data.run(&["DBSIZE"]).text(), "0");
    }
}

/// Ends the clients when a thread is done, or fails.
struct StopAll<'a>(&'a Ledger);

impl Drop for StopAll<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

fn a_slot_moves_under_load(method: u8) {
    let stage = Stage::new(method);
    let from = stage.old.addr.clone();
    stage.run(false, |ledger| {
        stage.fixture.fill(&[stage.form(&from, true)]).unwrap();
        stage.fixture.fill(&[stage.form(&from, false)]).unwrap();
        stage.progress(ledger);
        stage.move_all(&stage.old, &stage.new, || false);
        stage.progress(ledger);
        stage.fixture.fill(&[stage.form("", false)]).unwrap();
    });
    let wrapped = stage.old.knobs().seen("SLOTSMGRT-EXEC-WRAPPER");
    let moved = stage.old.knobs().seen("SLOTSMGRTTAGONE");
    assert_eq!(wrapped > 0, method == 1);
    assert_eq!(moved > 0, method == 0);
}

#[test]
fn a_slot_moves_under_load_by_the_sync_method() {
    a_slot_moves_under_load(0);
}

#[test]
fn a_slot_moves_under_load_by_the_semi_async_method() {
    a_slot_moves_under_load(1);
}

/// The old owner dies in the middle, and its successor (with the same data) finishes the move.
fn an_old_owner_dies_under_load(method: u8) {
    let stage = Stage::new(method);
    let from = stage.old.addr.clone();
    let began = Instant::now();
    let next = Double::before(&stage.old_data);
    stage.run(true, |ledger| {
        stage.fixture.fill(&[stage.form(&from, true)]).unwrap();
        stage.fixture.fill(&[stage.form(&from, false)]).unwrap();
        let enough = || began.elapsed() > SOON;
        let some = || stage.new_data.run(&["DBSIZE"]).text() != "0" || enough();
        stage.move_all(&stage.old, &stage.new, some);
        stage.old.die();
        std::thread::sleep(Duration::from_millis(200));
        let pair = Pair {
            epoch: Epoch(5),
            master: next.addr.clone(),
        };
        stage.fixture.proxy().control.adopt(1, pair, "test");
        stage.progress(ledger);
        stage.move_all(&next, &stage.new, || false);
        stage.fixture.fill(&[stage.form("", false)]).unwrap();
    });
}

#[test]
fn an_old_owner_dies_under_load_by_the_sync_method() {
    an_old_owner_dies_under_load(0);
}

#[test]
fn an_old_owner_dies_under_load_by_the_semi_async_method() {
    an_old_owner_dies_under_load(1);
}

/// The new owner dies in the middle, and its successor (with the same data) takes the rest.
fn a_new_owner_dies_under_load(method: u8) {
    let stage = Stage::new(method);
    let from = stage.old.addr.clone();
    let began = Instant::now();
    let next = Double::before(&stage.new_data);
    stage.run(true, |ledger| {
        stage.fixture.fill(&[stage.form(&from, true)]).unwrap();
        stage.fixture.fill(&[stage.form(&from, false)]).unwrap();
        let enough = || began.elapsed() > SOON;
        let some = || stage.new_data.run(&["DBSIZE"]).text() != "0" || enough();
        stage.move_all(&stage.old, &stage.new, some);
        stage.new.die();
        std::thread::sleep(Duration::from_millis(200));
        let pair = Pair {
            epoch: Epoch(5),
            master: next.addr.clone(),
        };
        stage.fixture.proxy().control.adopt(2, pair, "test");
        stage.progress(ledger);
        stage.move_all(&stage.old, &next, || false);
        stage
            .fixture
            .fill(&[stage.form_to(&next, "", false)])
            .unwrap();
    });
}

#[test]
fn a_new_owner_dies_under_load_by_the_sync_method() {
    a_new_owner_dies_under_load(0);
}

#[test]
fn a_new_owner_dies_under_load_by_the_semi_async_method() {
    a_new_owner_dies_under_load(1);
}
