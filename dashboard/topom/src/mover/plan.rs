//! Which slots set out, and which send keys next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use codis_core::model::{ActionState, SlotMapping};

use super::{Command, Limits, Move, State};
use crate::Cluster;

/// Whether nothing but the limits keeps a pending slot from setting out.
pub fn may_start(cluster: &Cluster, slot: &SlotMapping) -> bool {
    !cluster.slot_actions().disabled
        && !cluster.is_promoting(slot.group_id)
        && !cluster.is_promoting(slot.action.target_id)
}

/// Pending slots that there is room for: the lowest index first, and of equal ones the highest
/// slot, as in the original.
pub fn startable(moves: &BTreeMap<u16, Move>, limits: Limits, cluster: &Cluster) -> Vec<u16> {
    let mut pending: Vec<&SlotMapping> = cluster
        .slots()
        .iter()
        .filter(|slot| slot.action.state == ActionState::Pending)
        .filter(|slot| !moves.contains_key(&slot.id) && may_start(cluster, slot))
        .collect();
    if pending.is_empty() {
        return Vec::new();
    }
    pending.sort_by_key(|slot| (slot.action.index, Reverse(slot.id)));
    let mut total = moves.values().filter(|one| one.failures == 0).count();
    let mut pairs: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for slot in moves.keys().filter_map(|id| cluster.slot(*id).ok()) {
        *pairs.entry(pair(slot)).or_default() += 1;
    }
    let mut chosen = Vec::new();
    for slot in pending {
        if total >= limits.slots {
            break;
        }
        let of_pair = pairs.entry(pair(slot)).or_default();
        // A slot without a source has no keys to send.
        if slot.group_id == 0 || *of_pair < limits.slots_of_pair {
            *of_pair += 1;
            total += 1;
            chosen.push(slot.id);
        }
    }
    chosen
}

const fn pair(slot: &SlotMapping) -> (u32, u32) {
    (slot.group_id, slot.action.target_id)
}

/// Migrate commands that may leave now.
///
/// A group has one part at a time: it sends, with one command, or it receives. So there is no ring
/// of servers that wait for each other. Slots that failed come last, then the order of creation
/// decides. A slot that must wait for a part keeps it from those behind it, so none waits for ever.
pub fn commands(moves: &BTreeMap<u16, Move>, cluster: &Cluster) -> Vec<Command> {
    let mut sending = BTreeSet::new();
    let mut receiving = BTreeSet::new();
    for one in moves.values() {
        if let State::Moving { source, target } = one.state {
            sending.insert(source);
            // A command that is tried again after a failure may hang once more. Nobody waits for
            // that but its own source; at worst a batch is refused.
            if one.failures == 0 {
                receiving.insert(target);
            }
        }
    }
    let mut waiting: Vec<(&SlotMapping, &Move)> = moves
        .iter()
        .filter_map(|(id, one)| Some((cluster.slot(*id).ok()?, one)))
        .filter(|(slot, one)| wants_command(cluster, slot, one))
        .collect();
    waiting.sort_by_key(|(slot, one)| (one.failures, slot.action.index, slot.id));
    let mut commands = Vec::new();
    for (slot, one) in waiting {
        let (source, target) = pair(slot);
        let free = !sending.contains(&source)
            && !receiving.contains(&source)
            && !sending.contains(&target);
        sending.insert(source);
        receiving.insert(target);
        if free {
            commands.push(Command {
                slot: slot.id,
                db: one.db,
                source: one.source.clone(),
                target: cluster.master(target).to_owned(),
            });
        }
    }
    commands
}

fn wants_command(cluster: &Cluster, slot: &SlotMapping, one: &Move) -> bool {
    one.state == State::Open
        && slot.action.state == ActionState::Migrating
        && !one.drained
        && !cluster.is_cancelled(slot)
        && !cluster.is_held(slot.id)
        && may_start(cluster, slot)
}
