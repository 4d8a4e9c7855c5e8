//! The queue of sync orders: servers are told whom to follow, several at a time, one in a group.
//!
//! ```text
//! pending --stored--> syncing --accepted--> synced
//!                        |------refused---> synced_failed
//! ```
//!
//! `syncing` is stored before the order leaves. A dashboard that finds a server in `syncing` at
//! start gives the order again: it is the same order, and giving it twice does no harm. A group
//! that is promoting is passed over, and a server that hangs holds its own group alone, so neither
//! holds up the others. One at a time in a group, for each full copy of the data is read from the
//! same master.

use std::collections::{BTreeMap, VecDeque};
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
    /// Several may be out at a time.
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

/// How far the order of one server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// `syncing` is being stored.
    Starting,
    /// The order is out.
    Ordering,
    /// Its outcome is being stored.
    Ending,
    /// The store refused; it is taken up again then.
    Waiting { until: Time },
}

#[derive(Clone, Copy, Debug)]
struct Run {
    group: u32,
    stage: Stage,
}

/// The queue. It holds no list of its own: the records are the list.
#[derive(Debug)]
pub struct SyncQueue {
    parallel: usize,
    runs: BTreeMap<String, Run>,
    effects: VecDeque<Effect>,
}

impl SyncQueue {
    /// A queue that gives up to `parallel` orders at a time, at least one.
    pub fn new(parallel: usize) -> Self {
        Self {
            parallel: parallel.max(1),
            runs: BTreeMap::new(),
            effects: VecDeque::new(),
        }
    }

    /// Starts as many orders as may be under way.
    pub fn handle_cluster(&mut self, now: Time, cluster: &Cluster) {
        self.handle_timeout(now);
        while self.runs.len() < self.parallel {
            let Some((group, server)) = self.next(cluster) else {
                return;
            };
            let run = Run {
                group,
                stage: Stage::Starting,
            };
            self.runs.insert(server.to_owned(), run);
            self.effects.push_back(Effect::Store(Step {
                server: server.to_owned(),
                state: ActionState::Syncing,
            }));
        }
    }

    /// The [`Effect::Store`] of a server is stored, or is not.
    pub fn handle_stored(&mut self, now: Time, cluster: &Cluster, server: &str, ok: bool) {
        let Some(run) = self.runs.get_mut(server) else {
            return;
        };
        match (run.stage, ok) {
            (Stage::Starting, true) => {
                run.stage = Stage::Ordering;
                let master = cluster
                    .find_server(server)
                    .filter(|(_, at)| *at > 0)
                    .map(|(group, _)| group.servers[0].addr.clone());
                self.effects.push_back(Effect::Order {
                    server: server.to_owned(),
                    master,
                });
            }
            (Stage::Ending, true) => {
                self.runs.remove(server);
            }
            (Stage::Starting | Stage::Ending, false) => {
                run.stage = Stage::Waiting { until: now + RETRY };
            }
            (Stage::Ordering | Stage::Waiting { .. }, _) => {}
        }
    }

    /// The server took the order, or did not.
    pub fn handle_ordered(&mut self, server: &str, ok: bool) {
        let Some(run) = self.runs.get_mut(server) else {
            return;
        };
        if run.stage != Stage::Ordering {
            return;
        }
        run.stage = Stage::Ending;
        let state = if ok {
            ActionState::Synced
        } else {
            ActionState::SyncedFailed
        };
        self.effects.push_back(Effect::Store(Step {
            server: server.to_owned(),
            state,
        }));
    }

    /// Ends pauses that are over.
    pub fn handle_timeout(&mut self, now: Time) {
        self.runs
            .retain(|_, run| !matches!(run.stage, Stage::Waiting { until } if until <= now));
    }

    /// When to call [`SyncQueue::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Time> {
        let until = |run: &Run| match run.stage {
            Stage::Waiting { until } => Some(until),
            Stage::Starting | Stage::Ordering | Stage::Ending => None,
        };
        self.runs.values().filter_map(until).min()
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The order that is first in the queue: one that was given before a restart, else the lowest
    /// index; of groups alone that are quiet.
    fn next<'a>(&self, cluster: &'a Cluster) -> Option<(u32, &'a str)> {
        let open = |server: &GroupServer| {
            matches!(
                server.action.state,
                ActionState::Pending | ActionState::Syncing
            )
        };
        cluster
            .groups()
            .filter(|group| group.promoting.state == ActionState::Nothing)
            .filter(|group| self.runs.values().all(|run| run.group != group.id))
            .flat_map(|group| group.servers.iter().map(move |server| (group.id, server)))
            .filter(|(_, server)| open(server) && !self.runs.contains_key(&server.addr))
            .min_by_key(|(_, server)| {
                (
                    server.action.state == ActionState::Pending,
                    server.action.index,
                )
            })
            .map(|(group, server)| (group, server.addr.as_str()))
    }
}

#[cfg(test)]
mod tests;
