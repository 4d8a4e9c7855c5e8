//! Plans of known clusters.

use codis_core::model::{Group, GroupServer, SlotAction, SlotMapping};

use super::*;
use crate::Records;

fn cluster(groups: &[u32], slots: Vec<SlotMapping>) -> Cluster {
    let server = |id: u32| GroupServer {
        addr: format!("10.0.0.{id}:6379"),
        ..Default::default()
    };
    let group = |id: &u32| Group {
        id: *id,
        servers: vec![server(*id)],
        ..Default::default()
    };
    let groups = groups.iter().map(group).collect();
    Cluster::load(Records {
        groups,
        slots,
        ..Records::default()
    })
}

fn owned(range: std::ops::Range<u16>, group_id: u32) -> Vec<SlotMapping> {
    range
        .map(|id| SlotMapping {
            id,
            group_id,
            ..SlotMapping::default()
        })
        .collect()
}

#[test]
fn a_fresh_cluster_of_two_is_cut_in_the_middle() {
    let plan = plan(&cluster(&[1, 2], Vec::new())).unwrap();
    assert_eq!(plan.len(), SLOTS);
    assert!(
        plan.iter()
            .all(|(slot, group)| *group == if *slot < 512 { 1 } else { 2 })
    );
}

#[test]
fn a_level_cluster_has_nothing_to_move() {
    let mut slots = owned(0..512, 1);
    slots.extend(owned(512..1024, 2));
    assert!(plan(&cluster(&[1, 2], slots)).unwrap().is_empty());
}

#[test]
fn a_new_group_gets_the_highest_slots_of_the_others() {
    let mut slots = owned(0..512, 1);
    slots.extend(owned(512..1024, 2));
    let plan = plan(&cluster(&[1, 2, 3], slots)).unwrap();
    assert_eq!(plan.len(), 341);
    assert!(plan.values().all(|group| *group == 3));
    assert!(plan.contains_key(&511) && plan.contains_key(&1023) && !plan.contains_key(&0));
}

#[test]
fn a_slot_on_the_move_is_pinned_where_it_goes() {
    let mut slots = owned(0..1024, 1);
    let action = SlotAction {
        index: 1,
        state: ActionState::Pending,
        target_id: 2,
    };
    slots[1023].action = action;
    let plan = plan(&cluster(&[1, 2], slots)).unwrap();
    assert_eq!(plan.len(), 511);
    assert!(!plan.contains_key(&1023));
}

#[test]
fn no_group_is_no_plan() {
    assert_eq!(plan(&cluster(&[], Vec::new())), Err(Refusal::NoGroup));
}

proptest::proptest! {
    /// After the plan no two groups differ by more than one slot, whatever the start.
    #[test]
    fn every_plan_levels(owners in proptest::collection::vec(0u32..6, SLOTS), groups in 1u32..6) {
        let ids: Vec<u32> = (1..=groups).collect();
        let slots: Vec<SlotMapping> = owners
            .iter()
            .enumerate()
            .map(|(id, owner)| SlotMapping {
                id: id as u16,
                group_id: if *owner <= groups { *owner } else { 0 },
                ..SlotMapping::default()
            })
            .collect();
        let mut after: BTreeMap<u16, u32> = slots.iter().map(|s| (s.id, s.group_id)).collect();
        after.extend(plan(&cluster(&ids, slots)).unwrap());
        let sizes = ids.iter().map(|id| after.values().filter(|group| *group == id).count());
        let sizes: Vec<usize> = sizes.collect();
        let (min, max) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
        proptest::prop_assert!(max - min <= 1, "{sizes:?}");
        proptest::prop_assert_eq!(sizes.iter().sum::<usize>(), SLOTS);
    }
}

#[test]
fn memory_decides_how_many_slots_a_group_has() {
    let cluster = cluster(&[1, 2, 3], owned(0..1024, 1));
    let memory = BTreeMap::from([(1, 100), (2, 200), (3, 100)]);
    let plan = by_memory(&cluster, &memory).unwrap();
    let of = |group: u32| plan.values().filter(|target| **target == group).count();
    assert_eq!((of(1), of(2), of(3)), (0, 512, 256));
    // The highest slots leave, to the first group below its quota.
    assert_eq!(plan.first_key_value(), Some((&256, &3)));
    assert_eq!(plan.last_key_value(), Some((&1023, &2)));
}

#[test]
fn memory_must_be_known_and_all_slots_online() {
    let memory = BTreeMap::from([(1, 100), (2, 0)]);
    let online = cluster(&[1, 2], owned(0..1024, 1));
    let refused = |cluster: &Cluster, memory| by_memory(cluster, memory).unwrap_err().to_string();
    assert_eq!(
        refused(&online, &memory),
        "server-[10.0.0.2:6379] has no maxmemory: set it, or rebalance by slots"
    );
    let one = BTreeMap::from([(1, 100)]);
    assert_eq!(
        refused(&online, &one),
        "server-[10.0.0.2:6379] isn't polled yet: try again in a few seconds"
    );
    let offline = cluster(&[1, 2], owned(0..1023, 1));
    assert_eq!(refused(&offline, &memory), "not all slots are online");
    assert_eq!(
        refused(&cluster(&[], Vec::new()), &memory),
        "no valid group could be found"
    );
}

#[test]
fn keys_are_levelled_by_the_fewest_slots_that_help() {
    let cluster = cluster(&[1, 2], owned(0..1024, 1));
    let keys = BTreeMap::from([(3, 500), (900, 100), (901, 400), (1000, 0)]);
    let plan = by_keys(&cluster, &keys).unwrap();
    assert_eq!(plan, BTreeMap::from([(900, 2), (901, 2)]));
    let even = (0..1024).map(|slot| (slot, 3)).collect();
    assert_eq!(by_keys(&cluster, &even).unwrap().len(), 512);
}

/// The seven steps of the original, written down as they read: no order is kept, everything is
/// counted anew each time.
fn naive(cluster: &Cluster) -> Plan {
    let groups: Vec<u32> = cluster.groups().map(|group| group.id).collect();
    let (lower, upper) = (SLOTS / groups.len(), SLOTS.div_ceil(groups.len()));
    let mut pinned: BTreeMap<u32, isize> = groups.iter().map(|group| (*group, 0)).collect();
    let mut movable: BTreeMap<u32, Vec<u16>> = groups.iter().map(|g| (*g, Vec::new())).collect();
    let mut out = pinned.clone();
    let size = |p: &BTreeMap<u32, isize>,
                m: &BTreeMap<u32, Vec<u16>>,
                o: &BTreeMap<u32, isize>,
                g: u32| p[&g] + m[&g].len() as isize - o[&g];
    let acts = |slot: &&SlotMapping| slot.action.state != ActionState::Nothing;
    for slot in cluster.slots().iter().filter(acts) {
        *pinned.get_mut(&slot.action.target_id).unwrap() += 1;
    }
    for slot in cluster
        .slots()
        .iter()
        .filter(|slot| !acts(slot) && slot.group_id != 0)
    {
        if size(&pinned, &movable, &out, slot.group_id) < lower as isize {
            *pinned.get_mut(&slot.group_id).unwrap() += 1;
        } else {
            movable.get_mut(&slot.group_id).unwrap().push(slot.id);
        }
    }
    let mut pool = Vec::new();
    for slot in cluster
        .slots()
        .iter()
        .filter(|slot| !acts(slot) && slot.group_id == 0)
    {
        let smallest = groups
            .iter()
            .min_by_key(|g| (size(&pinned, &movable, &out, **g), **g));
        *out.get_mut(smallest.unwrap()).unwrap() -= 1;
        pool.push(slot.id);
    }
    let mut left = groups.clone();
    while left.len() >= 2 {
        left.sort_by_key(|group| (size(&pinned, &movable, &out, *group), *group));
        let (dest, from) = (left[0], left[left.len() - 1]);
        if movable[&from].len() as isize == out[&from] {
            left.pop();
            continue;
        }
        let from_size = size(&pinned, &movable, &out, from);
        let dest_size = size(&pinned, &movable, &out, dest);
        let level = from_size <= lower as isize || dest_size >= upper as isize;
        if level || from_size - dest_size <= 1 {
            break;
        }
        *out.get_mut(&from).unwrap() += 1;
        *out.get_mut(&dest).unwrap() -= 1;
    }
    for group in &groups {
        let leaving = usize::try_from(out[group]).unwrap_or(0);
        pool.extend(movable[group].iter().rev().take(leaving));
    }
    pool.sort_unstable();
    let mut plan = Plan::new();
    for group in &groups {
        for _ in 0..-out[group] {
            plan.insert(pool.remove(0), *group);
        }
    }
    plan
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Slot for slot the plan that the steps of the original give, with offline slots and actions.
    #[test]
    fn plans_are_those_of_the_seven_steps(
        owners in proptest::collection::vec((0u32..10, 0u32..30), SLOTS),
        skew in 0u32..10,
        groups in 1u32..10,
    ) {
        let ids: Vec<u32> = (1..=groups).collect();
        let slot = |(id, (owner, acts)): (usize, &(u32, u32))| {
            let owner = if *owner < skew { 1 } else { *owner };
            let action = if (1..=groups).contains(acts) {
                SlotAction { index: 1, state: ActionState::Pending, target_id: *acts }
            } else {
                SlotAction::default()
            };
            SlotMapping {
                id: id as u16,
                group_id: if owner <= groups { owner } else { 0 },
                action,
            }
        };
        let slots: Vec<SlotMapping> = owners.iter().enumerate().map(slot).collect();
        let cluster = cluster(&ids, slots);
        proptest::prop_assert_eq!(plan(&cluster).unwrap(), naive(&cluster));
    }
}
