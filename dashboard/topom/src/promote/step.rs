//! What a promotion stores, checked against the records each time.

use codis_core::ha::GroupTopology;
use codis_core::model::{ActionState, Group, Promoting, ServerAction};

use crate::adopt::with_master;
use crate::edit::{Edit, place};
use crate::{Change, Cluster, Refusal};

/// One store of a promotion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Records `preparing` and locks.
    Prepare {
        /// The group.
        group: u32,
        /// The candidate.
        candidate: String,
    },
    /// Locks again, after a restart in `prepared`.
    Lock {
        /// The group.
        group: u32,
    },
    /// Records `prepared`.
    Prepared {
        /// The group.
        group: u32,
        /// The candidate.
        candidate: String,
    },
    /// Records the new master at the next epoch, and `finished`.
    Switch {
        /// The group.
        group: u32,
        /// The candidate.
        candidate: String,
    },
    /// Records the end.
    Finish {
        /// The group.
        group: u32,
        /// Servers that did not take the order to follow.
        failed: Vec<String>,
        /// Whether all proxies hold the new form.
        in_sync: bool,
    },
    /// Records that nothing happened.
    Undo {
        /// The group.
        group: u32,
    },
}

impl Step {
    /// The record changes of the step; `at` is the time for people.
    pub fn edit(&self, cluster: &Cluster, at: &str) -> Edit {
        match self {
            Self::Prepare { group, candidate } => prepare(cluster, *group, candidate),
            Self::Lock { group } => {
                expect(cluster.group(*group)?, ActionState::Prepared)?;
                Ok(vec![lock(*group, true)])
            }
            Self::Prepared { group, candidate } => {
                let record = cluster.group(*group)?;
                let index = place(record, candidate)?;
                if record.promoting.state != ActionState::Prepared {
                    expect(record, ActionState::Preparing)?;
                }
                Ok(vec![promoting(record, index, ActionState::Prepared)])
            }
            Self::Switch { group, candidate } => switch(cluster, *group, candidate, at),
            Self::Finish {
                group,
                failed,
                in_sync,
            } => finish(cluster, *group, failed, *in_sync, at),
            Self::Undo { group } => {
                let record = cluster.group(*group)?;
                let promoting = Promoting::default();
                let undone = Change::PutGroup(Group {
                    promoting,
                    ..record.clone()
                });
                Ok(vec![undone, lock(*group, false)])
            }
        }
    }
}

/// Refuses while a slot of the group is on the move: its keys are on two masters.
pub(crate) fn no_migration(cluster: &Cluster, group: u32) -> Result<(), Refusal> {
    let moving = |state| !matches!(state, ActionState::Nothing | ActionState::Pending);
    match cluster
        .slots_of(group)
        .filter(|slot| moving(slot.action.state))
        .count()
    {
        0 => Ok(()),
        running => Err(Refusal::MigrationRunning(running)),
    }
}

fn prepare(cluster: &Cluster, group: u32, candidate: &str) -> Edit {
    let record = cluster.group(group)?;
    let index = place(record, candidate)?;
    if index == 0 {
        return Err(Refusal::AlreadyMaster(group));
    }
    if record.promoting.state != ActionState::Nothing {
        expect(record, ActionState::Preparing)?;
    }
    no_migration(cluster, group)?;
    Ok(vec![
        promoting(record, index, ActionState::Preparing),
        lock(group, true),
    ])
}

fn switch(cluster: &Cluster, group: u32, candidate: &str, at: &str) -> Edit {
    let record = cluster.group(group)?;
    expect(record, ActionState::Prepared)?;
    let mut switched = with_master(record, place(record, candidate)?);
    switched
        .servers
        .iter_mut()
        .for_each(|server| server.action = ServerAction::default());
    switched.promoting = Promoting {
        index: 0,
        state: ActionState::Finished,
    };
    let topology = next_topology(cluster, group, candidate, at);
    Ok(vec![
        topology,
        Change::PutGroup(switched),
        lock(group, false),
    ])
}

fn finish(cluster: &Cluster, group: u32, failed: &[String], in_sync: bool, at: &str) -> Edit {
    let record = cluster.group(group)?;
    expect(record, ActionState::Finished)?;
    let mut finished = record.clone();
    finished.promoting = Promoting::default();
    finished.out_of_sync = !in_sync;
    for server in finished
        .servers
        .iter_mut()
        .filter(|server| failed.contains(&server.addr))
    {
        server.action = ServerAction {
            index: 0,
            state: ActionState::SyncedFailed,
        };
    }
    let mut changes = vec![Change::PutGroup(finished)];
    // An original dashboard recorded this switch, without an epoch.
    if cluster.drifted(group) {
        changes.insert(0, next_topology(cluster, group, cluster.master(group), at));
    }
    Ok(changes)
}

/// The pair of a master that no election made.
fn next_topology(cluster: &Cluster, group: u32, master: &str, at: &str) -> Change {
    Change::PutTopology(GroupTopology {
        group_id: group,
        epoch: cluster.epoch(group).next(),
        master: master.to_owned(),
        run_id: String::new(),
        source: "dashboard".to_owned(),
        adopted_at: at.to_owned(),
        priorities: crate::edit::priorities(cluster, group),
        strays: crate::edit::strays(cluster, group),
    })
}

fn expect(record: &Group, state: ActionState) -> Result<(), Refusal> {
    if record.promoting.state == state {
        Ok(())
    } else {
        Err(Refusal::GroupNotPromoting(record.id))
    }
}

fn promoting(record: &Group, index: usize, state: ActionState) -> Change {
    Change::PutGroup(Group {
        promoting: Promoting { index, state },
        ..record.clone()
    })
}

const fn lock(group: u32, locked: bool) -> Change {
    Change::Lock { group, locked }
}
