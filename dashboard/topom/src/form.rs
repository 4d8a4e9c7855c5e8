//! The form of a slot that a proxy is sent.
//!
//! A form is computed from the cluster each time and never stored, so there is nothing to keep in
//! step. It carries the epoch of each address that the adopted topology vouches for; an address
//! that no topology vouches for goes without one, as from an original dashboard.

use std::collections::BTreeMap;
use std::net::IpAddr;

use codis_core::addr::Addr;
use codis_core::api::Slot;
use codis_core::epoch::Epoch;
use codis_core::model::{ActionState, Group, GroupServer, SlotMapping};

use crate::Cluster;

/// From where a proxy sees the replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Viewer {
    /// The data centre in the proxy's record.
    pub datacenter: String,
    /// The IP address of the proxy's admin address, when it resolved.
    pub ip: Option<IpAddr>,
    /// IP addresses of host names among the servers.
    pub resolved: BTreeMap<String, IpAddr>,
}

/// All 1024 slots as `viewer` is sent them; for nobody in particular without one.
pub fn all(cluster: &Cluster, forward_method: u8, viewer: Option<&Viewer>) -> Vec<Slot> {
    cluster
        .slots()
        .iter()
        .map(|slot| one(cluster, slot, forward_method, viewer))
        .collect()
}

/// One slot as `viewer` is sent it.
pub fn one(cluster: &Cluster, slot: &SlotMapping, method: u8, viewer: Option<&Viewer>) -> Slot {
    let (owner, target) = (slot.group_id, slot.action.target_id);
    let base = Slot {
        id: slot.id,
        forward_method: method,
        ..Slot::default()
    };
    match slot.action.state {
        ActionState::Nothing | ActionState::Pending => Slot {
            locked: cluster.is_locked(owner),
            replica_groups: replica_groups(cluster, owner, viewer),
            ..at(cluster, owner, base)
        },
        ActionState::Preparing if cluster.is_held(slot.id) => Slot {
            locked: true,
            ..moving(cluster, owner, target, base)
        },
        // The last three never stand in a slot's record. Serving from the owner is what was true
        // before whoever wrote them.
        ActionState::Preparing
        | ActionState::Syncing
        | ActionState::Synced
        | ActionState::SyncedFailed => Slot {
            locked: cluster.is_locked(owner),
            ..at(cluster, owner, base)
        },
        ActionState::Prepared => Slot {
            locked: true,
            ..moving(cluster, owner, target, base)
        },
        ActionState::Migrating => Slot {
            locked: cluster.is_held(slot.id)
                || cluster.is_locked(owner)
                || cluster.is_locked(target),
            ..moving(cluster, owner, target, base)
        },
        ActionState::Finished => Slot {
            locked: cluster.is_held(slot.id) || cluster.is_locked(target),
            ..at(cluster, target, base)
        },
    }
}

/// `base` at the master of `group`.
fn at(cluster: &Cluster, group: u32, base: Slot) -> Slot {
    Slot {
        backend_addr: cluster.master(group).to_owned(),
        backend_addr_group_id: group,
        backend_addr_epoch: vouched_epoch(cluster, group),
        ..base
    }
}

/// `base` on its way from `owner` to `target`.
fn moving(cluster: &Cluster, owner: u32, target: u32, base: Slot) -> Slot {
    Slot {
        migrate_from: cluster.master(owner).to_owned(),
        migrate_from_group_id: owner,
        migrate_from_epoch: vouched_epoch(cluster, owner),
        ..at(cluster, target, base)
    }
}

/// The epoch at which the current master of `group` was adopted.
fn vouched_epoch(cluster: &Cluster, group: u32) -> Epoch {
    if cluster.master(group).is_empty() || cluster.drifted(group) {
        Epoch::ZERO
    } else {
        cluster.epoch(group)
    }
}

/// Read candidates of a group by priority: same data centre and host, same data centre, the rest.
fn replica_groups(cluster: &Cluster, group: u32, viewer: Option<&Viewer>) -> Vec<Vec<String>> {
    let Ok(group) = cluster.group(group) else {
        return Vec::new();
    };
    if group.promoting.state != ActionState::Nothing
        || cluster.is_locked(group.id)
        || group.servers.len() <= 1
    {
        return Vec::new();
    }
    by_priority(group, viewer)
}

fn by_priority(group: &Group, viewer: Option<&Viewer>) -> Vec<Vec<String>> {
    let mut lists = [const { Vec::new() }; 3];
    for server in group.servers.iter().filter(|server| server.replica_group) {
        let priority = viewer.map_or(2, |viewer| priority(server, viewer));
        lists[priority].push(server.addr.clone());
    }
    lists.into_iter().filter(|list| !list.is_empty()).collect()
}

fn priority(server: &GroupServer, viewer: &Viewer) -> usize {
    let Some(ip) = viewer.ip else { return 2 };
    if server.datacenter != viewer.datacenter {
        return 2;
    }
    let same_host = server.addr.parse::<Addr>().is_ok_and(|addr| {
        let literal = addr.host().parse().ok();
        literal.or_else(|| viewer.resolved.get(addr.host()).copied()) == Some(ip)
    });
    if same_host { 0 } else { 1 }
}
