//! The plan that gives each group its share of slots, slot for slot that of the original.

mod weighted;

use std::collections::{BTreeMap, BTreeSet};

use codis_core::model::ActionState;
use codis_core::slot::SLOTS;

use crate::{Cluster, Refusal};

pub use weighted::{by_keys, by_memory};

/// Slots that should move, each with its new group.
pub type Plan = BTreeMap<u16, u32>;

/// The slots of one group as the plan sees them.
#[derive(Default)]
struct Share {
    /// Slots that stay, or that an action brings.
    pinned: usize,
    /// Slots that may leave, ascending.
    movable: Vec<u16>,
    /// How many leave; below zero, how many come.
    out: isize,
}

impl Share {
    fn size(&self) -> isize {
        (self.pinned + self.movable.len()) as isize - self.out
    }
}

/// The plan that levels the numbers of slots.
pub fn plan(cluster: &Cluster) -> Result<Plan, Refusal> {
    let mut shares: BTreeMap<u32, Share> = cluster
        .groups()
        .filter(|group| !group.servers.is_empty())
        .map(|group| (group.id, Share::default()))
        .collect();
    if shares.is_empty() {
        return Err(Refusal::NoGroup);
    }
    let lower = SLOTS / shares.len();
    let upper = SLOTS.div_ceil(shares.len());
    count(cluster, &mut shares, lower as isize);
    let mut pool = take_offline(cluster, &mut shares);
    level(&mut shares, lower as isize, upper as isize);
    for share in shares.values() {
        let leaving = usize::try_from(share.out).unwrap_or(0);
        pool.extend(share.movable.iter().rev().take(leaving));
    }
    pool.sort_unstable();
    let mut pool = pool.into_iter();
    let mut plan = BTreeMap::new();
    for (group, share) in &shares {
        let coming = usize::try_from(-share.out).unwrap_or(0);
        plan.extend(pool.by_ref().take(coming).map(|slot| (slot, *group)));
    }
    Ok(plan)
}

/// Pins what stays and lists what may move.
fn count(cluster: &Cluster, shares: &mut BTreeMap<u32, Share>, lower: isize) {
    let (idle, acting): (Vec<_>, Vec<_>) = cluster
        .slots()
        .iter()
        .partition(|slot| slot.action.state == ActionState::Nothing);
    for slot in acting {
        if let Some(share) = shares.get_mut(&slot.action.target_id) {
            share.pinned += 1;
        }
    }
    for slot in idle {
        let Some(share) = shares.get_mut(&slot.group_id) else {
            continue;
        };
        if share.size() < lower {
            share.pinned += 1;
        } else {
            share.movable.push(slot.id);
        }
    }
}

/// Gives each slot without a group to the smallest group.
fn take_offline(cluster: &Cluster, shares: &mut BTreeMap<u32, Share>) -> Vec<u16> {
    let offline: Vec<u16> = cluster
        .slots()
        .iter()
        .filter(|slot| slot.action.state == ActionState::Nothing && slot.group_id == 0)
        .map(|slot| slot.id)
        .collect();
    let mut order = ordered(shares);
    for _ in &offline {
        if let Some((_, group)) = order.pop_first() {
            order.insert(shift(shares, group, -1));
        }
    }
    offline
}

/// Moves slots from the largest to the smallest until the sizes are level.
fn level(shares: &mut BTreeMap<u32, Share>, lower: isize, upper: isize) {
    let mut order = ordered(shares);
    while order.len() >= 2 {
        let Some((from_size, from)) = order.pop_last() else {
            break;
        };
        if shares
            .get(&from)
            .is_some_and(|share| share.movable.len() as isize == share.out)
        {
            continue;
        }
        let Some((dest_size, dest)) = order.pop_first() else {
            break;
        };
        if from_size <= lower || dest_size >= upper || from_size - dest_size <= 1 {
            break;
        }
        order.insert(shift(shares, from, 1));
        order.insert(shift(shares, dest, -1));
    }
}

fn ordered(shares: &BTreeMap<u32, Share>) -> BTreeSet<(isize, u32)> {
    shares
        .iter()
        .map(|(group, share)| (share.size(), *group))
        .collect()
}

fn shift(shares: &mut BTreeMap<u32, Share>, group: u32, by: isize) -> (isize, u32) {
    let share = shares.entry(group).or_default();
    share.out += by;
    (share.size(), group)
}

#[cfg(test)]
mod tests;
