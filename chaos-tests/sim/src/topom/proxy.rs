//! A proxy, as far as slot actions can see: routes, requests that wait and requests in flight,
//! fills that wait for those, the term, the order of fills, and the stall fence (docs/design/0007).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use codis_core::api::Slot;
use codis_core::ha::Term;
use codis_core::time::Time;

use super::plan::SLOTS;
use super::sabotage::Sabotage;
use super::wire::{Figures, Node, ProxyAnswer, ProxyCall};

/// How long a request may wait (`ha_hold`).
pub const HOLD: Duration = Duration::from_secs(3);
/// After half of it a fill cuts off what is in flight.
const DRAIN_MAX: Duration = Duration::from_millis(1500);
/// A gap that shows a stop.
const STALL_MIN: Duration = Duration::from_millis(2500);

/// A key: its slot, the client that owns it, and which of that client's keys there it is.
pub type Key = (u16, usize, u64);

/// Where an answer goes: a board, its life, the call.
pub type From = (usize, u64, u64);

/// A request of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op {
    /// Told apart from all others.
    pub id: u64,
    /// Whose.
    pub client: usize,
    /// Which key.
    pub key: Key,
    /// The value to write, or none to read.
    pub write: Option<u64>,
}

/// What a client is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// The value now.
    Done(Option<u64>),
    /// It did not happen.
    Failed,
    /// It may have happened, or may happen yet.
    Unknown,
}

/// What a proxy sends to a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leg {
    /// Move the key from here to that group.
    Tag {
        /// The target.
        to: Node,
    },
    /// Run the request.
    Run,
}

/// What a proxy does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Do {
    /// Answers a board.
    Answer(From, ProxyAnswer),
    /// Sends a request, or the move before it, to a server.
    Send {
        /// The request.
        op: Op,
        /// What of it.
        leg: Leg,
        /// The server.
        to: Node,
        /// This proxy is known to serve by routes that nobody vouches for.
        excused: bool,
    },
    /// Tells a client.
    Tell(Op, Told),
    /// Wants to be told the time then.
    Wake(Time),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Parked,
    Tagging { from: Node, to: Node },
    Running,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    op: Op,
    until: Time,
    at: At,
}

#[derive(Debug)]
struct Fill {
    from: From,
    stamp: (u64, u64),
    slots: Vec<Slot>,
    /// Those that are drained, and until when.
    draining: Option<(BTreeSet<u16>, Time)>,
}

/// One life of a proxy.
#[derive(Debug)]
pub struct Proxy {
    /// Which life.
    pub life: u64,
    /// One of Codis: no term, no fence, no order of fills, no digests.
    pub original: bool,
    sabotage: Sabotage,
    online: bool,
    term: Term,
    table: Vec<Slot>,
    run: u64,
    stamps: BTreeMap<u16, u64>,
    held: BTreeSet<u16>,
    fills: VecDeque<Fill>,
    requests: BTreeMap<u64, Request>,
    armed: bool,
    stalls: u64,
    lifted: u64,
    /// The stall for which requests wait, and when the fence falls by itself.
    fence: Option<(u64, Time)>,
    /// The fence of this stall fell by itself.
    fell: Option<u64>,
    /// It says OK to fills and takes none.
    pub lies: bool,
    lied: BTreeSet<u16>,
    out: Vec<Do>,
}

impl Proxy {
    /// A proxy that has just started, with nothing.
    pub fn new(life: u64, original: bool, sabotage: Sabotage) -> Self {
        let slot = |id| Slot {
            id,
            ..Slot::default()
        };
        Self {
            life,
            original,
            sabotage,
            online: false,
            term: Term::default(),
            table: (0..SLOTS).map(slot).collect(),
            run: 0,
            stamps: BTreeMap::new(),
            held: BTreeSet::new(),
            fills: VecDeque::new(),
            requests: BTreeMap::new(),
            armed: false,
            stalls: 0,
            lifted: 0,
            fence: None,
            fell: None,
            lies: false,
            lied: BTreeSet::new(),
            out: Vec::new(),
        }
    }

    /// The routes.
    pub fn table(&self) -> &[Slot] {
        &self.table
    }

    /// Whether clients may connect.
    pub const fn is_online(&self) -> bool {
        self.online
    }

    /// Whether requests for a slot leave, by routes that somebody vouches for.
    pub fn serves(&self, slot: u16) -> bool {
        let held = self.held.contains(&slot) || self.table[usize::from(slot)].locked;
        self.online && !held && self.fence.is_none() && !self.is_excused(slot)
    }

    /// Whether nobody vouches for its routes: it lied, or heard nobody for too long after a stop.
    pub fn is_excused(&self, slot: u16) -> bool {
        self.fell.is_some() || self.lied.contains(&slot)
    }

    /// A board calls.
    pub fn call(&mut self, now: Time, from: From, term: Term, call: ProxyCall) -> Vec<Do> {
        let heeds = !self.original && self.sabotage != Sabotage::NoTerms;
        if heeds && term < self.term {
            let stale = ProxyAnswer::Stale(self.term);
            self.out.push(Do::Answer(from, stale));
            return self.run(now);
        }
        self.term = self.term.max(term);
        let answer = match call {
            ProxyCall::Stats => ProxyAnswer::Stats(Figures {
                online: self.online,
                stall_fence: !self.original,
                stalls: self.stalls,
                life: self.life,
            }),
            ProxyCall::Connect | ProxyCall::Witness => ProxyAnswer::Done,
            ProxyCall::Digest if self.original => ProxyAnswer::Unknown,
            ProxyCall::Digest | ProxyCall::Slots => ProxyAnswer::Slots(self.table.clone()),
            ProxyCall::Lift { .. } if self.original => ProxyAnswer::Unknown,
            ProxyCall::Lift { stalls } => {
                self.armed = true;
                self.lifted = self.lifted.max(stalls);
                self.fell.take_if(|stall| *stall <= stalls);
                ProxyAnswer::Done
            }
            ProxyCall::Start => {
                self.online = true;
                ProxyAnswer::Done
            }
            ProxyCall::Fill { run, fill, slots } => {
                self.fills.push_back(Fill {
                    from,
                    stamp: (run, fill),
                    slots,
                    draining: None,
                });
                return self.run(now);
            }
        };
        self.out.push(Do::Answer(from, answer));
        self.run(now)
    }

    /// A client asks.
    pub fn request(&mut self, now: Time, op: Op) -> Vec<Do> {
        let (until, at) = (now + HOLD, At::Parked);
        self.requests.insert(op.id, Request { op, until, at });
        self.run(now)
    }

    /// A server answers: whether it did what it was asked, and the value.
    pub fn answered(&mut self, now: Time, op: u64, done: bool, value: Option<u64>) -> Vec<Do> {
        let Some(request) = self.requests.get_mut(&op) else {
            return self.run(now);
        };
        match request.at {
            At::Parked => {}
            At::Running => {
                let op = request.op;
                self.requests.remove(&op.id);
                let told = if done {
                    Told::Done(value)
                } else {
                    Told::Failed
                };
                self.out.push(Do::Tell(op, told));
            }
            At::Tagging { .. } if !done => {
                let op = request.op;
                self.requests.remove(&op.id);
                self.out.push(Do::Tell(op, Told::Failed));
            }
            At::Tagging { from, to } => {
                let op = request.op;
                let form = &self.table[usize::from(op.key.0)];
                let same = route(form) == Some((Some(from), to));
                if same && self.fence.is_none() {
                    request.at = At::Running;
                    self.send(op, Leg::Run, to);
                } else {
                    request.at = At::Parked;
                }
            }
        }
        self.run(now)
    }

    /// It goes on after it stood still for `gap`.
    pub fn wake(&mut self, now: Time, gap: Duration) -> Vec<Do> {
        if gap > STALL_MIN && !self.original {
            self.stalls += 1;
            if self.armed && self.sabotage != Sabotage::NoFence {
                self.fence = Some((self.stalls, now + HOLD));
            }
        }
        self.run(now)
    }

    /// Time has passed.
    pub fn run(&mut self, now: Time) -> Vec<Do> {
        self.check_fence(now);
        self.run_fills(now);
        self.run_requests(now);
        self.next_wake();
        std::mem::take(&mut self.out)
    }

    fn check_fence(&mut self, now: Time) {
        let Some((stall, until)) = self.fence else {
            return;
        };
        if self.lifted >= stall {
            self.fence = None;
        } else if until <= now {
            self.fence = None;
            self.fell = Some(stall);
        }
    }

    fn run_fills(&mut self, now: Time) {
        let mut at = 0;
        while at < self.fills.len() {
            if self.run_fill(now, at) {
                self.fills.remove(at);
                at = 0;
            } else {
                at += 1;
            }
        }
    }

    /// Goes on with a fill; true when it has ended.
    fn run_fill(&mut self, now: Time, at: usize) -> bool {
        let fill = &self.fills[at];
        if let Some((moving, until)) = &fill.draining {
            let (moving, until) = (moving.clone(), *until);
            if self.in_flight(&moving).next().is_some() && now < until {
                return false;
            }
            self.cut(&moving);
            self.apply(at);
            return true;
        }
        let ids: BTreeSet<u16> = fill.slots.iter().map(|slot| slot.id).collect();
        let overlaps = |other: &Fill| other.slots.iter().any(|slot| ids.contains(&slot.id));
        if self.fills.iter().take(at).any(overlaps) {
            return false;
        }
        let (from, stamp) = (fill.from, fill.stamp);
        if !self.takes(stamp, &ids) {
            self.out
                .push(Do::Answer(from, ProxyAnswer::Refused("overtaken")));
            return true;
        }
        if self.lies {
            let differs = |slot: &&Slot| self.table[usize::from(slot.id)] != **slot;
            let lied = self.fills[at].slots.iter().filter(differs);
            self.lied.extend(lied.map(|slot| slot.id));
            self.out.push(Do::Answer(from, ProxyAnswer::Done));
            return true;
        }
        let moving = self.barrier(&self.fills[at].slots);
        let busy = self.in_flight(&moving).next().is_some();
        if !busy || self.sabotage == Sabotage::NoDrain {
            self.apply(at);
            return true;
        }
        self.held.extend(&moving);
        self.fills[at].draining = Some((moving, now + DRAIN_MAX));
        false
    }

    /// Whether a fill is the newest of each of its slots.
    fn takes(&mut self, (run, fill): (u64, u64), slots: &BTreeSet<u16>) -> bool {
        if self.original || self.sabotage == Sabotage::NoStamps {
            return true;
        }
        if self.run != run {
            self.run = run;
            self.stamps.clear();
        }
        if slots
            .iter()
            .any(|slot| self.stamps.get(slot).is_some_and(|newest| *newest > fill))
        {
            return false;
        }
        self.stamps.extend(slots.iter().map(|slot| (*slot, fill)));
        true
    }

    /// The slots whose requests in flight must end before they are filled.
    fn barrier(&self, slots: &[Slot]) -> BTreeSet<u16> {
        let planned = |new: &&Slot| {
            let old = &self.table[usize::from(new.id)];
            let moves = old.backend_addr_group_id != new.backend_addr_group_id
                || old.migrate_from_group_id != new.migrate_from_group_id;
            !old.backend_addr.is_empty() && (moves || (new.locked && !old.locked))
        };
        slots.iter().filter(planned).map(|slot| slot.id).collect()
    }

    fn in_flight<'a>(&'a self, slots: &'a BTreeSet<u16>) -> impl Iterator<Item = Op> + 'a {
        let flies = |it: &&Request| it.at != At::Parked && slots.contains(&it.op.key.0);
        self.requests.values().filter(flies).map(|it| it.op)
    }

    fn cut(&mut self, slots: &BTreeSet<u16>) {
        let ops: Vec<Op> = self.in_flight(slots).collect();
        for op in ops {
            self.requests.remove(&op.id);
            self.out.push(Do::Tell(op, Told::Unknown));
        }
    }

    fn apply(&mut self, at: usize) {
        let fill = &self.fills[at];
        for slot in &fill.slots {
            self.held.remove(&slot.id);
            self.lied.remove(&slot.id);
            self.table[usize::from(slot.id)] = slot.clone();
        }
        self.out.push(Do::Answer(fill.from, ProxyAnswer::Done));
    }

    fn run_requests(&mut self, now: Time) {
        let ids: Vec<u64> = self.requests.keys().copied().collect();
        for id in ids {
            let Some(request) = self.requests.get_mut(&id) else {
                continue;
            };
            if request.at != At::Parked {
                continue;
            }
            let op = request.op;
            if request.until <= now {
                self.requests.remove(&id);
                self.out.push(Do::Tell(op, Told::Failed));
                continue;
            }
            let form = &self.table[usize::from(op.key.0)];
            let waits = form.locked || self.held.contains(&op.key.0) || self.fence.is_some();
            match route(form).filter(|_| !waits) {
                None => {}
                Some((None, to)) => {
                    request.at = At::Running;
                    self.send(op, Leg::Run, to);
                }
                Some((Some(from), to)) => {
                    request.at = At::Tagging { from, to };
                    self.send(op, Leg::Tag { to }, from);
                }
            }
        }
    }

    fn send(&mut self, op: Op, leg: Leg, to: Node) {
        let excused = self.is_excused(op.key.0);
        self.out.push(Do::Send {
            op,
            leg,
            to,
            excused,
        });
    }

    fn next_wake(&mut self) {
        let parked = self.requests.values().filter(|it| it.at == At::Parked);
        let drains = self.fills.iter().filter_map(|fill| fill.draining.as_ref());
        let fence = self.fence.map(|(_, until)| until);
        let all = parked.map(|request| request.until);
        let all = all.chain(drains.map(|(_, until)| *until)).chain(fence);
        if let Some(at) = all.min() {
            self.out.push(Do::Wake(at));
        }
    }
}

/// From where requests by this form take their keys, if they must, and where they go.
fn route(form: &Slot) -> Option<(Option<Node>, Node)> {
    Some((Node::of(&form.migrate_from), Node::of(&form.backend_addr)?))
}
