//! Edits by an operator: each is checked against the cluster and comes back as record changes.
//!
//! The checks run in the order of the original, so that the same mistake gets the same words.

mod actions;
mod groups;
mod priorities;
mod proxies;
mod sentinels;
mod servers;
mod slots;
mod syncs;

pub use actions::{
    cancel_action, create_action, create_range, create_some, queue_all, remove_action,
    set_disabled, set_interval,
};
pub use groups::{create_group, group_id, mark_out_of_sync, mark_synced, remove_group};
pub use priorities::{
    forget_priorities, forget_stray, priorities, remember_priorities, remember_stray, strays,
};
pub use proxies::{create_proxy, keep_proxy, leave_proxy, online_proxy, remove_proxy};
pub use sentinels::{add_sentinel, mark_sentinels, remove_sentinel, sentinel_left};
pub use servers::{
    add_server, check_add_server, remove_server, replica_groups, replica_groups_all,
};
pub use slots::{assign_slots, offline_slots};
pub use syncs::{create_sync, remove_sync};

pub(crate) use actions::without_cancel;
pub(crate) use servers::place;
pub(crate) use syncs::{server, with_action};

use codis_core::model::{ActionState, Group};

use crate::{Change, Cluster, Refusal};

/// What an edit comes to.
pub type Edit = Result<Vec<Change>, Refusal>;

/// The group, unless a promotion owns it.
fn quiet_group(cluster: &Cluster, id: u32) -> Result<&Group, Refusal> {
    let group = cluster.group(id)?;
    if group.promoting.state == ActionState::Nothing {
        Ok(group)
    } else {
        Err(Refusal::GroupPromoting(id))
    }
}

/// Flags the sentinels as out of step, when there are any: the set of servers to watch changed.
fn sentinels_out_of_sync(cluster: &Cluster) -> Option<Change> {
    cluster.has_sentinels().then(|| {
        let mut sentinel = cluster.sentinel().clone();
        sentinel.out_of_sync = true;
        Change::PutSentinel(sentinel)
    })
}
