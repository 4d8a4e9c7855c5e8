//! Servers of a group.

use codis_core::addr::Addr;
use codis_core::ha::GroupTopology;
use codis_core::model::{ActionState, Group, GroupServer};

use super::{Edit, quiet_group, sentinels_out_of_sync};
use crate::cluster::place_of;
use crate::{Change, Cluster, Refusal};

/// Checks what can be checked before the server itself is asked.
pub fn check_add_server(cluster: &Cluster, id: u32, addr: &str) -> Result<(), Refusal> {
    if !addr.parse::<Addr>().is_ok_and(|addr| addr.port() > 0) {
        return Err(Refusal::BadServerAddress);
    }
    if cluster.find_server(addr).is_some() {
        return Err(Refusal::ServerExists(addr.to_owned()));
    }
    quiet_group(cluster, id).map(drop)
}

/// Adds a server at the end of a group.
///
/// The first server of a group whose id was used before is a change of master that no election
/// made, so it gets the next epoch: a proxy never moves a master at an epoch that it holds already.
pub fn add_server(cluster: &Cluster, id: u32, addr: &str, datacenter: &str, at: &str) -> Edit {
    check_add_server(cluster, id, addr)?;
    let mut group = quiet_group(cluster, id)?.clone();
    let mut changes = Vec::new();
    let replaced = cluster.topology(id).filter(|held| held.master != addr);
    if let Some(held) = replaced.filter(|_| group.servers.is_empty()) {
        changes.push(Change::PutTopology(GroupTopology {
            group_id: id,
            epoch: held.epoch.next(),
            master: addr.to_owned(),
            run_id: String::new(),
            source: "dashboard".to_owned(),
            adopted_at: at.to_owned(),
            ..held.clone()
        }));
    }
    group.servers.push(GroupServer {
        addr: addr.to_owned(),
        datacenter: datacenter.to_owned(),
        ..GroupServer::default()
    });
    changes.push(Change::PutGroup(group));
    changes.extend(sentinels_out_of_sync(cluster));
    Ok(changes)
}

/// Takes a server out of a group; the Redis process is left alone.
pub fn remove_server(cluster: &Cluster, id: u32, addr: &str) -> Edit {
    let group = cluster.group(id)?;
    let at = place(group, addr)?;
    let mut group = quiet_group(cluster, id)?.clone();
    if at == 0 && (group.servers.len() != 1 || cluster.is_in_use(id)) {
        return Err(Refusal::MasterInUse(id));
    }
    let removed = group.servers.remove(at);
    group.out_of_sync |= removed.replica_group;
    group.out_of_sync &= !group.servers.is_empty();
    let mut changes = vec![Change::PutGroup(group)];
    changes.extend(sentinels_out_of_sync(cluster));
    Ok(changes)
}

/// Lets proxies read from a server, or stops them.
pub fn replica_groups(cluster: &Cluster, id: u32, addr: &str, enabled: bool) -> Edit {
    let group = cluster.group(id)?;
    let at = place(group, addr)?;
    let mut group = quiet_group(cluster, id)?.clone();
    group.servers[at].replica_group = enabled;
    flag_if_read(cluster, &mut group);
    Ok(vec![Change::PutGroup(group)])
}

/// The same for every server of every group; a promoting group refuses it for all.
pub fn replica_groups_all(cluster: &Cluster, enabled: bool) -> Edit {
    if let Some(busy) = cluster
        .groups()
        .find(|g| g.promoting.state != ActionState::Nothing)
    {
        return Err(Refusal::GroupPromoting(busy.id));
    }
    let changed = cluster.groups().filter(|group| {
        group
            .servers
            .iter()
            .any(|server| server.replica_group != enabled)
    });
    Ok(changed
        .map(|group| {
            let mut group = group.clone();
            group
                .servers
                .iter_mut()
                .for_each(|server| server.replica_group = enabled);
            flag_if_read(cluster, &mut group);
            Change::PutGroup(group)
        })
        .collect())
}

/// The place of a server, or the refusal that says which group lacks it.
pub(crate) fn place(group: &Group, addr: &str) -> Result<usize, Refusal> {
    place_of(group, addr).ok_or_else(|| Refusal::NotInGroup {
        group: group.id,
        server: addr.to_owned(),
    })
}

fn flag_if_read(cluster: &Cluster, group: &mut Group) {
    if group.servers.len() > 1 && cluster.is_in_use(group.id) {
        group.out_of_sync = true;
    }
}
