//! Plans by what groups can hold and by what they do hold.

use std::collections::BTreeMap;

use codis_core::model::{ActionState, SlotMapping};
use codis_core::slot::SLOTS;

use super::Plan;
use crate::{Cluster, Refusal};

/// Gives each group a number of slots in proportion to the `maxmemory` of its master, as Codis 2
/// did: a group above its quota gives its highest slots to groups below theirs. What the division
/// leaves goes to the group with the most memory.
///
/// # Errors
/// A slot is offline, or a master has no limit to its memory.
pub fn by_memory(cluster: &Cluster, maxmemory: &BTreeMap<u32, u64>) -> Result<Plan, Refusal> {
    let mut held = slots_by_group(cluster)?;
    let mut memory: BTreeMap<u32, u64> = BTreeMap::new();
    for group in held.keys() {
        let master = || cluster.master(*group).to_owned();
        match maxmemory.get(group) {
            Some(0) => return Err(Refusal::NoMaxmemory(master())),
            Some(bytes) => memory.insert(*group, *bytes),
            None => return Err(Refusal::NotPolled(master())),
        };
    }
    let quotas = quotas(&memory);
    let size = |held: &BTreeMap<u32, Held>, group: u32| held.get(&group).map_or(0, Held::size);
    let mut plan = Plan::new();
    for (from, quota) in &quotas {
        for (to, room) in &quotas {
            while size(&held, *from) > *quota && size(&held, *to) < *room {
                let Some(slot) = held.get_mut(from).and_then(|from| from.movable.pop()) else {
                    break;
                };
                if let Some(to) = held.get_mut(to) {
                    to.pinned.push(slot);
                }
                plan.insert(slot, *to);
            }
        }
    }
    Ok(plan)
}

/// Levels the numbers of keys: the group with the most keys gives slots, the highest first, to the
/// one with the fewest, as long as that makes the larger of the two smaller. `keys` has the keys of
/// each slot.
///
/// # Errors
/// A slot is offline.
pub fn by_keys(cluster: &Cluster, keys: &BTreeMap<u16, u64>) -> Result<Plan, Refusal> {
    let mut held = slots_by_group(cluster)?;
    let of = |slot: u16| keys.get(&slot).copied().unwrap_or(0);
    let mut loads: BTreeMap<u32, u64> = held
        .iter()
        .map(|(group, held)| (*group, held.slots().map(of).sum()))
        .collect();
    let mut plan = Plan::new();
    // Each turn moves a slot that has not moved, so there are at most as many turns as slots.
    while let Some((slot, from, to)) = next_move(&held, &loads, of) {
        if let Some(from) = held.get_mut(&from) {
            from.movable.retain(|movable| *movable != slot);
        }
        *loads.entry(from).or_default() -= of(slot);
        *loads.entry(to).or_default() += of(slot);
        plan.insert(slot, to);
    }
    Ok(plan)
}

/// The next slot that leaves the fullest group that has one whose leaving helps.
fn next_move(
    held: &BTreeMap<u32, Held>,
    loads: &BTreeMap<u32, u64>,
    of: impl Fn(u16) -> u64,
) -> Option<(u16, u32, u32)> {
    let (to, least) = loads.iter().min_by_key(|(group, load)| (**load, **group))?;
    let mut fullest: Vec<(&u32, &u64)> = loads.iter().collect();
    fullest.sort_by_key(|(group, load)| (std::cmp::Reverse(**load), **group));
    fullest.into_iter().find_map(|(from, load)| {
        let helps = |slot: &&u16| of(**slot) > 0 && least + of(**slot) < *load;
        let movable = &held.get(from)?.movable;
        movable
            .iter()
            .rev()
            .find(helps)
            .map(|slot| (*slot, *from, *to))
    })
}

/// The slots that a group holds, ascending.
#[derive(Default)]
struct Held {
    /// An action brings them; they stay.
    pinned: Vec<u16>,
    movable: Vec<u16>,
}

impl Held {
    fn size(&self) -> usize {
        self.pinned.len() + self.movable.len()
    }

    fn slots(&self) -> impl Iterator<Item = u16> {
        self.pinned.iter().chain(&self.movable).copied()
    }
}

/// All slots by the group that has them, or that their action brings them to.
fn slots_by_group(cluster: &Cluster) -> Result<BTreeMap<u32, Held>, Refusal> {
    let groups = cluster.groups().filter(|group| !group.servers.is_empty());
    let mut held: BTreeMap<u32, Held> = groups.map(|group| (group.id, Held::default())).collect();
    if held.is_empty() {
        return Err(Refusal::NoGroup);
    }
    for slot in cluster.slots() {
        let holder = held.get_mut(&goes_to(slot)).ok_or(Refusal::NotAllOnline)?;
        if slot.action.state == ActionState::Nothing {
            holder.movable.push(slot.id);
        } else {
            holder.pinned.push(slot.id);
        }
    }
    Ok(held)
}

const fn goes_to(slot: &SlotMapping) -> u32 {
    match slot.action.state {
        ActionState::Nothing => slot.group_id,
        ActionState::Pending
        | ActionState::Preparing
        | ActionState::Prepared
        | ActionState::Migrating
        | ActionState::Finished
        | ActionState::Syncing
        | ActionState::Synced
        | ActionState::SyncedFailed => slot.action.target_id,
    }
}

fn quotas(memory: &BTreeMap<u32, u64>) -> BTreeMap<u32, usize> {
    let sum: u128 = memory.values().map(|bytes| u128::from(*bytes)).sum();
    let share = |bytes: u64| (SLOTS as u128 * u128::from(bytes) / sum.max(1)) as usize;
    let mut quotas: BTreeMap<u32, usize> = memory
        .iter()
        .map(|(group, bytes)| (*group, share(*bytes)))
        .collect();
    let rest = SLOTS.saturating_sub(quotas.values().sum());
    let largest = memory
        .iter()
        .max_by_key(|(group, bytes)| (**bytes, std::cmp::Reverse(**group)));
    if let Some(quota) = largest.and_then(|(group, _)| quotas.get_mut(group)) {
        *quota += rest;
    }
    quotas
}
