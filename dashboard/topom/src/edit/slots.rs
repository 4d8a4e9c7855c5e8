//! Slots given to groups without a migration.

use std::collections::BTreeMap;

use codis_core::model::{ActionState, Group, SlotMapping};

use super::Edit;
use crate::{Change, Cluster, Refusal};

/// Gives slots to groups, keys or not. A slot under migration is refused: its keys would be
/// stranded on the source.
pub fn assign_slots(cluster: &Cluster, wanted: &[SlotMapping]) -> Edit {
    let mut touched: BTreeMap<u32, Group> = BTreeMap::new();
    for slot in wanted {
        let held = cluster.slot(slot.id)?;
        let group = cluster.group(slot.group_id)?;
        if group.servers.is_empty() {
            return Err(Refusal::GroupEmpty(group.id));
        }
        without_action(slot)?;
        idle(held)?;
        touched.insert(
            group.id,
            Group {
                out_of_sync: true,
                ..group.clone()
            },
        );
    }
    let groups = touched.into_values().map(Change::PutGroup);
    let slots = wanted.iter().map(|slot| assigned(slot.id, slot.group_id));
    Ok(groups.chain(slots).collect())
}

/// Takes slots from their groups, keys or not.
pub fn offline_slots(cluster: &Cluster, wanted: &[SlotMapping]) -> Edit {
    for slot in wanted {
        let held = cluster.slot(slot.id)?;
        if slot.group_id != 0 {
            return Err(Refusal::SlotNotOffline(slot.id));
        }
        without_action(slot)?;
        idle(held)?;
    }
    Ok(wanted.iter().map(|slot| assigned(slot.id, 0)).collect())
}

fn assigned(id: u16, group_id: u32) -> Change {
    Change::PutSlot(SlotMapping {
        id,
        group_id,
        ..SlotMapping::default()
    })
}

/// What is asked for carries no action of its own.
fn without_action(slot: &SlotMapping) -> Result<(), Refusal> {
    let state = slot.action.state;
    if state == ActionState::Nothing {
        Ok(())
    } else {
        Err(Refusal::SlotWithAction {
            slot: slot.id,
            state,
        })
    }
}

/// What is held has no action queued or running.
fn idle(held: &SlotMapping) -> Result<(), Refusal> {
    if held.action.state == ActionState::Nothing {
        Ok(())
    } else {
        Err(Refusal::SlotBusy(held.id))
    }
}
