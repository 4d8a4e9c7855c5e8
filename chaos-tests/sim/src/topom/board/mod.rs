//! A dashboard: the real machines of topom, in a shell that makes the same calls in the same order
//! as the real one, and does nothing but hand them over.

mod calls;
mod chair;
mod core;
mod fleet;
mod inquiry;
mod load;
mod owner;
mod poll;
mod promoter;

use std::time::Duration;

use codis_core::ha::Term;
use codis_core::time::Time;
use codis_topom::mover::Limits;

use self::calls::{Calls, Purpose};
use self::chair::{Chair, Order};
pub use self::core::Core;
use self::owner::Caller;
pub use self::owner::Decide;
pub use self::poll::record_of;
use super::sabotage::Sabotage;
use super::wire::{Answer, Ask, Node};

/// What reaches a board.
pub enum Input {
    /// Time has passed.
    Tick,
    /// A call has ended.
    Answer {
        /// Which.
        call: u64,
        /// How.
        answer: Answer,
    },
    /// An operator's call.
    Operate(Decide),
    /// An operator's call to promote a server.
    Promote(Node),
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tick => f.write_str("tick"),
            Self::Answer { call, answer } => write!(f, "call {call}: {answer:?}"),
            Self::Operate(_) => f.write_str("an operator"),
            Self::Promote(server) => write!(f, "an operator: promote {}", server.addr()),
        }
    }
}

/// How boards are set.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long the lock lasts.
    pub lease: Duration,
    /// How many slots are under way.
    pub limits: Limits,
    /// What is broken.
    pub sabotage: Sabotage,
}

/// One life of a dashboard.
#[derive(Debug)]
pub struct Board {
    settings: Settings,
    chair: Chair,
    core: Option<Core>,
    calls: Calls,
}

impl Board {
    /// A board that has just started.
    pub fn new(now: Time, board: usize, life: u64, settings: Settings) -> Self {
        Self {
            settings,
            chair: Chair::new(now, (board, life), &settings),
            core: None,
            calls: Calls::default(),
        }
    }

    /// The term under which it believes to lead.
    pub fn term(&self) -> Option<Term> {
        self.chair.term()
    }

    /// What belongs to its term.
    pub const fn core(&self) -> Option<&Core> {
        self.core.as_ref()
    }

    /// Takes what reached it; gives the calls that leave. After a stop the tasks of a term may have
    /// their turn before the one that would end it: then the chair is `late`.
    pub fn handle(&mut self, now: Time, input: Input, late: bool) -> Vec<Ask> {
        match input {
            Input::Tick => {}
            Input::Answer { call, answer } => self.answered(now, call, answer),
            Input::Promote(server) => {
                if let Some(core) = &mut self.core {
                    core.promoter.promote(server, &core.owner);
                }
            }
            Input::Operate(decide) => {
                if let Some(core) = &mut self.core {
                    core.owner.edit(Caller::Operator, decide);
                }
            }
        }
        match &mut self.core {
            Some(core) if late => core.run(now, self.chair.lease, &mut self.calls),
            Some(_) | None => self.run(now),
        }
        self.calls.take()
    }

    /// When to tell it the time at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        let core = self.core.as_ref().and_then(Core::poll_timeout);
        self.chair.poll_timeout().into_iter().chain(core).min()
    }

    fn answered(&mut self, now: Time, call: u64, answer: Answer) {
        let Some(purpose) = self.calls.answered(call) else {
            return;
        };
        match purpose {
            Purpose::Lock { .. }
            | Purpose::LastTerm
            | Purpose::Fence
            | Purpose::Release
            | Purpose::Renew { .. }
            | Purpose::Load => {
                self.chair
                    .handle(now, (call, purpose.clone()), answer.clone());
                self.chair.go_on(now, &purpose, answer, &mut self.calls);
            }
            _ => {
                if let Some(core) = &mut self.core {
                    core.handle(now, purpose, answer, &mut self.calls);
                }
            }
        }
    }

    fn run(&mut self, now: Time) {
        loop {
            while let Some(order) = self.chair.run(now, &mut self.calls) {
                match order {
                    Order::Begin(guard, records) => {
                        let Settings {
                            limits, sabotage, ..
                        } = self.settings;
                        self.core = Some(Core::new(guard, *records, limits, sabotage));
                    }
                    Order::End => {
                        self.core = None;
                        self.calls.end_term();
                    }
                }
            }
            let Some(core) = &mut self.core else { return };
            core.run(now, self.chair.lease, &mut self.calls);
            if std::mem::take(&mut core.owner.fenced) {
                self.chair.handle_refused("a write was refused", None);
            } else if let Some(seen) = core.stale.take() {
                self.chair.handle_refused("a proxy says so", Some(seen));
            } else {
                return;
            }
        }
    }
}
