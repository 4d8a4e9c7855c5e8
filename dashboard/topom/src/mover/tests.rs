//! Moves against a world that is played by hand.

mod chance;
mod world;

use codis_core::model::{Promoting, SlotAction};

use super::*;
use crate::{Change, edit};
use world::{SLOT, World};

fn now(millis: u64) -> Time {
    Time::from_millis(millis)
}

#[test]
fn a_slot_goes_through_all_states_and_takes_its_keys_along() {
    let mut world = World::new();
    world.queue(SLOT, 2);
    let mut states = vec![ActionState::Pending];
    world.run(|world| {
        let state = world.record(SLOT).action.state;
        if states.last() != Some(&state) {
            states.push(state);
        }
    });
    let expected = [
        ActionState::Pending,
        ActionState::Preparing,
        ActionState::Prepared,
        ActionState::Migrating,
        ActionState::Finished,
        ActionState::Nothing,
    ];
    assert_eq!(states, expected);
    assert_eq!(world.record(SLOT).group_id, 2);
    assert_eq!(world.keys_of(SLOT, 1), 0);
    assert!(world.keys_of(SLOT, 2) > 0);
}

/// Crashes after each effect in turn, and in the middle of it: its result is lost.
#[test]
fn a_crash_between_any_two_effects_changes_nothing_in_the_end() {
    for cancelled in [false, true] {
        for lost in [false, true] {
            for at in 0..40 {
                let mut world = World::new();
                world.queue(SLOT, 2);
                let mut effects = 0;
                world.run(|world| {
                    effects += 1;
                    if cancelled && world.record(SLOT).action.state == ActionState::Migrating {
                        world.cancel_once(SLOT);
                    }
                    if effects == at {
                        world.crash(lost);
                    }
                });
                let owner = if cancelled { 1 } else { 2 };
                assert_eq!(world.record(SLOT).group_id, owner, "at {at}, lost {lost}");
                assert_eq!(world.record(SLOT).action, SlotAction::default());
                assert_eq!(world.keys_of(SLOT, 3 - owner), 0, "at {at}, lost {lost}");
            }
        }
    }
}

#[test]
fn every_started_state_can_be_cancelled() {
    let states = [
        ActionState::Pending,
        ActionState::Preparing,
        ActionState::Prepared,
        ActionState::Migrating,
        ActionState::Finished,
    ];
    for state in states {
        let mut world = World::new();
        world.queue(SLOT, 2);
        world.run(|world| {
            if world.record(SLOT).action.state == state {
                world.cancel_once(SLOT);
            }
        });
        assert!(world.cancelled, "{state:?} was never seen");
        assert_eq!(world.record(SLOT).group_id, 1, "{state:?}");
        assert_eq!(world.keys_of(SLOT, 2), 0, "{state:?}");
        assert!(world.cluster.slot_actions().cancelled.is_empty());
    }
}

/// A command that was given up may run after all. After the turn it would send keys away that have
/// come back, so the source must answer first.
#[test]
fn a_slot_is_not_turned_round_while_a_command_may_be_alive() {
    let mut world = World::new();
    world.migrating(SLOT, 1, 2);
    let mut mover = world.mover();
    mover.handle_cluster(now(0), &world.cluster);
    assert!(matches!(mover.poll_effect(), Some(Effect::Migrate(_))));
    world.cancel_once(SLOT);
    let failed = || Outcome::Failed("no answer in time".to_owned());
    mover.handle_done(now(0), &world.cluster, SLOT, failed());
    for _ in 0..3 {
        let again = mover.poll_timeout().unwrap();
        mover.handle_cluster(again, &world.cluster);
        let (slot, source) = (SLOT, "g1:1".to_owned());
        assert_eq!(mover.poll_effect(), Some(Effect::Quiesce { slot, source }));
        mover.handle_done(again, &world.cluster, SLOT, failed());
        assert_eq!(mover.poll_effect(), None);
    }
    let again = mover.poll_timeout().unwrap();
    mover.handle_cluster(again, &world.cluster);
    assert!(matches!(mover.poll_effect(), Some(Effect::Quiesce { .. })));
    mover.handle_done(again, &world.cluster, SLOT, Outcome::Done);
    assert_eq!(world.store_next(&mut mover, again), Some(Act::Hold));
}

/// An original dashboard that goes on from the record takes the proxies to be told.
#[test]
fn a_finished_slot_is_cleared_when_the_proxies_know() {
    let mut world = World::new();
    world.queue(SLOT, 2);
    let mut slot = world.record(SLOT).clone();
    slot.action.state = ActionState::Finished;
    world.apply(Ok(vec![Change::PutSlot(slot)]));
    let mut mover = world.mover();
    mover.handle_cluster(now(0), &world.cluster);
    assert_eq!(mover.poll_effect(), Some(Effect::Push { slot: SLOT }));
    mover.handle_done(now(0), &world.cluster, SLOT, Outcome::Done);
    assert_eq!(world.store_next(&mut mover, now(0)), Some(Act::Clear));
    assert!(mover.progress().is_empty());
}

#[test]
fn a_proxy_that_does_not_take_the_lock_ends_the_hold() {
    let mut world = World::new();
    world.queue(SLOT, 2);
    let mut mover = world.mover();
    mover.handle_cluster(now(0), &world.cluster);
    for act in [Act::Prepare, Act::Hold] {
        let step = world.store_next(&mut mover, now(0));
        assert_eq!(step, Some(act));
    }
    assert!(world.cluster.is_held(SLOT));
    assert_eq!(mover.poll_effect(), Some(Effect::Push { slot: SLOT }));
    let why = Outcome::Failed("proxy-[p] is behind".to_owned());
    mover.handle_done(now(800), &world.cluster, SLOT, why);
    assert_eq!(world.store_next(&mut mover, now(800)), Some(Act::Release));
    assert!(!world.cluster.is_held(SLOT));
    assert_eq!(mover.poll_effect(), None);
    assert_eq!(mover.status(), "[ERROR] Slot[0007]: proxy-[p] is behind");
    let again = mover.poll_timeout().unwrap();
    assert_eq!(again, now(800) + RETRY_MIN);
    mover.handle_cluster(again, &world.cluster);
    assert_eq!(world.store_next(&mut mover, again), Some(Act::Hold));
    let progress = &mover.progress()[0];
    assert_eq!((progress.failures, progress.slot), (1, SLOT));
}

#[test]
fn a_pause_grows_and_has_a_longest() {
    let mut one = Move::default();
    let mut pauses = Vec::new();
    for _ in 0..40 {
        one.failed(Time::ZERO, String::new(), false);
        pauses.push(one.pause());
    }
    assert!(pauses.is_sorted());
    assert_eq!((pauses[0], pauses[39]), (RETRY_MIN, RETRY_MAX));
}

/// Commands of all that are under way: a group never sends twice, nor sends and receives.
#[test]
fn a_group_has_one_part_at_a_time() {
    let pairs = [(1, 2), (1, 3), (2, 3), (4, 3), (3, 1)];
    let mut world = World::new();
    for (slot, (from, to)) in (10..).zip(pairs) {
        world.migrating(slot, from, to);
    }
    let mut mover = world.mover();
    mover.handle_cluster(now(0), &world.cluster);
    let mut slots = Vec::new();
    while let Some(Effect::Migrate(command)) = mover.poll_effect() {
        slots.push(command.slot);
    }
    // 11 shares the source of 10; the groups of 12 and 14 receive what others send.
    assert_eq!((slots, mover.commands()), (vec![10, 13], 2));
}

#[test]
fn a_source_that_hangs_again_stops_nobody_else() {
    let mut world = World::new();
    world.migrating(10, 1, 2);
    let mut mover = world.mover();
    mover.handle_cluster(now(0), &world.cluster);
    assert!(matches!(mover.poll_effect(), Some(Effect::Migrate(_))));
    let why = Outcome::Failed("no answer in time".to_owned());
    mover.handle_done(now(0), &world.cluster, 10, why);
    let again = mover.poll_timeout().unwrap();
    mover.handle_cluster(again, &world.cluster);
    assert!(matches!(mover.poll_effect(), Some(Effect::Migrate(_))));
    // It hangs once more; what it would send to may send as well.
    world.migrating(11, 2, 3);
    mover.handle_cluster(again, &world.cluster);
    let next = mover.poll_effect();
    assert!(
        matches!(&next, Some(Effect::Migrate(command)) if command.slot == 11),
        "{next:?}"
    );
}

#[test]
fn limits_hold_back_pending_slots_only() {
    let mut world = World::new();
    for slot in 20..24 {
        world.queue(slot, 2);
    }
    world.queue(30, 3);
    let mut mover = world.mover();
    mover.handle_cluster(now(0), &world.cluster);
    let mut started = Vec::new();
    while let Some(Effect::Store(step)) = mover.poll_effect() {
        started.push(step.slot());
    }
    assert_eq!(started, [20, 21, 30]);
    let mut world = World::new();
    for slot in 20..28 {
        world.migrating(slot, 1, 2);
    }
    let mut mover = world.mover();
    mover.handle_cluster(now(0), &world.cluster);
    assert_eq!(mover.progress().len(), 8);
}

#[test]
fn disabled_and_promoting_hold_back_what_has_not_started_and_the_keys() {
    let stop: [fn(&mut World); 2] = [
        |world| world.apply(edit::set_disabled(&world.cluster, true)),
        |world| {
            let mut group = world.cluster.group(2).unwrap().clone();
            group.promoting = Promoting {
                index: 0,
                state: ActionState::Preparing,
            };
            world.cluster.apply(&Change::PutGroup(group));
        },
    ];
    for stop in stop {
        let mut world = World::new();
        world.queue(20, 2);
        world.migrating(21, 1, 2);
        stop(&mut world);
        let mut mover = world.mover();
        mover.handle_cluster(now(0), &world.cluster);
        assert_eq!(mover.poll_effect(), None);
    }
}

#[test]
fn a_failover_of_the_source_starts_again_at_its_first_database() {
    let mut world = World::new();
    world.migrating(SLOT, 1, 2);
    let mut mover = world.mover();
    let command = |mover: &mut Mover| match mover.poll_effect() {
        Some(Effect::Migrate(command)) => command,
        other => panic!("{other:?}"),
    };
    mover.handle_cluster(now(0), &world.cluster);
    assert_eq!(command(&mut mover).db, 0);
    let moved = |left, next_db| Outcome::Moved { left, next_db };
    mover.handle_done(now(0), &world.cluster, SLOT, moved(0, Some(3)));
    assert_eq!(command(&mut mover).db, 3);
    assert_eq!(mover.status(), "[OK] Slot[0007]@DB[0]=0");
    world.fail_over(1, "n:1");
    mover.handle_done(now(0), &world.cluster, SLOT, moved(0, None));
    let again = command(&mut mover);
    assert_eq!((again.db, again.source.as_str()), (0, "n:1"));
    mover.handle_done(now(0), &world.cluster, SLOT, moved(0, None));
    assert_eq!(world.store_next(&mut mover, now(0)), Some(Act::Finish));
}

#[test]
fn a_pause_between_commands_is_kept() {
    let mut world = World::new();
    world.migrating(SLOT, 1, 2);
    world.apply(edit::set_interval(&world.cluster, 2_000));
    let mut mover = world.mover();
    mover.handle_cluster(now(0), &world.cluster);
    assert!(matches!(mover.poll_effect(), Some(Effect::Migrate(_))));
    let (left, next_db) = (9, None);
    mover.handle_done(
        now(10),
        &world.cluster,
        SLOT,
        Outcome::Moved { left, next_db },
    );
    assert_eq!(mover.poll_effect(), None);
    assert_eq!(mover.poll_timeout(), Some(now(12)));
    mover.handle_cluster(now(12), &world.cluster);
    assert!(matches!(mover.poll_effect(), Some(Effect::Migrate(_))));
}
