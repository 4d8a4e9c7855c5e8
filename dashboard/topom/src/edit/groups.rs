//! Groups as a whole.

use codis_core::model::Group;

use super::Edit;
use crate::{Change, Cluster, Refusal};

/// The highest group id.
const GROUP_ID_MAX: i64 = 9999;

/// A group id as an operator typed it, for a group that should exist.
pub fn group_id(typed: i64) -> Result<u32, Refusal> {
    u32::try_from(typed).map_err(|_| Refusal::GroupMissing(typed))
}

/// A new, empty group.
pub fn create_group(cluster: &Cluster, typed: i64) -> Edit {
    if !(1..=GROUP_ID_MAX).contains(&typed) {
        return Err(Refusal::GroupIdOutOfRange(typed));
    }
    let id = group_id(typed)?;
    if cluster.group(id).is_ok() {
        return Err(Refusal::GroupExists(id));
    }
    Ok(vec![Change::PutGroup(Group {
        id,
        ..Group::default()
    })])
}

/// Removes an empty group.
pub fn remove_group(cluster: &Cluster, id: u32) -> Edit {
    if !cluster.group(id)?.servers.is_empty() {
        return Err(Refusal::GroupNotEmpty(id));
    }
    Ok(vec![Change::DeleteGroup(id)])
}

/// Records that the proxies hold the group's newest form.
pub fn mark_synced(cluster: &Cluster, id: u32) -> Edit {
    mark(cluster, id, false)
}

/// Records that some proxy may hold an older form of the group.
pub fn mark_out_of_sync(cluster: &Cluster, id: u32) -> Edit {
    mark(cluster, id, true)
}

fn mark(cluster: &Cluster, id: u32, out_of_sync: bool) -> Edit {
    let group = cluster.group(id)?;
    if group.out_of_sync == out_of_sync {
        return Ok(Vec::new());
    }
    Ok(vec![Change::PutGroup(Group {
        out_of_sync,
        ..group.clone()
    })])
}
