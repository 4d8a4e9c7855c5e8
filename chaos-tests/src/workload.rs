//! Continuous verified traffic through every proxy to every group.
//!
//! A writer appends 1, 2, 3, ... to a list of its own, one request at a time, and notes when each
//! was sent and what came back. A list keeps everything: a write that was lost leaves a gap, one
//! that was executed twice stands there twice, and later writes cover up neither. A reader looks at
//! the end of lists that are written through the *other* proxy, and knows what was acknowledged
//! when it asked.

mod client;
mod history;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use codis_core::addr::Addr;
use codis_core::slot::SlotId;

use crate::layout::Layout;

pub use client::{Client, PATIENCE, Timed};
pub use history::{History, Lane, LaneKind, Op, Outcome};

/// Writers for each proxy and group.
const WRITERS: usize = 2;
/// Pause after each operation of a connection: enough load to hit every moment, little enough to
/// leave two cores to the servers.
const PACE: Duration = Duration::from_millis(4);
/// What one connection may note; at its pace, several minutes.
const OPS_MAX: usize = 100_000;

/// A range of slots that has clients of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The name of its lanes: the group of the layout that owns the slots, or 0 for slots that
    /// change groups.
    pub group: u32,
    /// The slots, both ends included.
    pub slots: (u16, u16),
}

/// Traffic that goes on until it is stopped.
pub struct Workload {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(Lane, Vec<Op>)>>,
    acked: Vec<(u32, Arc<AtomicU64>)>,
}

/// A list that one writer appends to.
#[derive(Clone)]
struct Target {
    group: u32,
    key: String,
    proxy: Addr,
    /// The highest number that the writer got an acknowledgement for.
    acked: Arc<AtomicU64>,
}

impl Workload {
    /// Starts traffic to every group; `run` makes the keys differ from those of other runs.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(layout: &Layout, run: &str) -> anyhow::Result<Self> {
        Self::start_on(layout, &places(layout), run)
    }

    /// Starts traffic to slots of these places.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start_on(layout: &Layout, places: &[Place], run: &str) -> anyhow::Result<Self> {
        let proxies: Vec<_> = layout.proxies().map(|proxy| proxy.addr.clone()).collect();
        let targets = targets(places, &proxies, run);
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for target in targets.clone() {
            let stop = stop.clone();
            threads.push(spawn(move || write_on(target, &stop))?);
        }
        for place in places {
            for proxy in &proxies {
                let other =
                    |target: &&Target| target.group == place.group && target.proxy != *proxy;
                let watched: Vec<_> = targets.iter().filter(other).cloned().collect();
                let (stop, proxy, group) = (stop.clone(), proxy.clone(), place.group);
                threads.push(spawn(move || read_on(proxy, group, &watched, &stop))?);
            }
        }
        let acked = targets.into_iter().map(|t| (t.group, t.acked)).collect();
        Ok(Self {
            stop,
            threads,
            acked,
        })
    }

    /// The fewest writes acknowledged to any writer.
    pub fn acked_min(&self) -> u64 {
        let counts = self
            .acked
            .iter()
            .map(|(_, acked)| acked.load(Ordering::Relaxed));
        counts.min().unwrap_or(0)
    }

    /// The highest number acknowledged to each writer of `group`, in a fixed order.
    pub fn acked(&self, group: u32) -> Vec<u64> {
        let of_group = self.acked.iter().filter(|(id, _)| *id == group);
        of_group
            .map(|(_, acked)| acked.load(Ordering::Relaxed))
            .collect()
    }

    /// Ends the traffic and gives what happened.
    ///
    /// # Errors
    /// A thread panicked.
    pub fn stop(mut self) -> anyhow::Result<History> {
        self.stop.store(true, Ordering::Relaxed);
        let mut history = History::default();
        for thread in self.threads.drain(..) {
            let (lane, ops) = thread.join().ok().context("a client thread panicked")?;
            history.add(lane, ops);
        }
        Ok(history)
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn spawn<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    std::thread::Builder::new()
        .name("client".to_owned())
        .spawn(work)
}

/// The groups of the layout, with the slots that they start with.
pub fn places(layout: &Layout) -> Vec<Place> {
    let groups = layout.groups.iter();
    groups
        .map(|group| Place {
            group: group.id,
            slots: group.slots,
        })
        .collect()
}

fn targets(places: &[Place], proxies: &[Addr], run: &str) -> Vec<Target> {
    let mut targets = Vec::new();
    for place in places {
        for proxy in proxies {
            for _ in 0..WRITERS {
                let number = targets.len();
                targets.push(Target {
                    group: place.group,
                    key: key_in(*place, run, number as u32),
                    proxy: proxy.clone(),
                    acked: Arc::new(AtomicU64::new(0)),
                });
            }
        }
    }
    targets
}

/// A key with a hash tag that lands it in a slot of `place`; every number has tags of its own, so
/// that keys of one place are in different slots.
fn key_in(place: Place, run: &str, number: u32) -> String {
    let key = |tag: u32| format!("drill:{run}:{number}:{{{number}.{tag}}}");
    let in_place = |key: &String| {
        let slot = SlotId::of_key(key.as_bytes()).get();
        (place.slots.0..=place.slots.1).contains(&slot)
    };
    let mut keys = (0u32..).map(key);
    keys.find(in_place).unwrap_or_default()
}

fn write_on(target: Target, stop: &AtomicBool) -> (Lane, Vec<Op>) {
    let mut client = Client::new(target.proxy.clone());
    let mut ops = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) && ops.len() < OPS_MAX {
        number += 1;
        let timed: Timed<i64> = client.call(&["RPUSH", &target.key, &number.to_string()]);
        if timed.answer.is_ok() {
            target.acked.store(number, Ordering::Relaxed);
        }
        ops.push(Op::write(number, &timed));
        std::thread::sleep(PACE);
    }
    let lane = Lane {
        proxy: target.proxy,
        group: target.group,
        kind: LaneKind::Writer { key: target.key },
    };
    (lane, ops)
}

fn read_on(proxy: Addr, group: u32, watched: &[Target], stop: &AtomicBool) -> (Lane, Vec<Op>) {
    let mut client = Client::new(proxy.clone());
    let mut ops = Vec::new();
    for target in watched.iter().cycle() {
        if stop.load(Ordering::Relaxed) || ops.len() >= OPS_MAX {
            break;
        }
        let acked = target.acked.load(Ordering::Relaxed);
        let timed: Timed<Option<u64>> = client.call(&["LINDEX", &target.key, "-1"]);
        ops.push(Op::read(acked, &timed));
        std::thread::sleep(PACE);
    }
    let lane = Lane {
        proxy,
        group,
        kind: LaneKind::Reader,
    };
    (lane, ops)
}

/// Everything that `key` holds, read through `proxy`, tried until `deadline`.
///
/// # Errors
/// The last error when the deadline has passed.
pub fn read_list(proxy: &Addr, key: &str, deadline: Instant) -> anyhow::Result<Vec<u64>> {
    let mut client = Client::new(proxy.clone());
    loop {
        let timed: Timed<Vec<u64>> = client.call(&["LRANGE", key, "0", "-1"]);
        match timed.answer {
            Ok(list) => return Ok(list),
            Err(text) if Instant::now() >= deadline => {
                anyhow::bail!("read {key} through {proxy}: {text}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Net;

    #[test]
    fn every_group_is_written_through_every_proxy() {
        let layout = Layout::six_hosts(Net::STANDARD);
        let proxies: Vec<_> = layout.proxies().map(|proxy| proxy.addr.clone()).collect();
        let targets = targets(&places(&layout), &proxies, "x");
        assert_eq!(targets.len(), 3 * 2 * WRITERS);
        let slots: Vec<_> = targets
            .iter()
            .map(|t| SlotId::of_key(t.key.as_bytes()))
            .collect();
        let alike = |at: usize| slots[at + 1..].contains(&slots[at]);
        assert!(!(0..slots.len()).any(alike), "each has a slot of its own");
        for target in targets {
            let slot = SlotId::of_key(target.key.as_bytes()).get();
            let group = &layout.groups[target.group as usize - 1];
            assert!((group.slots.0..=group.slots.1).contains(&slot));
        }
    }
}
