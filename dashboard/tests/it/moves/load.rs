//! Clients that increment counters and know how often they were answered.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use codis_core::slot::SlotId;

use crate::plain::{Client, wait_for};

/// What a proxy says when a server went away with a write that was sent to it.
const UNKNOWN: &str = "outcome of the write is unknown";
/// Increments that count as a warm-up, and as proof that it goes on.
const SOME: u64 = 300;

/// Increments that were answered, and those that may have been made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    answered: u64,
    unknown: u64,
}

impl Counted {
    pub const fn contains(&self, value: u64) -> bool {
        self.answered <= value && value <= self.answered + self.unknown
    }
}

/// No client waits longer for an answer.
const STUCK_MAX: Duration = Duration::from_secs(60);

type Ledger = BTreeMap<(u32, String), Counted>;

#[derive(Default)]
struct Shared {
    ledger: Mutex<Ledger>,
    errors: Mutex<Vec<String>>,
    answered: AtomicU64,
    stop: AtomicBool,
}

/// One client of each proxy in each database.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(proxies: Vec<String>, keys: Vec<String>, databases: u32) -> Self {
        let shared = Arc::new(Shared::default());
        let mut clients = Vec::new();
        for (db, proxy) in (0..databases).flat_map(|db| proxies.iter().map(move |p| (db, p))) {
            let (proxy, keys, shared) = (proxy.clone(), keys.clone(), shared.clone());
            clients.push(std::thread::spawn(move || run(&proxy, db, &keys, &shared)));
        }
        Self { shared, clients }
    }

    /// Waits until clients have written for a while.
    pub fn warm_up(&self) {
        self.go_on();
    }

    /// Waits for some more answers: nobody is stuck.
    pub fn go_on(&self) {
        let before = self.shared.answered.load(Ordering::Relaxed);
        wait_for("clients are answered", || {
            self.shared.answered.load(Ordering::Relaxed) >= before + SOME
        });
    }

    /// Ends all clients and gives what they know; errors are fine when a server was killed.
    pub fn stop(self, may_fail: bool) -> Ledger {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client");
        }
        let errors = self.shared.errors.lock().unwrap();
        assert!(may_fail || errors.is_empty(), "{errors:?}");
        self.shared.ledger.lock().unwrap().clone()
    }
}

fn run(proxy: &str, db: u32, keys: &[String], shared: &Shared) {
    let mut client = Client::connect(proxy);
    // A proxy may be stopped for a while.
    client.stream.set_read_timeout(Some(STUCK_MAX)).unwrap();
    client.text(&["SELECT", &db.to_string()]);
    let mut round = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        round += 7;
        let key = &keys[round % keys.len()];
        let reply = client.text(&["INCR", key]);
        let mut ledger = shared.ledger.lock().unwrap();
        let counted = ledger.entry((db, key.clone())).or_default();
        if reply.parse::<u64>().is_ok() {
            counted.answered += 1;
            shared.answered.fetch_add(1, Ordering::Relaxed);
        } else {
            counted.unknown += u64::from(reply.contains(UNKNOWN));
            let mut errors = shared.errors.lock().unwrap();
            if errors.len() < 10 {
                errors.push(format!("INCR {key}: {reply}"));
            }
        }
    }
}

/// Keys of each slot of a range.
pub fn keys_of(slots: Range<u16>, count: usize) -> Vec<String> {
    let mut found: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for n in 0.. {
        let key = format!("counter:{n}");
        let slot = SlotId::of_key(key.as_bytes()).get();
        if slots.contains(&slot) {
            let keys = found.entry(slot).or_default();
            if keys.len() < count {
                keys.push(key);
            }
        }
        let full = found.values().filter(|keys| keys.len() == count).count();
        if full == slots.len() {
            break;
        }
    }
    found.into_values().flatten().collect()
}
