//! A promotion by the dashboard alone, for a product without sentinels.
//!
//! ```text
//! none --> preparing --> prepared --> finished --> none
//!   check     lock          catch up,    push, re-point
//!                           promote      the others
//! ```
//!
//! The states are those of Codis and are stored before what follows from them is done, so a
//! dashboard that starts in the middle goes on from the stored one. What was done after the last
//! stored state is done again, and each such act may be done twice: a lock, `SLAVEOF NO ONE`, a
//! push.
//!
//! Between *lock* and *finished* no proxy that may serve clients sends a request to the group. One
//! that does not take the lock in time could have its clients write to the old master what the
//! candidate never sees, so the promotion is undone, unless the old master is dead: nobody listens
//! at its address, so it takes no write. One that only does not answer may answer others.
//!
//! A promotion that fails in any other way before the candidate's new role is recorded is undone
//! too: the candidate follows the old master again, the lock is released, and the caller is told
//! why. Once the role is recorded nobody is waited for; the old master is made a replica, so a
//! write that a late proxy sends is refused there.

mod step;

use std::collections::VecDeque;

use codis_core::model::{ActionState, Group};

use crate::{Cluster, Refusal};

pub use step::Step;
pub(crate) use step::no_migration;

/// What the shell must do. One effect is out at a time; its result is the next input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Check that the candidate is alive and a replica of the master.
    Inspect {
        /// The candidate.
        candidate: String,
        /// The master.
        master: String,
    },
    /// Store a step.
    Store(Step),
    /// Wait until the proxies that may serve clients hold the newest form of the group.
    Push,
    /// Look whether the server may take a write from somebody: it fails only if nobody listens
    /// there.
    Ask {
        /// The server.
        server: String,
    },
    /// Wait, for a bounded time, until the candidate has all that the master has; a master that is
    /// dead has nothing to wait for.
    CatchUp {
        /// The candidate.
        candidate: String,
        /// The master.
        master: String,
    },
    /// Make the server a master.
    Promote {
        /// The candidate.
        server: String,
    },
    /// Make the servers replicas of `master`.
    Follow {
        /// The servers.
        servers: Vec<String>,
        /// Whom they follow.
        master: String,
    },
    /// Answer whoever asked.
    Done(Result<(), Failure>),
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// It is done.
    Ok,
    /// It is not, for this reason.
    Failed(String),
    /// These proxies did not take the push, or these servers did not take the order.
    Partly(Vec<String>),
}

/// Why a promotion did not end well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing has changed.
    #[error("{0}")]
    Undone(String),
    /// The store refused, and the promotion waits in its last stored state to be resumed.
    #[error("{0}")]
    Stuck(String),
    /// The candidate is master, but these proxies do not know; each is told as soon as it answers.
    #[error("proxy-[{}] resync slots failed", .0.join("], proxy-["))]
    ProxiesBehind(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Inspecting,
    StoringPreparing,
    Locking,
    /// These proxies are not locked, and it depends on the old master whether that matters.
    Weighing {
        behind: Vec<String>,
    },
    StoringPrepared,
    CatchingUp,
    Promoting,
    StoringSwitch,
    PromotingAgain,
    Unlocking,
    Following {
        behind: Vec<String>,
    },
    StoringFinish {
        behind: Vec<String>,
    },
    UndoFollowing {
        why: String,
    },
    UndoStoring {
        why: String,
    },
    Done,
}

/// One promotion under way.
#[derive(Debug)]
pub struct Promotion {
    group: u32,
    candidate: String,
    master: String,
    others: Vec<String>,
    fresh: bool,
    perhaps_promoted: bool,
    state: State,
    effects: VecDeque<Effect>,
}

impl Promotion {
    /// Starts a promotion of `candidate`, or resumes the one under way in the group.
    pub fn start(cluster: &Cluster, group: u32, candidate: &str) -> Result<Self, Refusal> {
        let record = cluster.group(group)?;
        let place = crate::edit::place(record, candidate)?;
        let under_way = record.promoting.state != ActionState::Nothing;
        if under_way && record.promoting.index != place {
            let index = record.promoting.index;
            return Err(Refusal::GroupPromotingOther { group, index });
        }
        if !under_way && place == 0 {
            return Err(Refusal::AlreadyMaster(group));
        }
        no_migration(cluster, group)?;
        Ok(Self::from_stored(record, candidate))
    }

    /// Resumes the promotion that the record says is under way.
    ///
    /// With sentinels it is theirs to promote: one that was not recorded as switched (an original
    /// dashboard had begun it) is undone.
    pub fn resume(cluster: &Cluster, group: u32) -> Option<Self> {
        let record = cluster.group(group).ok()?;
        if record.promoting.state == ActionState::Nothing {
            return None;
        }
        let candidate = record.servers.get(record.promoting.index)?;
        let mut promotion = Self::from_stored(record, &candidate.addr);
        if cluster.has_sentinels() && record.promoting.state != ActionState::Finished {
            promotion.effects.clear();
            promotion.undo("the sentinels decide who is master".to_owned());
        }
        Some(promotion)
    }

    fn from_stored(record: &Group, candidate: &str) -> Self {
        let addrs = || record.servers.iter().map(|server| server.addr.clone());
        let finished = record.promoting.state == ActionState::Finished;
        // Once the switch is recorded the old master is the last of the group.
        let master = if finished {
            addrs().next_back()
        } else {
            addrs().next()
        };
        let mut promotion = Self {
            group: record.id,
            candidate: candidate.to_owned(),
            master: master.unwrap_or_default(),
            others: addrs().filter(|addr| addr != candidate).collect(),
            fresh: record.promoting.state == ActionState::Nothing,
            perhaps_promoted: record.promoting.state == ActionState::Prepared,
            state: State::Inspecting,
            effects: VecDeque::new(),
        };
        let candidate = promotion.candidate.clone();
        match record.promoting.state {
            ActionState::Finished => {
                promotion.go(State::PromotingAgain, Effect::Promote { server: candidate });
            }
            ActionState::Prepared => {
                let lock = Effect::Store(Step::Lock { group: record.id });
                promotion.go(State::StoringPreparing, lock);
            }
            ActionState::Nothing
            | ActionState::Pending
            | ActionState::Preparing
            | ActionState::Migrating
            | ActionState::Syncing
            | ActionState::Synced
            | ActionState::SyncedFailed => {
                let master = promotion.master.clone();
                promotion.go(State::Inspecting, Effect::Inspect { candidate, master });
            }
        }
        promotion
    }

    /// What came of the effect that is out.
    pub fn handle(&mut self, input: Input) {
        match (self.state.clone(), input) {
            (State::Done, _) => {}
            (State::Inspecting, Input::Failed(why)) if self.fresh => {
                self.done(Failure::Undone(why))
            }
            (State::Inspecting, Input::Failed(why)) => self.undo(why),
            (State::StoringPreparing, Input::Failed(why)) if self.fresh => {
                self.done(Failure::Undone(why));
            }
            (State::Locking, Input::Partly(behind)) => {
                let server = self.master.clone();
                self.go(State::Weighing { behind }, Effect::Ask { server });
            }
            (State::Weighing { behind }, Input::Ok | Input::Partly(_)) => {
                let why = self.unlocked(&behind);
                self.undo(why);
            }
            (
                State::Locking | State::StoringPrepared | State::CatchingUp | State::Promoting,
                Input::Failed(why),
            ) => self.undo(why),
            (
                State::StoringPreparing
                | State::StoringSwitch
                | State::PromotingAgain
                | State::StoringFinish { .. }
                | State::UndoStoring { .. },
                Input::Failed(why),
            ) => self.done(Failure::Stuck(why)),
            (state, input) => self.advance(state, input),
        }
    }

    /// The group.
    pub const fn group(&self) -> u32 {
        self.group
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn advance(&mut self, state: State, input: Input) {
        let (group, candidate) = (self.group, self.candidate.clone());
        let behind = match input {
            Input::Partly(names) => names,
            Input::Ok | Input::Failed(_) => Vec::new(),
        };
        match state {
            State::Inspecting => {
                let step = Step::Prepare { group, candidate };
                self.go(State::StoringPreparing, Effect::Store(step));
            }
            State::StoringPreparing => self.go(State::Locking, Effect::Push),
            State::Locking | State::Weighing { .. } => {
                let step = Step::Prepared { group, candidate };
                self.go(State::StoringPrepared, Effect::Store(step));
            }
            State::StoringPrepared => {
                let master = self.master.clone();
                self.go(State::CatchingUp, Effect::CatchUp { candidate, master });
            }
            State::CatchingUp => {
                self.perhaps_promoted = true;
                self.go(State::Promoting, Effect::Promote { server: candidate });
            }
            State::Promoting => {
                let step = Step::Switch { group, candidate };
                self.go(State::StoringSwitch, Effect::Store(step));
            }
            State::StoringSwitch | State::PromotingAgain => self.go(State::Unlocking, Effect::Push),
            State::Unlocking => {
                let servers = self.others.clone();
                let follow = Effect::Follow {
                    servers,
                    master: candidate,
                };
                self.go(State::Following { behind }, follow);
            }
            State::Following { behind: proxies } => {
                let failed = behind;
                let in_sync = proxies.is_empty();
                let step = Step::Finish {
                    group,
                    failed,
                    in_sync,
                };
                self.go(
                    State::StoringFinish { behind: proxies },
                    Effect::Store(step),
                );
            }
            State::StoringFinish { behind } if behind.is_empty() => {
                self.state = State::Done;
                self.effects.push_back(Effect::Done(Ok(())));
            }
            State::StoringFinish { behind } => self.done(Failure::ProxiesBehind(behind)),
            State::UndoFollowing { why } => {
                self.go(
                    State::UndoStoring { why },
                    Effect::Store(Step::Undo { group }),
                );
            }
            State::UndoStoring { why } => self.done(Failure::Undone(why)),
            State::Done => {}
        }
    }

    /// Why it is not safe to go on: clients of these proxies may write to the old master.
    fn unlocked(&self, behind: &[String]) -> String {
        format!(
            "proxy-[{}] resync slots failed: clients may write through it to server-[{}], which \
             may be alive and stays the master; call again once it answers or has been silent for \
             some seconds, or remove it with force if it is dead",
            behind.join("], proxy-["),
            self.master
        )
    }

    /// Leaves everything as it was. The candidate may or may not have been promoted by then.
    fn undo(&mut self, why: String) {
        if self.perhaps_promoted {
            let servers = vec![self.candidate.clone()];
            let follow = Effect::Follow {
                servers,
                master: self.master.clone(),
            };
            self.go(State::UndoFollowing { why }, follow);
        } else {
            let step = Step::Undo { group: self.group };
            self.go(State::UndoStoring { why }, Effect::Store(step));
        }
    }

    fn done(&mut self, failure: Failure) {
        self.state = State::Done;
        self.effects.push_back(Effect::Done(Err(failure)));
    }

    fn go(&mut self, state: State, effect: Effect) {
        self.state = state;
        self.effects.push_back(effect);
    }
}

#[cfg(test)]
mod tests;
