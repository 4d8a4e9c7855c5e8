//! Orders that a server follow its group's master.

use codis_core::model::{ActionState, Group, ServerAction};

use super::{Edit, quiet_group};
use crate::{Change, Cluster, Refusal};

/// Queues an order behind all others.
pub fn create_sync(cluster: &Cluster, addr: &str) -> Edit {
    let (group, at) = server(cluster, addr)?;
    quiet_group(cluster, group.id)?;
    if group.servers[at].action.state == ActionState::Pending {
        return Err(Refusal::SyncExists(addr.to_owned()));
    }
    let index = 1 + cluster
        .groups()
        .flat_map(|group| &group.servers)
        .filter(|server| server.action.state == ActionState::Pending)
        .map(|server| server.action.index)
        .max()
        .unwrap_or(0);
    Ok(vec![with_action(
        group,
        at,
        ServerAction {
            index,
            state: ActionState::Pending,
        },
    )])
}

/// Forgets an order, or the mark that a finished one left.
pub fn remove_sync(cluster: &Cluster, addr: &str) -> Edit {
    let (group, at) = server(cluster, addr)?;
    quiet_group(cluster, group.id)?;
    if group.servers[at].action.state == ActionState::Nothing {
        return Err(Refusal::SyncMissing(addr.to_owned()));
    }
    Ok(vec![with_action(group, at, ServerAction::default())])
}

pub(crate) fn server<'a>(c: &'a Cluster, addr: &str) -> Result<(&'a Group, usize), Refusal> {
    c.find_server(addr)
        .ok_or_else(|| Refusal::ServerMissing(addr.to_owned()))
}

pub(crate) fn with_action(group: &Group, at: usize, action: ServerAction) -> Change {
    let mut group = group.clone();
    group.servers[at].action = action;
    Change::PutGroup(group)
}
