//! The master hands over by itself, or everything stays as it was.

use codis_core::epoch::Epoch;
use codis_sentinel_proto::machine::OrderError;
use codis_sentinel_proto::settings::WriteCheck;
use codis_sentinel_proto::{WriteProbe, WriteRefusal};

use crate::world::{NAME, World, ms, sentinel, server};

const MASTER: &str = "master demo-1 10.0.0.1 6379";

fn order(world: &mut World) -> Result<(), OrderError> {
    let now = world.now;
    let result = world.sentinels[0].machine.hand_over(now, NAME, None);
    world.drain(0);
    result
}

fn settled(down_after: u64) -> World {
    let mut world = World::with(3, 3, 1, |it| it.down_after = ms(down_after));
    world.settle();
    world.events.clear();
    world
}

fn sent(world: &World, n: u8, command: &'static str) -> usize {
    let count = world.sent.get(&(0, server(n), command));
    count.copied().unwrap_or(0)
}

/// Nothing has changed, and a master that dies now is replaced as always.
fn assert_as_before(mut world: World) {
    assert!(world.all_say(&server(1)));
    assert_eq!(world.config_epoch(0), Epoch::ZERO);
    let view = world.sentinels[0].machine.master(world.now, NAME).unwrap();
    assert_eq!(view.failover_state, None);
    for n in [2, 3] {
        let it = world.servers.get_mut(&server(n)).unwrap();
        (it.frozen, it.lags) = (false, false);
    }
    world.run(ms(200));
    world.events.clear();
    world.kill(1);
    world.until(ms(3500), "a switch", |it| it.count("+switch-master") == 3);
}

#[test]
fn both_change_places_and_the_rest_follows() {
    let mut world = settled(1000);
    order(&mut world).unwrap();
    assert_eq!(order(&mut world), Err(OrderError::FailoverInProgress));
    let view = world.sentinels[0].machine.master(world.now, NAME).unwrap();
    let flags = ["master", "failover_in_progress", "coordinated_failover"];
    assert_eq!(view.instance.flags, flags);
    world.until(ms(1000), "the end", |it| it.count("+failover-end ") == 1);
    let new = world.master_at(0);
    assert_ne!(new, server(1));
    let said: Vec<&str> = world.said(0);
    let names: Vec<&str> = said.iter().filter_map(|it| it.split(' ').next()).collect();
    let expected = [
        "+new-epoch",
        "+try-failover",
        "+vote-for-leader",
        "+elected-leader",
        "+failover-state-select-slave",
        "+selected-slave",
        "+failover-state-send-slaveof-noone",
        "+failover-state-wait-promotion",
    ];
    assert_eq!(names[..8], expected);
    assert_eq!(world.count("+convert-to-slave"), 0, "{}", world.log());
    assert_eq!(world.count("+promoted-slave"), 1);
    assert_eq!(world.causes(), ["coordinated"]);
    assert_eq!(world.count("+switch-master"), 3);
    let shown = world
        .topologies
        .iter()
        .find(|it| it.2.master == new)
        .unwrap();
    assert_eq!(shown.0, world.first("+promoted-slave").unwrap().0);
    assert_eq!(sent(&world, 1, "FAILOVER"), 1);
    let n = if new == server(2) { 2 } else { 3 };
    // Its file is rewritten and its clients are dropped; it was never told to become master.
    assert_eq!(sent(&world, n, "SLAVEOF"), 1);
    world.run(ms(500));
    assert!(world.all_say(&new));
    let follows = |n| world.servers[&server(n)].master.as_ref() == Some(&new);
    assert!((1..=3).all(|n| server(n) == new || follows(n)));
}

#[test]
fn a_replica_that_lags_leaves_the_master_its_writes_after_a_short_pause() {
    let mut world = settled(1000);
    for n in [2, 3] {
        world.servers.get_mut(&server(n)).unwrap().lags = true;
    }
    order(&mut world).unwrap();
    world.until(ms(200), "the order", |it| sent(it, 1, "FAILOVER") == 1);
    world.sent.clear();
    world.run(ms(1790));
    // A hello would wait for the end of the pause.
    let said = |n| world.sent.get(&(n, server(1), "PUBLISH")).copied();
    assert_eq!([0, 1, 2].map(said), [None; 3]);
    let abort = "-failover-abort-slave-timeout";
    world.until(ms(50), "the end", |it| it.count(abort) == 1);
    assert_eq!(world.said(0).last().unwrap(), &format!("{abort} {MASTER}"));
    assert_eq!(world.servers[&server(1)].hands_over, None);
    assert_as_before(world);
}

#[test]
fn writes_that_wait_meanwhile_are_no_fault_of_the_master() {
    let mut world = World::with(3, 3, 1, |it| {
        it.down_after = ms(600);
        it.write_check = WriteCheck::Yes;
    });
    world.settle();
    for n in [2, 3] {
        world.servers.get_mut(&server(n)).unwrap().lags = true;
    }
    order(&mut world).unwrap();
    let hang = WriteProbe::Refused(WriteRefusal::Hang);
    world.servers.get_mut(&server(1)).unwrap().writes = hang;
    let abort = "-failover-abort-slave-timeout";
    world.until(ms(2500), "the end", |it| it.count(abort) == 1);
    world.servers.get_mut(&server(1)).unwrap().writes = WriteProbe::Accepted;
    world.run(ms(3000));
    assert_eq!(world.count("+sdown master"), 0, "{}", world.log());
    // Writes that hang afterwards are.
    world.servers.get_mut(&server(1)).unwrap().writes = hang;
    for n in [2, 3] {
        world.servers.get_mut(&server(n)).unwrap().lags = false;
    }
    world.until(ms(3000), "a switch", |it| it.count("+switch-master") == 3);
}

#[test]
fn a_replica_that_hangs_is_given_up_and_the_master_is_told_so() {
    let mut world = settled(400);
    for n in [2, 3] {
        world.servers.get_mut(&server(n)).unwrap().lags = true;
    }
    order(&mut world).unwrap();
    world.until(ms(200), "the order", |it| sent(it, 1, "FAILOVER") == 1);
    for n in [2, 3] {
        world.servers.get_mut(&server(n)).unwrap().frozen = true;
    }
    // The master does not notice either: it is in the last step, which has no limit.
    world.servers.get_mut(&server(1)).unwrap().stuck = true;
    let abort = "-failover-abort-slave-timeout";
    world.until(ms(1000), "the end", |it| it.count(abort) == 1);
    world.run(ms(10));
    assert_eq!(sent(&world, 1, "FAILOVER ABORT"), 1);
    assert_eq!(world.servers[&server(1)].hands_over, None);
    assert!(world.all_say(&server(1)));
}

#[test]
fn a_master_that_refuses_says_why() {
    let mut world = settled(1000);
    let error = "NOPERM this user has no permissions to run the 'failover' command";
    let master = world.servers.get_mut(&server(1)).unwrap();
    master.failover = Some(Err(error.into()));
    order(&mut world).unwrap();
    let refused = "-failover-abort-master-refused";
    world.until(ms(300), "the end", |it| it.count(refused) == 1);
    assert_eq!(
        world.said(0).last().unwrap(),
        &format!("{refused} {MASTER} #{error}")
    );
    let record = world.sentinels[0]
        .machine
        .topology(world.now, NAME)
        .unwrap();
    assert_eq!(record.refused.len(), 1);
    assert!(record.refused[0].reason.ends_with(error));
    assert_as_before(world);
}

#[test]
fn what_cannot_be_is_refused_at_once() {
    let mut world = settled(1000);
    let now = world.now;
    let machine = &mut world.sentinels[0].machine;
    let result = machine.hand_over(now, NAME, Some(server(9)));
    assert!(matches!(result, Err(OrderError::BadCandidate { .. })));
    assert_eq!(
        machine.hand_over(now, "x", None),
        Err(OrderError::NoSuchMaster)
    );
    world.servers.get_mut(&server(1)).unwrap().failover = None;
    world.run(ms(10_500));
    let error = order(&mut world).unwrap_err();
    assert_eq!(error, OrderError::NoGoodPrimary);
    let text = "NOGOODPRIMARY Primary does not support FAILOVER command";
    assert_eq!(error.to_string(), text);
    assert_as_before(world);
}

#[test]
fn without_the_votes_of_a_majority_the_master_is_told_nothing() {
    let mut world = settled(1000);
    for n in [1, 2] {
        world.cut.insert((sentinel(0), sentinel(n)));
    }
    order(&mut world).unwrap();
    let lost = "-failover-abort-not-elected";
    // Slow disks have seconds to write an ordered vote down: nobody orders it again.
    world.run(ms(700));
    assert_eq!(world.count(lost), 0);
    world.until(ms(2500), "the end", |it| it.count(lost) == 1);
    assert_eq!(sent(&world, 1, "FAILOVER"), 0);
    world.cut.clear();
    assert_as_before(world);
}

#[test]
fn a_master_that_dies_meanwhile_is_replaced_in_down_after() {
    let mut world = settled(1000);
    for n in [2, 3] {
        world.servers.get_mut(&server(n)).unwrap().lags = true;
    }
    order(&mut world).unwrap();
    world.until(ms(200), "the order", |it| sent(it, 1, "FAILOVER") == 1);
    let at = world.now;
    world.kill(1);
    world.until(ms(1600), "a switch", |it| it.count("+switch-master") == 3);
    assert!(world.now.since(at) <= ms(1500), "{}", world.log());
    assert_eq!(world.count("+elected-leader"), 2);
}

#[test]
fn a_master_that_dies_right_after_it_handed_over_is_not_asked() {
    let mut world = settled(1000);
    order(&mut world).unwrap();
    world.until(ms(300), "both changed places", |it| {
        it.servers[&server(1)].master.is_some()
    });
    let new = world.servers[&server(1)].master.clone().unwrap();
    world.kill(1);
    world.until(ms(300), "a switch", |it| it.count("+switch-master") == 3);
    assert!(world.all_say(&new));
    assert_eq!(world.count("+elected-leader"), 1);
}
