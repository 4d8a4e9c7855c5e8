//! Replica priorities that are changed for the time of a promotion, so that they are given back
//! even by a dashboard that starts in the middle.

use std::collections::BTreeMap;

use codis_core::ha::GroupTopology;

use super::Edit;
use crate::{Change, Cluster};

/// What is to be given back in a group.
pub fn priorities(cluster: &Cluster, group: u32) -> BTreeMap<String, u32> {
    cluster
        .topology(group)
        .map(|held| held.priorities.clone())
        .unwrap_or_default()
}

/// Remembers the priorities that servers have. What is remembered already is older, and stands.
pub fn remember_priorities(
    cluster: &Cluster,
    group: u32,
    had: &BTreeMap<String, u32>,
    at: &str,
) -> Edit {
    let mut kept = had.clone();
    kept.extend(priorities(cluster, group));
    store(cluster, group, kept, at)
}

/// Forgets those of servers that have them again.
pub fn forget_priorities(cluster: &Cluster, group: u32, servers: &[String], at: &str) -> Edit {
    let mut kept = priorities(cluster, group);
    kept.retain(|addr, _| !servers.contains(addr));
    store(cluster, group, kept, at)
}

fn store(cluster: &Cluster, group: u32, kept: BTreeMap<String, u32>, at: &str) -> Edit {
    let record = cluster.group(group)?;
    if kept == priorities(cluster, group) {
        return Ok(Vec::new());
    }
    let held = cluster.topology(group).cloned();
    let topology = held.unwrap_or_else(|| GroupTopology {
        group_id: record.id,
        master: cluster.master(group).to_owned(),
        source: "dashboard".to_owned(),
        adopted_at: at.to_owned(),
        ..GroupTopology::default()
    });
    Ok(vec![Change::PutTopology(GroupTopology {
        priorities: kept,
        ..topology
    })])
}
