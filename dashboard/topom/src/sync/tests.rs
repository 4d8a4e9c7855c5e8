//! The queue, without servers.

use codis_core::model::{Group, Promoting};

use super::*;
use crate::{Change, Records, edit};

fn cluster() -> Cluster {
    let server = |addr: &str| GroupServer {
        addr: addr.to_owned(),
        ..Default::default()
    };
    let group = |id, a: &str, b: &str| Group {
        id,
        servers: vec![server(a), server(b)],
        ..Default::default()
    };
    let groups = vec![group(1, "a:1", "a:2"), group(2, "b:1", "b:2")];
    Cluster::load(Records {
        groups,
        ..Records::default()
    })
}

fn apply(cluster: &mut Cluster, changes: Vec<Change>) {
    changes.iter().for_each(|change| cluster.apply(change));
}

fn queue(cluster: &mut Cluster, addr: &str) {
    let changes = edit::create_sync(cluster, addr).unwrap();
    apply(cluster, changes);
}

/// Runs the queue until it has nothing to do; gives the orders.
fn drain(queue: &mut SyncQueue, cluster: &mut Cluster, ok: bool) -> Vec<(String, Option<String>)> {
    let mut orders = Vec::new();
    queue.handle_cluster(Time::ZERO, cluster);
    while let Some(effect) = queue.poll_effect() {
        match effect {
            Effect::Store(step) => {
                let changes = step.edit(cluster).unwrap();
                apply(cluster, changes);
                queue.handle_stored(Time::ZERO, cluster, &step.server, true);
                queue.handle_cluster(Time::ZERO, cluster);
            }
            Effect::Order { server, master } => {
                queue.handle_ordered(&server, ok);
                orders.push((server, master));
            }
        }
    }
    orders
}

fn state(cluster: &Cluster, addr: &str) -> ActionState {
    let (group, at) = cluster.find_server(addr).unwrap();
    group.servers[at].action.state
}

#[test]
fn orders_run_in_the_order_they_were_given() {
    let (mut cluster, mut sync) = (cluster(), SyncQueue::new(1));
    queue(&mut cluster, "b:2");
    queue(&mut cluster, "a:1");
    let orders = drain(&mut sync, &mut cluster, true);
    assert_eq!(
        orders,
        [("b:2".into(), Some("b:1".into())), ("a:1".into(), None)]
    );
    assert_eq!(
        (state(&cluster, "b:2"), state(&cluster, "a:1")),
        (ActionState::Synced, ActionState::Synced)
    );
}

#[test]
fn a_refused_order_is_marked_and_an_interrupted_one_is_given_again() {
    let (mut cluster, mut sync) = (cluster(), SyncQueue::new(1));
    queue(&mut cluster, "a:2");
    drain(&mut sync, &mut cluster, false);
    assert_eq!(state(&cluster, "a:2"), ActionState::SyncedFailed);
    let (group, at) = cluster.find_server("a:2").unwrap();
    let syncing = ServerAction {
        index: 0,
        state: ActionState::Syncing,
    };
    let change = edit::with_action(group, at, syncing);
    apply(&mut cluster, vec![change]);
    assert_eq!(drain(&mut SyncQueue::new(1), &mut cluster, true).len(), 1);
    assert_eq!(state(&cluster, "a:2"), ActionState::Synced);
}

#[test]
fn a_promoting_group_does_not_hold_up_the_others() {
    let (mut cluster, mut sync) = (cluster(), SyncQueue::new(1));
    queue(&mut cluster, "a:2");
    queue(&mut cluster, "b:2");
    let promoting = Promoting {
        index: 1,
        state: ActionState::Preparing,
    };
    let group = Group {
        promoting,
        ..cluster.group(1).unwrap().clone()
    };
    apply(&mut cluster, vec![Change::PutGroup(group)]);
    assert_eq!(drain(&mut sync, &mut cluster, true).len(), 1);
    assert_eq!(state(&cluster, "a:2"), ActionState::Pending);
    assert_eq!(
        edit::create_sync(&cluster, "a:2").unwrap_err().to_string(),
        "group-[1] is promoting"
    );
}

#[test]
fn a_store_that_refuses_is_tried_again_after_a_pause() {
    let (mut cluster, mut sync) = (cluster(), SyncQueue::new(1));
    queue(&mut cluster, "a:2");
    sync.handle_cluster(Time::ZERO, &cluster);
    assert!(matches!(sync.poll_effect(), Some(Effect::Store(_))));
    sync.handle_stored(Time::ZERO, &cluster, "a:2", false);
    let due = sync.poll_timeout().unwrap();
    sync.handle_cluster(Time::ZERO, &cluster);
    assert_eq!(sync.poll_effect(), None);
    sync.handle_cluster(due, &cluster);
    assert!(matches!(sync.poll_effect(), Some(Effect::Store(_))));
}

/// The server of each order that is out.
fn ordered(queue: &mut SyncQueue, cluster: &mut Cluster) -> Vec<String> {
    let mut servers = Vec::new();
    queue.handle_cluster(Time::ZERO, cluster);
    while let Some(effect) = queue.poll_effect() {
        match effect {
            Effect::Store(step) => {
                let changes = step.edit(cluster).unwrap();
                apply(cluster, changes);
                queue.handle_stored(Time::ZERO, cluster, &step.server, true);
                queue.handle_cluster(Time::ZERO, cluster);
            }
            Effect::Order { server, .. } => servers.push(server),
        }
    }
    servers
}

#[test]
fn orders_of_several_groups_are_out_at_a_time_and_one_of_each() {
    let (mut cluster, mut sync) = (cluster(), SyncQueue::new(4));
    for addr in ["a:1", "a:2", "b:2"] {
        queue(&mut cluster, addr);
    }
    assert_eq!(ordered(&mut sync, &mut cluster), ["a:1", "b:2"]);
    // The one of the second group hangs; the first group goes on.
    sync.handle_ordered("a:1", true);
    assert_eq!(ordered(&mut sync, &mut cluster), ["a:2"]);
    assert_eq!(state(&cluster, "b:2"), ActionState::Syncing);
    // A late answer and one that nobody waits for change nothing.
    sync.handle_ordered("a:1", false);
    assert_eq!(ordered(&mut sync, &mut cluster), [""; 0]);
    assert_eq!(state(&cluster, "a:1"), ActionState::Synced);
}

#[test]
fn no_more_orders_are_out_than_allowed() {
    let (mut cluster, mut sync) = (cluster(), SyncQueue::new(1));
    queue(&mut cluster, "a:2");
    queue(&mut cluster, "b:2");
    assert_eq!(ordered(&mut sync, &mut cluster), ["a:2"]);
    sync.handle_ordered("a:2", false);
    assert_eq!(ordered(&mut sync, &mut cluster), ["b:2"]);
}
