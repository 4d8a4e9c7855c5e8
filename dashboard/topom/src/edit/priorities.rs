//! Replica priorities that are changed for a time, and what they were, so that they are given back
//! even by a dashboard that starts in the middle.
//!
//! Two reasons change them. A promotion through stock sentinels makes its candidate the one that
//! they prefer. And a *stray*, a server that is not of a group and follows its master all the same,
//! gets 0, by which no sentinel promotes it.

use std::collections::BTreeMap;

use codis_core::ha::GroupTopology;

use super::Edit;
use crate::{Change, Cluster};

/// What a promotion has to give back in a group.
pub fn priorities(cluster: &Cluster, group: u32) -> BTreeMap<String, u32> {
    cluster
        .topology(group)
        .map(|held| held.priorities.clone())
        .unwrap_or_default()
}

/// The strays of a group, with what is to be given back to them.
pub fn strays(cluster: &Cluster, group: u32) -> BTreeMap<String, u32> {
    cluster
        .topology(group)
        .map(|held| held.strays.clone())
        .unwrap_or_default()
}

/// Remembers the priorities that servers have. What is remembered already is older, and stands.
pub fn remember_priorities(
    cluster: &Cluster,
    group: u32,
    had: &BTreeMap<String, u32>,
    at: &str,
) -> Edit {
    store(cluster, group, at, |held| {
        let known = std::mem::take(&mut held.priorities);
        held.priorities = had.clone();
        held.priorities.extend(known);
    })
}

/// Forgets those of servers that have them again.
pub fn forget_priorities(cluster: &Cluster, group: u32, servers: &[String], at: &str) -> Edit {
    store(cluster, group, at, |held| {
        held.priorities.retain(|addr, _| !servers.contains(addr));
    })
}

/// Remembers the priority of a stray. What is remembered already is older, and stands.
pub fn remember_stray(cluster: &Cluster, group: u32, addr: &str, had: u32, at: &str) -> Edit {
    store(cluster, group, at, |held| {
        held.strays.entry(addr.to_owned()).or_insert(had);
    })
}

/// Forgets one that has its priority again.
pub fn forget_stray(cluster: &Cluster, group: u32, addr: &str, at: &str) -> Edit {
    store(cluster, group, at, |held| {
        held.strays.remove(addr);
    })
}

fn store(cluster: &Cluster, group: u32, at: &str, change: impl FnOnce(&mut GroupTopology)) -> Edit {
    let record = cluster.group(group)?;
    let held = cluster.topology(group).cloned();
    let before = held.unwrap_or_else(|| GroupTopology {
        group_id: record.id,
        master: cluster.master(group).to_owned(),
        source: "dashboard".to_owned(),
        adopted_at: at.to_owned(),
        ..GroupTopology::default()
    });
    let mut after = before.clone();
    change(&mut after);
    if after == before {
        return Ok(Vec::new());
    }
    Ok(vec![Change::PutTopology(after)])
}

#[cfg(test)]
mod tests {
    use codis_core::model::Group;

    use super::*;
    use crate::Records;

    #[test]
    fn what_is_remembered_first_stands_until_it_is_given_back() {
        let groups = vec![Group {
            id: 1,
            ..Group::default()
        }];
        let mut cluster = Cluster::load(Records {
            groups,
            ..Records::default()
        });
        let mut apply = |edit: fn(&Cluster) -> Edit| {
            let changes = edit(&cluster).unwrap();
            changes.iter().for_each(|change| cluster.apply(change));
            (changes.len(), strays(&cluster, 1), priorities(&cluster, 1))
        };
        let (_, kept, lent) = apply(|c| remember_stray(c, 1, "s:1", 100, "now"));
        assert_eq!((kept["s:1"], lent.len()), (100, 0));
        let again = apply(|c| remember_stray(c, 1, "s:1", 0, "later"));
        assert_eq!((again.0, again.1["s:1"]), (0, 100), "nothing is written");
        let had = |c: &Cluster| remember_priorities(c, 1, &[("r:1".into(), 7)].into(), "now");
        let both = apply(had);
        assert_eq!((both.1.len(), both.2["r:1"]), (1, 7));
        let one = apply(|c| forget_stray(c, 1, "s:1", "now"));
        assert_eq!((one.1.len(), one.2.len()), (0, 1));
        assert_eq!(apply(|c| forget_stray(c, 1, "s:1", "now")).0, 0);
        assert!(remember_stray(&cluster, 2, "s:1", 1, "now").is_err());
    }
}
