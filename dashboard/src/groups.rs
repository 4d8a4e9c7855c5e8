//! Groups: adding a server, pushing a group's slots, and clearing the mark of a group that is in
//! step.

mod probe;
mod reattach;

pub use reattach::reattach;

use std::sync::Arc;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::model::Proxy;
use codis_runtime::host;
use codis_topom::{Cluster, Refusal, edit};

use crate::core::{Core, Failure, Settled};
use crate::push;
use crate::state::Audit;

/// Groups are looked at this often even when nothing changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a burst of changes may go on before the marks are looked at.
const SETTLE: Duration = Duration::from_millis(100);

/// A server and where it goes.
#[derive(Clone, Debug)]
pub struct NewServer {
    /// The group.
    pub group: u32,
    /// Its address.
    pub addr: String,
    /// Its data centre, or nothing.
    pub datacenter: String,
}

/// Adds a server that answers as a Redis server does; gives what the operator should know of it.
/// `force` says that he means it, whatever was found.
pub async fn add_server(
    core: &Core,
    audit: Audit,
    to: NewServer,
    force: bool,
) -> Result<Vec<String>, Failure> {
    let NewServer {
        group,
        addr,
        datacenter,
    } = to;
    if !addr.parse::<Addr>().is_ok_and(|parsed| parsed.port() > 0) {
        return Err(Refusal::BadServerAddress.into());
    }
    let probe = probe::probe(core, group, &addr).await?;
    edit::check_add_server(&core.state.cluster(), group, &addr)?;
    let warnings = probe.judge(&addr, group, force)?;
    for warning in &warnings {
        tracing::warn!(who = %audit.who, group, force, "{warning}");
    }
    let at = host::now_rfc3339();
    let decide = move |cluster: &Cluster| edit::add_server(cluster, group, &addr, &datacenter, &at);
    core.state.edit(audit, decide).await?;
    Ok(warnings)
}

/// Sends every proxy the slots of a group again, then clears its mark.
pub async fn resync(core: &Core, audit: Audit, group: u32) -> Result<(), Failure> {
    let view = core.state.view();
    view.cluster.group(group)?;
    let slots = view.cluster.slot_ids(group);
    core.fleet.refill(None, Some(&slots));
    settled(core, &slots, view.revision).await?;
    core.state
        .edit(audit, move |cluster| edit::mark_synced(cluster, group))
        .await?;
    Ok(())
}

/// The same for every group at once.
pub async fn resync_all(core: &Core, audit: Audit) -> Result<(), Failure> {
    let view = core.state.view();
    let groups: Vec<u32> = view.cluster.groups().map(|group| group.id).collect();
    let slots = groups.iter().flat_map(|id| view.cluster.slot_ids(*id));
    let slots: Vec<u16> = slots.collect();
    core.fleet.refill(None, Some(&slots));
    settled(core, &slots, view.revision).await?;
    for group in groups {
        core.state
            .edit(audit.clone(), move |cluster| {
                edit::mark_synced(cluster, group)
            })
            .await?;
    }
    Ok(())
}

/// Waits until the proxies that may serve clients hold these slots, for a bounded time.
///
/// # Errors
/// It names the first one that does not.
pub async fn settled(core: &Core, slots: &[u16], revision: u64) -> Result<(), Failure> {
    let pushed = core.fleet.pushed(slots, revision, push::WAIT_MAX).await;
    Settled::from(pushed).ok()
}

/// Clears the mark of each group whose newest form every proxy that answers holds.
pub async fn keep_in_sync(core: Arc<Core>) {
    let mut rows = core.fleet.changes();
    let mut views = core.state.subscribe();
    loop {
        for group in in_step(&core) {
            let audit = Audit::own(format!("group/in-sync {group}"));
            let edited = core
                .state
                .edit(audit, move |cluster| edit::mark_synced(cluster, group))
                .await;
            if let Err(error) = edited {
                tracing::warn!(group, %error, "group not marked as in sync");
            }
        }
        tokio::select! {
            changed = views.changed() => if changed.is_err() { return },
            changed = rows.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        // Changes come in bursts; each mark is a write to the store.
        tokio::time::sleep(SETTLE).await;
        rows.mark_unchanged();
        views.mark_unchanged();
    }
}

fn in_step(core: &Core) -> Vec<u32> {
    let view = core.state.view();
    let statuses = core.fleet.statuses();
    let is_known = |proxy: &Proxy| statuses.contains_key(&proxy.token);
    if !view.cluster.proxies().all(is_known) {
        return Vec::new();
    }
    let conflicts = core.belief.conflicts();
    let marked = view.cluster.groups().filter(|group| group.out_of_sync);
    marked
        .map(|group| group.id)
        .filter(|id| !conflicts.contains(id) && !view.cluster.drifted(*id))
        .filter(|id| {
            let slots = view.cluster.slot_ids(*id);
            core.fleet.agrees(&slots, view.revision)
        })
        .collect()
}
