//! A promotion through the sentinels: order it at one of them, then wait for the pair.
//!
//! The sentinels stay the only ones who decide who is master, so a promotion by hand has an epoch
//! like any other. The order goes to one sentinel after the other until one takes it. What the
//! dashboard then waits for is not the answer but the adopted pair: the candidate as master at an
//! epoch above the one held before.

use std::collections::VecDeque;
use std::time::Duration;

use codis_core::epoch::Epoch;
use codis_core::time::Time;

use crate::{Cluster, Refusal};

/// How long the pair may take after the order was taken.
const WAIT: Duration = Duration::from_secs(10);

/// What the shell must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send the order to this sentinel, then call [`Handover::handle_answer`].
    Order {
        /// Its address.
        sentinel: String,
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
    #[error("the sentinels took the order but server-[{server}] did not become master within {} s",
        WAIT.as_secs())]
    TimedOut {
        /// The candidate.
        server: String,
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
    Waiting { until: Time },
    Done,
}

/// One promotion under way.
#[derive(Debug)]
pub struct Handover {
    group: u32,
    candidate: String,
    before: Epoch,
    untried: VecDeque<String>,
    reasons: Vec<String>,
    state: State,
    effects: VecDeque<Effect>,
}

impl Handover {
    /// Starts a promotion, when the records allow it.
    pub fn start(cluster: &Cluster, group: u32, candidate: &str) -> Result<Self, Refusal> {
        let record = cluster.group(group)?;
        if crate::edit::place(record, candidate)? == 0 {
            return Err(Refusal::AlreadyMaster(group));
        }
        crate::promote::no_migration(cluster, group)?;
        let mut handover = Self {
            group,
            candidate: candidate.to_owned(),
            before: cluster.epoch(group),
            untried: cluster.sentinel().servers.iter().cloned().collect(),
            reasons: Vec::new(),
            state: State::Ordering,
            effects: VecDeque::new(),
        };
        handover.order_next();
        Ok(handover)
    }

    /// What a sentinel said to the order.
    pub fn handle_answer(&mut self, now: Time, sentinel: &str, answer: Result<(), String>) {
        if self.state != State::Ordering {
            return;
        }
        match answer {
            Ok(()) => self.state = State::Waiting { until: now + WAIT },
            Err(reason) => {
                self.reasons.push(format!("{sentinel}: {reason}"));
                self.order_next();
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
        if matches!(self.state, State::Waiting { until } if until <= now) {
            self.end(Err(Failure::TimedOut {
                server: self.candidate.clone(),
            }));
        }
    }

    /// When to call [`Handover::handle_timeout`].
    pub const fn poll_timeout(&self) -> Option<Time> {
        match self.state {
            State::Waiting { until } => Some(until),
            State::Ordering | State::Done => None,
        }
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn order_next(&mut self) {
        if let Some(sentinel) = self.untried.pop_front() {
            self.effects.push_back(Effect::Order { sentinel });
        } else {
            let reasons = self.reasons.join("; ");
            self.end(Err(Failure::Refused {
                server: self.candidate.clone(),
                reasons,
            }));
        }
    }

    fn end(&mut self, outcome: Result<(), Failure>) {
        self.state = State::Done;
        self.effects.push_back(Effect::Done(outcome));
    }
}

#[cfg(test)]
mod tests;
