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
