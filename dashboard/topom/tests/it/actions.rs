//! Slot actions as operators ask for them: the checks of the original in its order and words.

use codis_core::model::{ActionState, SlotAction, SlotMapping};
use codis_topom::{Change, Cluster, edit};

use crate::{apply, cluster, refused};

fn put(cluster: &mut Cluster, id: u16, group_id: u32, state: ActionState, target_id: u32) {
    cluster.apply(&Change::PutSlot(SlotMapping {
        id,
        group_id,
        action: SlotAction {
            index: 4,
            state,
            target_id,
        },
    }));
}

fn change(cluster: &mut Cluster, decide: impl FnOnce(&Cluster) -> edit::Edit) {
    let edit = decide(cluster);
    apply(cluster, edit);
}

fn action(cluster: &Cluster, id: u16) -> (u64, ActionState, u32) {
    let action = &cluster.slot(id).unwrap().action;
    (action.index, action.state, action.target_id)
}

#[test]
fn create_checks_the_group_then_the_slot() {
    let mut c = cluster();
    change(&mut c, |c| edit::create_group(c, 3));
    put(&mut c, 5, 1, ActionState::Pending, 2);
    let create = |sid, gid| edit::create_action(&c, sid, gid);
    assert_eq!(refused(create(2000, 9)), "group-[9] doesn't exist");
    assert_eq!(refused(create(2000, -9)), "group-[-9] doesn't exist");
    assert_eq!(refused(create(2000, 3)), "group-[3] is empty");
    assert_eq!(refused(create(1024, 2)), "slot-[1024] doesn't exist");
    assert_eq!(refused(create(-1, 2)), "slot-[-1] doesn't exist");
    assert_eq!(refused(create(5, 1)), "slot-[5] action already exists");
    assert_eq!(refused(create(4, 1)), "slot-[4] already in group-[1]");
    change(&mut c, |c| edit::create_action(c, 4, 2));
    assert_eq!(action(&c, 4), (5, ActionState::Pending, 2));
    assert_eq!(c.slot(4).unwrap().group_id, 1);
}

#[test]
fn create_some_takes_the_first_and_does_not_mind_to_find_fewer() {
    let mut c = cluster();
    put(&mut c, 1, 1, ActionState::Migrating, 2);
    assert_eq!(
        refused(edit::create_some(&c, 77, 9, 1)),
        "group-[9] doesn't exist"
    );
    for (from, to, num) in [(77, 2, 5), (1, 1, 5), (1, 2, 0), (1, 2, -3), (-1, 2, 5)] {
        assert_eq!(edit::create_some(&c, from, to, num), Ok(Vec::new()));
    }
    change(&mut c, |c| edit::create_some(c, 1, 2, 3));
    assert_eq!(action(&c, 0), (5, ActionState::Pending, 2));
    assert_eq!(action(&c, 1), (4, ActionState::Migrating, 2));
    assert_eq!(action(&c, 3), (7, ActionState::Pending, 2));
    assert_eq!(action(&c, 4), (0, ActionState::Nothing, 0));
    let offline = edit::create_some(&c, 0, 1, 2).unwrap();
    assert!(matches!(&offline[0], Change::PutSlot(slot) if slot.id == 10));
    assert_eq!(edit::create_some(&c, 0, 1, 5000).unwrap().len(), 1014);
}

#[test]
fn create_range_is_all_or_nothing() {
    let mut c = cluster();
    put(&mut c, 5, 1, ActionState::Pending, 2);
    for (beg, end) in [(-1, 3), (3, 1024), (4, 3), (i64::MIN, i64::MAX)] {
        assert_eq!(
            refused(edit::create_range(&c, beg, end, 9)),
            format!("invalid slot range [{beg},{end}]")
        );
    }
    let create = |beg, end, gid| edit::create_range(&c, beg, end, gid);
    assert_eq!(refused(create(0, 5, 9)), "group-[9] doesn't exist");
    assert_eq!(refused(create(0, 5, 2)), "slot-[5] action already exists");
    assert_eq!(refused(create(8, 12, 1)), "slot-[8] already in group-[1]");
    change(&mut c, |c| edit::create_range(c, 8, 12, 2));
    assert_eq!(action(&c, 8), (5, ActionState::Pending, 2));
    assert_eq!(action(&c, 12), (9, ActionState::Pending, 2));
}

#[test]
fn remove_takes_pending_actions_only() {
    let mut c = cluster();
    let remove = |c: &Cluster, sid| edit::remove_action(c, sid);
    assert_eq!(refused(remove(&c, 1024)), "slot-[1024] doesn't exist");
    assert_eq!(refused(remove(&c, 4)), "slot-[4] action doesn't exist");
    for state in [
        ActionState::Preparing,
        ActionState::Prepared,
        ActionState::Migrating,
        ActionState::Finished,
    ] {
        put(&mut c, 4, 1, state, 2);
        assert_eq!(refused(remove(&c, 4)), "slot-[4] action isn't pending");
    }
    put(&mut c, 4, 1, ActionState::Pending, 2);
    change(&mut c, |c| edit::remove_action(c, 4));
    assert_eq!(action(&c, 4), (0, ActionState::Nothing, 0));
    assert_eq!(c.slot(4).unwrap().group_id, 1);
}

#[test]
fn cancel_clears_or_records_the_wish_once() {
    let mut c = cluster();
    let cancel = |c: &Cluster| edit::cancel_action(c, 4);
    assert_eq!(refused(cancel(&c)), "slot-[4] action doesn't exist");
    for state in [ActionState::Pending, ActionState::Preparing] {
        put(&mut c, 4, 1, state, 2);
        change(&mut c, |c| cancel(c));
        assert_eq!(action(&c, 4), (0, ActionState::Nothing, 0));
    }
    put(&mut c, 4, 1, ActionState::Migrating, 2);
    change(&mut c, |c| cancel(c));
    assert!(c.is_cancelled(c.slot(4).unwrap()));
    assert_eq!(cancel(&c), Ok(Vec::new()));
    // The wish is about that action, not about the next one.
    put(&mut c, 4, 2, ActionState::Migrating, 1);
    assert!(!c.is_cancelled(c.slot(4).unwrap()));
    put(&mut c, 4, 0, ActionState::Migrating, 2);
    assert!(refused(cancel(&c)).starts_with("slot-[4] came from no group"));
    put(&mut c, 4, 7, ActionState::Migrating, 2);
    assert_eq!(refused(cancel(&c)), "group-[7] doesn't exist");
}

#[test]
fn a_slot_with_an_action_is_not_assigned() {
    let mut c = cluster();
    let states = [
        ActionState::Pending,
        ActionState::Preparing,
        ActionState::Prepared,
        ActionState::Migrating,
        ActionState::Finished,
    ];
    for state in states {
        put(&mut c, 4, 1, state, 2);
        let wanted = |group_id| SlotMapping {
            id: 4,
            group_id,
            ..SlotMapping::default()
        };
        let busy = "slot-[4] action already exists";
        assert_eq!(refused(edit::assign_slots(&c, &[wanted(2)])), busy);
        assert_eq!(refused(edit::offline_slots(&c, &[wanted(0)])), busy);
    }
}

#[test]
fn settings_are_clamped_and_kept() {
    let mut c = cluster();
    for (typed, kept) in [(-5, 0), (7, 7), (9_000_000, 1_000_000)] {
        change(&mut c, |c| edit::set_interval(c, typed));
        assert_eq!(c.slot_actions().interval, kept);
    }
    change(&mut c, |c| edit::set_disabled(c, true));
    assert!(c.slot_actions().disabled);
    assert_eq!(edit::set_disabled(&c, true), Ok(Vec::new()));
}
