//! The pollers of the proxies: each asks once a second, finds out what a late answer means, lifts
//! fences, and brings a proxy that started anew online. After the dashboard's `poll::proxies`.

use std::collections::BTreeMap;
use std::time::Duration;

use codis_core::ha::Term;
use codis_core::model::Proxy;
use codis_core::time::Time;
use codis_topom::edit;
use codis_topom::pulse::{self, ACCEPT_MAX, LATE};

use super::calls::{Calls, Purpose};
use super::fleet::{Fleet, Heard, Waits};
use super::owner::{Caller, Owner};
use crate::topom::plan::SLOTS;
use crate::topom::wire::{Body, Figures, ProxyAnswer, ProxyCall};

/// How often each is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How long its figures may take.
const STATS_MAX: Duration = Duration::from_secs(1);
/// After so long without an answer a proxy that has a fence counts as stopped.
const SILENT_MAX: Duration = Duration::from_secs(3);
/// How long a witness may stay out.
const WITNESS_MAX: Duration = Duration::from_secs(600);
/// How long a proxy may take to catch up before its fence is lifted.
const WAIT_MAX: Duration = Duration::from_millis(700);
/// How long a proxy that is brought online may take.
const FILL_MAX: Duration = Duration::from_millis(3500);
/// How long other calls may take.
const CALL_MAX: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting { until: Time },
    Asking,
    Lifting,
    Onlining,
}

#[derive(Debug)]
struct Poller {
    state: State,
    /// When the figures asked for are late.
    late_at: Option<Time>,
    /// A witness is being sought, or is out.
    testifying: bool,
    /// When the witness has been out for long enough.
    silent_at: Option<Time>,
    /// The witness that is out.
    witness: Option<Time>,
    /// A proxy that takes no clients yet: its life.
    idle: Option<u64>,
}

/// All pollers.
#[derive(Debug)]
pub struct Pollers {
    term: Term,
    of: BTreeMap<usize, Poller>,
}

impl Pollers {
    /// None yet.
    pub const fn new(term: Term) -> Self {
        Self {
            term,
            of: BTreeMap::new(),
        }
    }

    /// Runs a poller for each proxy on record, and makes the calls that are due.
    pub fn run(&mut self, now: Time, owner: &Owner, fleet: &mut Fleet, calls: &mut Calls) {
        let known: Vec<usize> = owner.cluster.proxies().map(|it| it.pid as usize).collect();
        self.of.retain(|proxy, _| known.contains(proxy));
        for proxy in known {
            let poller = self.of.entry(proxy).or_insert(Poller {
                state: State::Waiting { until: now },
                late_at: None,
                testifying: false,
                silent_at: None,
                witness: None,
                idle: None,
            });
            let call = |call| Body::Proxy {
                proxy,
                term: self.term,
                call,
            };
            if matches!(poller.state, State::Waiting { until } if until <= now) {
                poller.state = State::Asking;
                poller.late_at = Some(now + LATE);
                calls.ask(Purpose::Stats { proxy }, STATS_MAX, call(ProxyCall::Stats));
            }
            if poller.late_at.take_if(|at| *at <= now).is_some() && !poller.testifying {
                poller.testifying = true;
                let purpose = Purpose::Connect { proxy, last: false };
                calls.ask(purpose, ACCEPT_MAX, call(ProxyCall::Connect));
            }
            if poller.silent_at.take_if(|at| *at <= now).is_some() {
                let counts = fleet.pulse(proxy).is_some_and(|it| it.has_witness());
                if counts {
                    let purpose = Purpose::Connect { proxy, last: true };
                    calls.ask(purpose, ACCEPT_MAX, call(ProxyCall::Connect));
                } else {
                    poller.testifying = false;
                }
            }
            // It answered elsewhere: the next silence needs a witness of its own.
            if poller.testifying
                && poller.silent_at.is_none()
                && poller.late_at.is_none()
                && fleet.pulse(proxy).is_some_and(|pulse| !pulse.is_quiet())
            {
                poller.testifying = false;
            }
        }
    }

    /// When to call [`Pollers::run`] again at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        let next = |poller: &Poller| {
            let due = match poller.state {
                State::Waiting { until } => Some(until),
                State::Asking | State::Lifting | State::Onlining => None,
            };
            let all = [due, poller.late_at, poller.silent_at];
            all.into_iter().flatten().min()
        };
        self.of.values().filter_map(next).min()
    }

    /// A call of a poller has ended.
    pub fn handle(
        &mut self,
        now: Time,
        purpose: &Purpose,
        heard: Heard,
        owner: &mut Owner,
        fleet: &mut Fleet,
        calls: &mut Calls,
    ) {
        match purpose {
            Purpose::Stats { proxy } => self.asked(now, *proxy, heard, owner, fleet),
            Purpose::Connect { proxy, last } => {
                self.connected(now, (*proxy, *last), &heard, fleet, calls);
            }
            Purpose::Witness { proxy, sent } => self.testified(now, *proxy, *sent, &heard, fleet),
            Purpose::Lift { proxy, stalls } => {
                if heard == Heard::Answer(ProxyAnswer::Done)
                    && let Some(pulse) = fleet.pulse(*proxy)
                {
                    pulse.handle_lifted(*stalls);
                }
                self.after_lift(now, *proxy, owner);
            }
            Purpose::Start { proxy } => self.rest(now, *proxy),
            _ => {}
        }
    }

    /// The proxy holds, or does not hold, what it should before its fence is lifted.
    pub fn caught_up(
        &mut self,
        now: Time,
        (proxy, stalls): (usize, u64),
        held: bool,
        owner: &mut Owner,
        calls: &mut Calls,
    ) {
        if held {
            let (term, call) = (self.term, ProxyCall::Lift { stalls });
            let purpose = Purpose::Lift { proxy, stalls };
            calls.ask(purpose, STATS_MAX, Body::Proxy { proxy, term, call });
        } else {
            self.after_lift(now, proxy, owner);
        }
    }

    /// The record of a proxy that is brought online is stored, or is not.
    pub fn registered(&mut self, now: Time, proxy: usize, stored: bool, at: &mut Owned<'_>) {
        if !stored {
            return self.rest(now, proxy);
        }
        at.fleet.update(now, at.owner);
        at.fleet.refill(now, proxy);
        let (all, revision) = (all_slots(), at.owner.revision);
        let who = Waits::Online(proxy);
        let cluster = at.owner.cluster.clone();
        at.fleet
            .wait(now, &cluster, who, (&all, revision), FILL_MAX);
    }

    /// A proxy that is brought online holds all slots, or does not.
    pub fn filled(&mut self, now: Time, proxy: usize, held: bool, calls: &mut Calls) {
        if !held {
            return self.rest(now, proxy);
        }
        let (term, call) = (self.term, ProxyCall::Start);
        let purpose = Purpose::Start { proxy };
        calls.ask(purpose, CALL_MAX, Body::Proxy { proxy, term, call });
    }

    fn rest(&mut self, now: Time, proxy: usize) {
        if let Some(poller) = self.of.get_mut(&proxy) {
            poller.state = State::Waiting { until: now + EVERY };
        }
    }

    fn asked(
        &mut self,
        now: Time,
        proxy: usize,
        heard: Heard,
        owner: &mut Owner,
        fleet: &mut Fleet,
    ) {
        let Some(poller) = self.of.get_mut(&proxy) else {
            return;
        };
        poller.late_at = None;
        poller.idle = None;
        let quiet = fleet.pulse(proxy).is_some_and(|pulse| pulse.is_quiet());
        let Some(pulse) = fleet.pulse(proxy) else {
            return self.rest(now, proxy);
        };
        match heard {
            Heard::Answer(ProxyAnswer::Stats(figures)) => {
                let Figures {
                    online,
                    stall_fence,
                    stalls,
                    life,
                } = figures;
                poller.idle = (!online).then_some(life);
                let lift = pulse.handle_stats(stall_fence, stalls);
                if quiet {
                    fleet.nudge(now, proxy);
                }
                if stall_fence {
                    fleet.is_ours(now, proxy);
                }
                let Some(stalls) = lift else {
                    return self.after_lift(now, proxy, owner);
                };
                poller.state = State::Lifting;
                let (all, revision) = (all_slots(), owner.revision);
                let who = Waits::Lift { proxy, stalls };
                fleet.wait(now, &owner.cluster, who, (&all, revision), WAIT_MAX);
            }
            heard => {
                pulse.handle(heard.sign());
                self.rest(now, proxy);
            }
        }
    }

    /// A proxy that takes no clients is registered anew and brought online.
    fn after_lift(&mut self, now: Time, proxy: usize, owner: &mut Owner) {
        let Some(poller) = self.of.get_mut(&proxy) else {
            return;
        };
        let Some(life) = poller.idle.take() else {
            return self.rest(now, proxy);
        };
        poller.state = State::Onlining;
        let record = record_of(proxy, life);
        let decide = Box::new(move |cluster: &_| edit::online_proxy(cluster, record));
        owner.edit(Caller::Poll(proxy), decide);
    }

    fn connected(
        &mut self,
        now: Time,
        (proxy, last): (usize, bool),
        heard: &Heard,
        fleet: &mut Fleet,
        calls: &mut Calls,
    ) {
        let (Some(poller), Some(pulse)) = (self.of.get_mut(&proxy), fleet.pulse(proxy)) else {
            return;
        };
        let accepted = *heard == Heard::Answer(ProxyAnswer::Done);
        match (poller.witness, last) {
            (_, false) if accepted => {
                pulse.handle_witness(now);
                poller.witness = Some(now);
                poller.silent_at = Some(now + SILENT_MAX);
                let (term, call, sent) = (self.term, ProxyCall::Witness, now);
                let purpose = Purpose::Witness { proxy, sent };
                calls.ask(purpose, WITNESS_MAX, Body::Proxy { proxy, term, call });
            }
            (Some(sent), true) if accepted => {
                if pulse.handle_silence(sent) {
                    fleet.peer_changed();
                }
            }
            (witness, _) => {
                if let Some(sent) = witness {
                    pulse.handle_witness_lost(sent);
                }
                poller.testifying = false;
            }
        }
    }

    fn testified(&mut self, now: Time, proxy: usize, sent: Time, heard: &Heard, fleet: &mut Fleet) {
        let (Some(poller), Some(pulse)) = (self.of.get_mut(&proxy), fleet.pulse(proxy)) else {
            return;
        };
        // One that counts no more was given up with its connection.
        if !pulse.is_witness(sent) {
            return;
        }
        poller.testifying = false;
        poller.silent_at = None;
        match heard {
            Heard::Answer(_) => {
                pulse.handle(pulse::Heard::Answer);
                fleet.nudge(now, proxy);
                if matches!(poller.state, State::Waiting { .. }) {
                    poller.state = State::Waiting { until: now };
                }
            }
            Heard::Refused | Heard::Nothing => pulse.handle_witness_lost(sent),
        }
    }
}

/// The owner and the rows.
#[derive(Debug)]
pub struct Owned<'a> {
    /// The owner of the records.
    pub owner: &'a mut Owner,
    /// The rows.
    pub fleet: &'a mut Fleet,
}

/// All slots of the simulation.
pub fn all_slots() -> Vec<u16> {
    (0..SLOTS).collect()
}

/// The record of one life of a proxy.
pub fn record_of(proxy: usize, life: u64) -> Proxy {
    Proxy {
        id: proxy as u32 + 1,
        token: format!("p{proxy}"),
        start_time: life.to_string(),
        admin_addr: format!("p{proxy}:1"),
        pid: proxy as u32,
        ..Proxy::default()
    }
}
