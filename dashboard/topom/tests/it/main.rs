//! The rules of a dashboard, seen from outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod actions;
mod adoption;
mod edits;
mod forms;
mod shared_forms;

use codis_core::ha::GroupTopology;
use codis_core::model::{Group, GroupServer, SlotMapping};
use codis_topom::edit::Edit;
use codis_topom::{Cluster, Records};

/// Groups by id with their servers.
fn groups(groups: &[(u32, &[&str])]) -> Vec<Group> {
    let server = |addr: &&str| GroupServer {
        addr: (*addr).to_owned(),
        ..GroupServer::default()
    };
    let group = |(id, servers): &(u32, &[&str])| Group {
        id: *id,
        servers: servers.iter().map(server).collect(),
        ..Group::default()
    };
    groups.iter().map(group).collect()
}

/// Two groups: 1 with a master and two replicas and the slots 0..=9, 2 with one server.
fn cluster() -> Cluster {
    let slots = (0..10).map(|id| SlotMapping {
        id,
        group_id: 1,
        ..SlotMapping::default()
    });
    Cluster::load(Records {
        slots: slots.collect(),
        groups: groups(&[
            (1, &["10.0.0.1:6379", "10.0.0.2:6379", "10.0.0.3:6379"]),
            (2, &["10.0.0.4:6379"]),
        ]),
        ..Records::default()
    })
}

/// Applies an edit that must be allowed.
fn apply(cluster: &mut Cluster, edit: Edit) {
    edit.unwrap()
        .iter()
        .for_each(|change| cluster.apply(change));
}

fn refused(edit: Edit) -> String {
    edit.unwrap_err().to_string()
}

fn topology(group_id: u32, epoch: u64, master: &str) -> GroupTopology {
    let epoch = codis_core::epoch::Epoch(epoch);
    GroupTopology {
        group_id,
        epoch,
        master: master.to_owned(),
        ..GroupTopology::default()
    }
}
