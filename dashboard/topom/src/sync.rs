//! The queue of sync orders: one server at a time is told whom to follow.
//!
//! ```text
//! pending --stored--> syncing --accepted--> synced
//!                        |------refused---> synced_failed
//! ```
//!
//! `syncing` is stored before the order leaves. A dashboard that finds a server in `syncing` at
//! start gives the order again: it is the same order, and giving it twice does no harm. A group
//! that is promoting is passed over, so it does not hold up the others.

use std::collections::VecDeque;
use std::time::Duration;

use codis_core::model::{ActionState, GroupServer, ServerAction};
use codis_core::time::Time;

use crate::edit::Edit;
use crate::{Cluster, Refusal};

/// Pause after a store that refused.
const RETRY: Duration = Duration::from_secs(5);

/// What the shell must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Store this, then call [`SyncQueue::handle_stored`].
    Store(Step),
    /// Tell `server` to follow `master`, or nobody, then call [`SyncQueue::handle_ordered`].
    Order {
        /// The server.
        server: String,
        /// Whom to follow; `None` for the master itself.
        master: Option<String>,
    },
}

/// A move of one server's action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The server.
    pub server: String,
    /// The new state.
    pub state: ActionState,
}

impl Step {
    /// The record changes of the move, unless someone else changed the action meanwhile.
    pub fn edit(&self, cluster: &Cluster) -> Edit {
        let (group, at) = crate::edit::server(cluster, &self.server)?;
        let held = group.servers[at].action.state;
        let legal = match self.state {
            ActionState::Syncing => matches!(held, ActionState::Pending | ActionState::Syncing),
            ActionState::Synced | ActionState::SyncedFailed => held == ActionState::Syncing,
            ActionState::Nothing
            | ActionState::Pending
            | ActionState::Preparing
            | ActionState::Prepared
            | ActionState::Migrating
            | ActionState::Finished => false,
        };
        if !legal {
            return Err(Refusal::SyncState(self.server.clone()));
        }
        let action = ServerAction {
            index: 0,
            state: self.state,
        };
        Ok(vec![crate::edit::with_action(group, at, action)])
    }
}

/// What the queue is doing.
#[derive(Debug)]
enum State {
    Idle,
    Waiting { until: Time },
    Starting { server: String },
    Ordering { server: String },
    Ending,
}

/// The queue. It holds no list of its own: the records are the list.
#[derive(Debug)]
pub struct SyncQueue {
    state: State,
    effects: VecDeque<Effect>,
}

impl Default for SyncQueue {
    fn default() -> Self {
        Self {
            state: State::Idle,
            effects: VecDeque::new(),
        }
    }
}

impl SyncQueue {
    /// Looks for the next order, when none is under way.
    pub fn handle_cluster(&mut self, now: Time, cluster: &Cluster) {
        self.handle_timeout(now);
        if !matches!(self.state, State::Idle) {
            return;
        }
        if let Some(server) = next(cluster) {
            let step = Step {
                server: server.to_owned(),
                state: ActionState::Syncing,
            };
            self.state = State::Starting {
                server: server.to_owned(),
            };
            self.effects.push_back(Effect::Store(step));
        }
    }

    /// The last [`Effect::Store`] is stored, or is not.
    pub fn handle_stored(&mut self, now: Time, cluster: &Cluster, ok: bool) {
        let state = std::mem::replace(&mut self.state, State::Idle);
        match state {
            State::Starting { server } if ok => {
                let master = cluster
                    .find_server(&server)
                    .filter(|(_, at)| *at > 0)
                    .map(|(group, _)| group.servers[0].addr.clone());
                self.effects.push_back(Effect::Order {
                    server: server.clone(),
                    master,
                });
                self.state = State::Ordering { server };
            }
            State::Starting { .. } | State::Ending if !ok => {
                self.state = State::Waiting { until: now + RETRY };
            }
            State::Idle | State::Starting { .. } | State::Ending => {}
            other @ (State::Waiting { .. } | State::Ordering { .. }) => self.state = other,
        }
    }

    /// The server took the order, or did not.
    pub fn handle_ordered(&mut self, ok: bool) {
        if let State::Ordering { server } = &self.state {
            let state = if ok {
                ActionState::Synced
            } else {
                ActionState::SyncedFailed
            };
            self.effects.push_back(Effect::Store(Step {
                server: server.clone(),
                state,
            }));
            self.state = State::Ending;
        }
    }

    /// Ends a pause that is over.
    pub fn handle_timeout(&mut self, now: Time) {
        if matches!(self.state, State::Waiting { until } if until <= now) {
            self.state = State::Idle;
        }
    }

    /// When to call [`SyncQueue::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Time> {
        match self.state {
            State::Waiting { until } => Some(until),
            State::Idle | State::Starting { .. } | State::Ordering { .. } | State::Ending => None,
        }
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }
}

/// The order that is first in the queue: one that was given before a restart, else the lowest
/// index.
fn next(cluster: &Cluster) -> Option<&str> {
    let open = |server: &&GroupServer| {
        matches!(
            server.action.state,
            ActionState::Pending | ActionState::Syncing
        )
    };
    cluster
        .groups()
        .filter(|group| group.promoting.state == ActionState::Nothing)
        .flat_map(|group| &group.servers)
        .filter(open)
        .min_by_key(|server| {
            (
                server.action.state == ActionState::Pending,
                server.action.index,
            )
        })
        .map(|server| server.addr.as_str())
}

#[cfg(test)]
mod tests;
