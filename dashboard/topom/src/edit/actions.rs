//! Slot actions: slots that go from group to group with their keys.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use codis_core::ha::SlotActions;
use codis_core::model::{ActionState, SlotAction, SlotMapping};
use codis_core::slot::SLOTS;

use super::{Edit, group_id};
use crate::{Change, Cluster, Refusal};

/// The longest pause between two migrate commands, in microseconds.
const INTERVAL_MAX: i64 = 1_000_000;

/// Queues a slot for a group.
pub fn create_action(cluster: &Cluster, sid: i64, gid: i64) -> Edit {
    let target = target(cluster, gid)?;
    let slot = slot(cluster, sid)?;
    movable(slot, target)?;
    Ok(queue(cluster, [(slot, target)]))
}

/// Queues the first `num` slots of `from` that have no action; from group 0, those that are
/// offline. To find fewer, or none, is fine.
pub fn create_some(cluster: &Cluster, from: i64, gid: i64, num: i64) -> Edit {
    let target = target(cluster, gid)?;
    let num = usize::try_from(num).unwrap_or(0);
    let found = cluster.slots().iter().filter(|slot| {
        slot.action.state == ActionState::Nothing
            && i64::from(slot.group_id) == from
            && slot.group_id != target
    });
    Ok(queue(cluster, found.take(num).map(|slot| (slot, target))))
}

/// Queues all slots of a range, or none.
pub fn create_range(cluster: &Cluster, beg: i64, end: i64, gid: i64) -> Edit {
    let range = range(beg, end)?;
    let target = target(cluster, gid)?;
    let slots = range.map(|id| cluster.slot(id));
    let slots = slots.collect::<Result<Vec<_>, _>>()?;
    slots.iter().try_for_each(|slot| movable(slot, target))?;
    Ok(queue(cluster, slots.into_iter().map(|slot| (slot, target))))
}

/// Queues the slots of a plan, which was made from the same cluster.
pub fn queue_all(cluster: &Cluster, plan: &BTreeMap<u16, u32>) -> Edit {
    let slots = plan
        .iter()
        .map(|(id, target)| Ok((cluster.slot(*id)?, *target)));
    let slots = slots.collect::<Result<Vec<_>, Refusal>>()?;
    Ok(queue(cluster, slots))
}

/// Takes a slot out of the queue.
pub fn remove_action(cluster: &Cluster, sid: i64) -> Edit {
    let slot = slot(cluster, sid)?;
    match slot.action.state {
        ActionState::Nothing => Err(Refusal::ActionMissing(slot.id)),
        ActionState::Pending => Ok(vec![cleared(slot)]),
        ActionState::Preparing
        | ActionState::Prepared
        | ActionState::Migrating
        | ActionState::Finished
        | ActionState::Syncing
        | ActionState::Synced
        | ActionState::SyncedFailed => Err(Refusal::ActionStarted(slot.id)),
    }
}

/// Takes an action back, started or not. One that may have moved keys is turned round by the mover;
/// until then the wish is on record. To cancel a slot on its way back sends it forth again.
pub fn cancel_action(cluster: &Cluster, sid: i64) -> Edit {
    let slot = slot(cluster, sid)?;
    match slot.action.state {
        ActionState::Nothing => Err(Refusal::ActionMissing(slot.id)),
        ActionState::Pending | ActionState::Preparing => Ok(vec![cleared(slot)]),
        // No proxy has served it yet, and there are no keys to bring back.
        ActionState::Prepared if slot.group_id == 0 => Ok(vec![cleared(slot)]),
        ActionState::Prepared | ActionState::Migrating | ActionState::Finished => {
            turn_round(cluster, slot)
        }
        ActionState::Syncing | ActionState::Synced | ActionState::SyncedFailed => {
            Err(Refusal::ActionState(slot.id))
        }
    }
}

fn turn_round(cluster: &Cluster, slot: &SlotMapping) -> Edit {
    if slot.group_id == 0 {
        return Err(Refusal::NoWayBack(slot.id));
    }
    target(cluster, i64::from(slot.group_id))?;
    let mut actions = cluster.slot_actions().clone();
    if cluster.is_cancelled(slot) {
        return Ok(Vec::new());
    }
    actions.cancelled.insert(slot.id, slot.action.target_id);
    Ok(vec![Change::PutSlotActions(actions)])
}

/// Sets the pause between two migrate commands of a slot, in microseconds.
pub fn set_interval(cluster: &Cluster, micros: i64) -> Edit {
    let interval = u32::try_from(micros.clamp(0, INTERVAL_MAX)).unwrap_or(0);
    put_actions(cluster, |actions| actions.interval = interval)
}

/// Stops or resumes the start of actions and the moving of keys.
pub fn set_disabled(cluster: &Cluster, disabled: bool) -> Edit {
    put_actions(cluster, |actions| actions.disabled = disabled)
}

fn put_actions(cluster: &Cluster, set: impl FnOnce(&mut SlotActions)) -> Edit {
    let mut actions = cluster.slot_actions().clone();
    set(&mut actions);
    if actions == *cluster.slot_actions() {
        Ok(Vec::new())
    } else {
        Ok(vec![Change::PutSlotActions(actions)])
    }
}

/// Forgets the wish to cancel a slot's action, when there is one.
pub(crate) fn without_cancel(cluster: &Cluster, slot: u16) -> Option<Change> {
    let mut actions = cluster.slot_actions().clone();
    let wished = actions.cancelled.remove(&slot);
    wished.map(|_| Change::PutSlotActions(actions))
}

/// The group that slots are to go to: it exists and has a server.
fn target(cluster: &Cluster, gid: i64) -> Result<u32, Refusal> {
    let group = cluster.group(group_id(gid)?)?;
    if group.servers.is_empty() {
        Err(Refusal::GroupEmpty(group.id))
    } else {
        Ok(group.id)
    }
}

fn slot(cluster: &Cluster, sid: i64) -> Result<&SlotMapping, Refusal> {
    let id = u16::try_from(sid).map_err(|_| Refusal::SlotMissing(sid))?;
    cluster.slot(id)
}

fn range(beg: i64, end: i64) -> Result<RangeInclusive<u16>, Refusal> {
    let slot = |sid: i64| {
        u16::try_from(sid)
            .ok()
            .filter(|id| usize::from(*id) < SLOTS)
    };
    match (slot(beg), slot(end)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(Refusal::SlotRange(beg, end)),
    }
}

fn movable(slot: &SlotMapping, target: u32) -> Result<(), Refusal> {
    if slot.action.state != ActionState::Nothing {
        return Err(Refusal::SlotBusy(slot.id));
    }
    if slot.group_id == target {
        let (slot, group) = (slot.id, target);
        return Err(Refusal::SlotInGroup { slot, group });
    }
    Ok(())
}

/// The slots as pending actions, behind all that there are.
fn queue<'a>(
    cluster: &Cluster,
    slots: impl IntoIterator<Item = (&'a SlotMapping, u32)>,
) -> Vec<Change> {
    let acting = cluster
        .slots()
        .iter()
        .filter(|slot| slot.action.state != ActionState::Nothing);
    let last = acting.map(|slot| slot.action.index).max().unwrap_or(0);
    let pending = |((slot, target_id), index): ((&SlotMapping, u32), u64)| {
        Change::PutSlot(SlotMapping {
            action: SlotAction {
                index,
                state: ActionState::Pending,
                target_id,
            },
            ..slot.clone()
        })
    };
    slots.into_iter().zip(last + 1..).map(pending).collect()
}

fn cleared(slot: &SlotMapping) -> Change {
    Change::PutSlot(SlotMapping {
        action: SlotAction::default(),
        ..slot.clone()
    })
}
