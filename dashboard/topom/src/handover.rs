//! A promotion through the sentinels: order it at one of them, then wait for the pair.
//!
//! The sentinels stay the only ones who decide who is master, so a promotion by hand has an epoch
//! like any other. What the dashboard waits for is not the answer but the adopted pair: the
//! candidate as master at an epoch above the one held before.
//!
//! ```text
//! ordering: one of ours after the other, each asked first to let the master hand over by itself
//!    |          (no write is lost), then, where the master can't do that, without
//!    | only stock ones are left
//!    v
//! choosing: the candidate is made the replica that a stock sentinel prefers, then one is ordered
//!    |          to fail over
//!    v
//! waiting for the pair --> done
//! ```
//!
//! What was preferred is given back by whoever drives this, however it ends; it is on record.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use codis_core::epoch::Epoch;
use codis_core::time::Time;

use crate::{Cluster, Refusal};

/// How long the pair may take after one of ours took the order.
const WAIT: Duration = Duration::from_secs(10);
/// How long it may take after a stock one did: they poll, and tell of it at the end.
const WAIT_STOCK: Duration = Duration::from_secs(30);

/// How one of our sentinels is to promote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The master hands over by itself.
    Coordinated,
    /// The candidate is promoted, and the master is made its replica.
    Plain,
}

/// What a sentinel said to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does it.
    Taken,
    /// Its master cannot hand over by itself.
    Unable,
    /// It is a stock one and does not know how to promote a chosen server.
    Stock,
    /// It does not, for this reason.
    Refused(String),
}

/// What the shell must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send the order to this sentinel, then call [`Handover::handle_answer`].
    Order {
        /// Its address.
        sentinel: String,
        /// In which manner.
        manner: Manner,
    },
    /// Make the candidate the replica that stock sentinels prefer, order one of these to fail over,
    /// then call [`Handover::handle_chosen`].
    Choose {
        /// Their addresses.
        sentinels: Vec<String>,
    },
    /// Answer whoever asked.
    Done(Result<(), Failure>),
}

/// Why the candidate is not master.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No sentinel took the order.
    #[error("no sentinel took the order to promote server-[{server}]: {reasons}")]
    Refused {
        /// The candidate.
        server: String,
        /// What each said.
        reasons: String,
    },
    /// The order was taken and the pair did not come.
    #[error(
        "the sentinels took the order but server-[{server}] did not become master within {} s; \
         look at SENTINEL MASTERS there, and promote again",
        within.as_secs()
    )]
    TimedOut {
        /// The candidate.
        server: String,
        /// How long was waited.
        within: Duration,
    },
    /// Another server became master.
    #[error("the sentinels promoted server-[{other}] and not server-[{server}]")]
    Other {
        /// The candidate.
        server: String,
        /// The new master.
        other: String,
    },
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Ordering,
    Choosing,
    Waiting { until: Time, within: Duration },
    Done,
}

/// One promotion under way.
#[derive(Debug)]
pub struct Handover {
    group: u32,
    candidate: String,
    before: Epoch,
    manner: Manner,
    untried: VecDeque<String>,
    stock: Vec<String>,
    reasons: Vec<String>,
    state: State,
    effects: VecDeque<Effect>,
}

impl Handover {
    /// Starts a promotion, when the records allow it. A master that does not answer cannot hand
    /// over, so a `manner` is given. Sentinels that are `quiet`, as far as is known, are asked
    /// last: each would keep the caller waiting.
    pub fn start(
        cluster: &Cluster,
        group: u32,
        candidate: &str,
        manner: Manner,
        quiet: &BTreeSet<String>,
    ) -> Result<Self, Refusal> {
        let record = cluster.group(group)?;
        if crate::edit::place(record, candidate)? == 0 {
            return Err(Refusal::AlreadyMaster(group));
        }
        crate::promote::no_migration(cluster, group)?;
        let mut untried: Vec<String> = cluster.sentinel().servers.clone();
        untried.sort_by_key(|sentinel| quiet.contains(sentinel));
        let mut handover = Self {
            group,
            candidate: candidate.to_owned(),
            before: cluster.epoch(group),
            manner,
            stock: Vec::new(),
            untried: untried.into(),
            reasons: Vec::new(),
            state: State::Ordering,
            effects: VecDeque::new(),
        };
        handover.order_next();
        Ok(handover)
    }

    /// What a sentinel said to an order.
    pub fn handle_answer(&mut self, now: Time, sentinel: &str, manner: Manner, answer: Answer) {
        if self.state != State::Ordering {
            return;
        }
        match answer {
            Answer::Taken => self.wait(now, WAIT),
            Answer::Unable if manner == Manner::Coordinated => {
                self.effects.push_back(Effect::Order {
                    sentinel: sentinel.to_owned(),
                    manner: Manner::Plain,
                });
            }
            Answer::Unable => self.refused(sentinel, "the master can't hand over"),
            Answer::Stock => {
                self.stock.push(sentinel.to_owned());
                self.order_next();
            }
            Answer::Refused(reason) => self.refused(sentinel, &reason),
        }
    }

    /// Whether a stock sentinel took the order, and if none did, why.
    pub fn handle_chosen(&mut self, now: Time, chosen: Result<(), String>) {
        if self.state != State::Choosing {
            return;
        }
        match chosen {
            Ok(()) => self.wait(now, WAIT_STOCK),
            Err(reason) => {
                self.reasons.push(reason);
                self.give_up();
            }
        }
    }

    /// The cluster changed, perhaps by the pair that is waited for.
    pub fn handle_cluster(&mut self, cluster: &Cluster) {
        if self.state == State::Done || cluster.epoch(self.group) <= self.before {
            return;
        }
        let master = cluster.master(self.group);
        if master == self.candidate {
            self.end(Ok(()));
        } else if cluster
            .topology(self.group)
            .is_some_and(|held| held.master == master)
        {
            self.end(Err(Failure::Other {
                server: self.candidate.clone(),
                other: master.to_owned(),
            }));
        }
    }

    /// Gives up when the pair did not come in time.
    pub fn handle_timeout(&mut self, now: Time) {
        if let State::Waiting { until, within } = self.state
            && until <= now
        {
            self.end(Err(Failure::TimedOut {
                server: self.candidate.clone(),
                within,
            }));
        }
    }

    /// When to call [`Handover::handle_timeout`].
    pub const fn poll_timeout(&self) -> Option<Time> {
        match self.state {
            State::Waiting { until, .. } => Some(until),
            State::Ordering | State::Choosing | State::Done => None,
        }
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn wait(&mut self, now: Time, within: Duration) {
        self.state = State::Waiting {
            until: now + within,
            within,
        };
    }

    fn refused(&mut self, sentinel: &str, reason: &str) {
        self.reasons.push(format!("{sentinel}: {reason}"));
        self.order_next();
    }

    fn order_next(&mut self) {
        if let Some(sentinel) = self.untried.pop_front() {
            let manner = self.manner;
            self.effects.push_back(Effect::Order { sentinel, manner });
        } else if self.stock.is_empty() {
            self.give_up();
        } else {
            let sentinels = std::mem::take(&mut self.stock);
            self.state = State::Choosing;
            self.effects.push_back(Effect::Choose { sentinels });
        }
    }

    fn give_up(&mut self) {
        let reasons = self.reasons.join("; ");
        self.end(Err(Failure::Refused {
            server: self.candidate.clone(),
            reasons,
        }));
    }

    fn end(&mut self, outcome: Result<(), Failure>) {
        self.state = State::Done;
        self.effects.push_back(Effect::Done(outcome));
    }
}

/// The priorities to set so that a sentinel prefers the candidate to all other replicas; empty when
/// it does already. The lowest one is preferred, and one with 0 is never promoted.
pub fn preference(candidate: &str, replicas: &BTreeMap<String, u32>) -> BTreeMap<String, u32> {
    let own = replicas.get(candidate).copied().unwrap_or(0);
    let others = || replicas.iter().filter(|(addr, _)| *addr != candidate);
    let rival = others().map(|(_, at)| *at).filter(|at| *at > 0).min();
    if own > 0 && rival.is_none_or(|rival| own < rival) {
        return BTreeMap::new();
    }
    let equals = others().filter(|(_, at)| **at == 1);
    let mut wanted: BTreeMap<String, u32> = equals.map(|(addr, _)| (addr.clone(), 2)).collect();
    wanted.insert(candidate.to_owned(), 1);
    wanted
}

#[cfg(test)]
mod tests;
