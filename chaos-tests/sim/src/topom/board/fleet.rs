//! The rows of all proxies, who waits for them, and the calls that they make, after the dashboard's
//! `push`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use codis_core::api::Slot;
use codis_core::ha::Term;
use codis_core::time::Time;
use codis_topom::Cluster;
use codis_topom::form::Viewer;
use codis_topom::forms::{Forms, Wanted};
use codis_topom::pulse::{self, Peerage, Pulse};
use codis_topom::row::{Effect, Row, Status};

use super::calls::{Calls, Purpose};
use super::owner::Owner;
use crate::topom::plan::SLOTS;
use crate::topom::sabotage::Sabotage;
use crate::topom::wire::{Body, ProxyAnswer, ProxyCall};

/// How long a call to a proxy may take.
const CALL_MAX: Duration = Duration::from_secs(3);

/// Who waits for proxies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waits {
    /// The mover, for a slot.
    Mover(u16),
    /// The promotion of a group.
    Promotion(u32),
    /// The poller, to lift a fence.
    Lift {
        /// Of whom.
        proxy: usize,
        /// For so many stalls.
        stalls: u64,
    },
    /// The poller, to let a proxy serve.
    Online(usize),
}

impl Waits {
    /// The one proxy that is waited for.
    const fn only(self) -> Option<usize> {
        match self {
            Self::Mover(_) | Self::Promotion(_) => None,
            Self::Lift { proxy, .. } | Self::Online(proxy) => Some(proxy),
        }
    }
}

#[derive(Debug)]
struct Waiter {
    who: Waits,
    slots: Vec<u16>,
    revision: u64,
    deadline: Time,
    /// Who was behind when it was looked last.
    behind: Vec<usize>,
    done: bool,
}

/// The row of a proxy process.
#[derive(Debug)]
struct Handle {
    /// Which life of the proxy it is of.
    start_time: String,
    /// Told apart from the rows before it.
    number: u64,
    row: Row,
    told: Status,
    digests: bool,
}

/// All rows.
#[derive(Debug)]
pub struct Fleet {
    term: Term,
    run: u64,
    fills: u64,
    numbers: u64,
    forms: Forms,
    wanted: Wanted,
    revision: u64,
    rows: BTreeMap<usize, Handle>,
    pulses: BTreeMap<usize, Pulse>,
    waiters: Vec<Waiter>,
    changed: bool,
    sabotage: Sabotage,
}

impl Fleet {
    /// No rows yet.
    pub fn new(term: Term, run: u64, sabotage: Sabotage) -> Self {
        Self {
            term,
            run,
            fills: 0,
            numbers: 0,
            forms: Forms::new(0),
            wanted: Arc::new([]),
            revision: 0,
            rows: BTreeMap::new(),
            pulses: BTreeMap::new(),
            waiters: Vec::new(),
            changed: false,
            sabotage,
        }
    }

    /// Takes the newest records over, and starts a row for each new proxy process.
    pub fn update(&mut self, now: Time, owner: &Owner) {
        if owner.revision == self.revision {
            return;
        }
        self.revision = owner.revision;
        self.wanted = self.forms_of(owner);
        let mut old = std::mem::take(&mut self.rows);
        for proxy in owner.cluster.proxies() {
            let at = proxy.pid as usize;
            let kept = old.remove(&at);
            let handle = match kept.filter(|row| row.start_time == proxy.start_time) {
                Some(handle) => handle,
                None => {
                    self.numbers += 1;
                    self.pulses.insert(at, Pulse::default());
                    Handle {
                        start_time: proxy.start_time.clone(),
                        number: self.numbers,
                        row: Row::new(now, true, at as u64),
                        told: Status::default(),
                        digests: true,
                    }
                }
            };
            self.rows.insert(at, handle);
        }
        for handle in self.rows.values_mut() {
            handle.row.handle_wanted(self.revision, self.wanted.clone());
        }
        self.changed = true;
    }

    /// The forms of the slots that the simulation uses.
    fn forms_of(&mut self, owner: &Owner) -> Wanted {
        let viewer = Viewer::default();
        let all = self.forms.of(owner.revision, &owner.cluster, &viewer);
        let used = all.iter().take(usize::from(SLOTS));
        if self.sabotage != Sabotage::NoLock {
            return used.cloned().collect();
        }
        used.map(|slot| {
            Arc::new(Slot {
                locked: false,
                ..Slot::clone(slot)
            })
        })
        .collect()
    }

    /// What is known of a proxy process.
    pub fn pulse(&mut self, proxy: usize) -> Option<&mut Pulse> {
        self.pulses.get_mut(&proxy)
    }

    /// Lets a row try again at once.
    pub fn nudge(&mut self, now: Time, proxy: usize) {
        if let Some(handle) = self.rows.get_mut(&proxy) {
            handle.row.handle_nudge(now);
        }
    }

    /// Lets a row know that its proxy is one of ours.
    pub fn is_ours(&mut self, now: Time, proxy: usize) {
        if let Some(handle) = self.rows.get_mut(&proxy) {
            handle.row.handle_ours(now);
        }
    }

    /// Sends a proxy everything again.
    pub fn refill(&mut self, now: Time, proxy: usize) {
        if let Some(handle) = self.rows.get_mut(&proxy) {
            handle.row.handle_refill(now, None);
        }
    }

    /// Waits until the proxies hold these slots as `revision` wants them.
    pub fn wait(
        &mut self,
        now: Time,
        cluster: &Cluster,
        who: Waits,
        (slots, revision): (&[u16], u64),
        limit: Duration,
    ) {
        for (proxy, handle) in &mut self.rows {
            let named = who.only().is_none_or(|only| only == *proxy);
            if named && !handle.row.holds(slots, revision) {
                handle.row.handle_nudge(now);
            }
        }
        let mut waiter = Waiter {
            who,
            slots: slots.to_vec(),
            revision,
            deadline: now + limit,
            behind: Vec::new(),
            done: false,
        };
        self.look(now, cluster, &mut waiter);
        self.waiters.push(waiter);
    }

    fn look(&self, now: Time, cluster: &Cluster, waiter: &mut Waiter) {
        let only = waiter.who.only();
        let named = |proxy: &usize| only.is_none_or(|only| only == *proxy);
        let proxies = cluster.proxies().map(|proxy| proxy.pid as usize);
        let behind = proxies.filter(named).filter(|proxy| {
            let row = self.rows.get(proxy);
            !row.is_some_and(|it| it.row.holds(&waiter.slots, waiter.revision))
        });
        let blocks = |proxy: &usize| {
            let peer = self.pulses.get(proxy).map(|pulse| pulse.peerage(now));
            only.is_some() || peer.unwrap_or(Peerage::Serving).blocks()
        };
        waiter.behind = behind.filter(blocks).collect();
        waiter.done = waiter.behind.is_empty();
    }

    /// Those whose wait is over, each with the proxies that are behind.
    pub fn ended(&mut self, now: Time, cluster: &Cluster) -> Vec<(Waits, Vec<usize>)> {
        for handle in self.rows.values_mut() {
            if handle.row.status() != &handle.told {
                handle.told.clone_from(handle.row.status());
                self.changed = true;
            }
        }
        let mut waiters = std::mem::take(&mut self.waiters);
        if std::mem::take(&mut self.changed) {
            for waiter in &mut waiters {
                self.look(now, cluster, waiter);
            }
        }
        let (over, rest) = waiters
            .into_iter()
            .partition(|waiter: &Waiter| waiter.done || waiter.deadline <= now);
        self.waiters = rest;
        over.into_iter().map(|it| (it.who, it.behind)).collect()
    }

    /// A proxy is something else to clients than before.
    pub const fn peer_changed(&mut self) {
        self.changed = true;
    }

    /// Makes the calls that rows want; `order` says whether a change may leave.
    pub fn call(&mut self, now: Time, order: bool, calls: &mut Calls) {
        let proxies: Vec<usize> = self.rows.keys().copied().collect();
        for proxy in proxies {
            while let Some(handle) = self.rows.get_mut(&proxy) {
                let Some(effect) = handle.row.poll_effect(now) else {
                    break;
                };
                let (term, row) = (self.term, handle.number);
                let (purpose, call) = match effect {
                    Effect::Look { id } => match handle.row.expected() {
                        Some(expected) if handle.digests => {
                            let expected = expected.clone();
                            let purpose = Purpose::Digest {
                                proxy,
                                row,
                                id,
                                expected,
                            };
                            (purpose, ProxyCall::Digest)
                        }
                        Some(_) | None => {
                            let purpose = Purpose::Slots { proxy, row, id };
                            (purpose, ProxyCall::Slots)
                        }
                    },
                    Effect::Fill { id, .. } if !order => {
                        let why = "this dashboard does not lead any more".to_owned();
                        handle.row.handle_failure(now, id, why);
                        continue;
                    }
                    Effect::Fill { id, slots } => {
                        self.fills += 1;
                        let purpose = Purpose::Fill { proxy, row, id };
                        let slots = slots.iter().map(|slot| Slot::clone(slot)).collect();
                        let (run, fill) = (self.run, self.fills);
                        (purpose, ProxyCall::Fill { run, fill, slots })
                    }
                };
                let body = Body::Proxy { proxy, term, call };
                calls.ask(purpose, CALL_MAX, body);
            }
        }
    }

    /// When to call again at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        let rows = self.rows.values().filter_map(|it| it.row.poll_timeout());
        let waiters = self.waiters.iter().map(|waiter| waiter.deadline);
        rows.chain(waiters).min()
    }

    /// A call of a row has ended.
    pub fn handle(&mut self, now: Time, purpose: Purpose, answer: Heard, calls: &mut Calls) {
        let (proxy, number, id) = match &purpose {
            Purpose::Digest { proxy, row, id, .. }
            | Purpose::Slots { proxy, row, id, .. }
            | Purpose::Fill { proxy, row, id, .. } => (*proxy, *row, *id),
            _ => return,
        };
        let Some(handle) = self.rows.get_mut(&proxy) else {
            return;
        };
        if handle.number != number {
            return;
        }
        if let Some(pulse) = self.pulses.get_mut(&proxy) {
            pulse.handle(answer.sign());
        }
        match (purpose, answer) {
            (Purpose::Digest { expected, .. }, Heard::Answer(ProxyAnswer::Slots(seen)))
                if self.sabotage == Sabotage::TrustLiars || is_same(&expected, &seen) =>
            {
                handle.row.handle_unchanged(now, id);
            }
            (Purpose::Digest { .. }, Heard::Answer(answer)) => {
                handle.digests &= answer != ProxyAnswer::Unknown;
                let (term, row) = (self.term, number);
                let purpose = Purpose::Slots { proxy, row, id };
                let call = ProxyCall::Slots;
                calls.ask(purpose, CALL_MAX, Body::Proxy { proxy, term, call });
            }
            (Purpose::Slots { .. }, Heard::Answer(ProxyAnswer::Slots(seen))) => {
                handle.row.handle_seen(now, id, seen);
            }
            (Purpose::Fill { .. }, Heard::Answer(ProxyAnswer::Done)) => {
                handle.row.handle_filled(now, id);
            }
            (_, answer) => handle.row.handle_failure(now, id, format!("{answer:?}")),
        }
    }
}

/// What a call to a proxy brought back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// An answer.
    Answer(ProxyAnswer),
    /// Nobody listens.
    Refused,
    /// Nothing in time.
    Nothing,
}

impl Heard {
    /// What it shows of the process.
    pub const fn sign(&self) -> pulse::Heard {
        match self {
            Self::Answer(_) => pulse::Heard::Answer,
            Self::Refused => pulse::Heard::Refused,
            Self::Nothing => pulse::Heard::Timeout,
        }
    }
}

fn is_same(expected: &Wanted, seen: &[Slot]) -> bool {
    expected.len() == seen.len()
        && expected
            .iter()
            .zip(seen)
            .all(|(one, other)| **one == *other)
}
