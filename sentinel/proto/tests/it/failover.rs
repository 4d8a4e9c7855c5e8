//! A master dies: one leader, in time, told in the right order.

use codis_core::epoch::Epoch;
use codis_sentinel_proto::machine::OrderError;

use crate::world::{NAME, World, ms, sentinel_id, server};

/// From kill to the moment the first sentinel names the new master.
fn promotion_time(world: &mut World, kill: impl Fn(&mut World)) -> u64 {
    let at = world.now;
    kill(world);
    world.until(ms(5000), "a switch", |world| {
        world.first("+switch-master").is_some()
    });
    world
        .first("+switch-master")
        .unwrap()
        .0
        .since(at)
        .as_millis() as u64
}

#[test]
fn a_killed_master_is_replaced_in_down_after_and_little_more() {
    let mut times = Vec::new();
    for seed in 0..200 {
        let mut world = World::new(3, 3, seed);
        world.settle();
        world.run(ms(seed * 37 % 500));
        let took = promotion_time(&mut world, |world| world.kill(1));
        // A split vote costs a retry.
        assert!(took <= 1300, "seed {seed}: {took} ms\n{}", world.log());
        times.push(took);
        let (sdown, _) = world.first("+sdown").unwrap();
        let (try_failover, leader) = world.first("+elected-leader").unwrap();
        assert!(sdown <= try_failover);
        world.until(ms(5000), "the end", |world| {
            world.first("+failover-end").is_some()
        });
        assert_eq!(
            world.count("+elected-leader"),
            1,
            "seed {seed}\n{}",
            world.log()
        );
        assert_eq!(world.count("+promoted-slave"), 1);
        assert_eq!(world.count("+switch-master"), 3, "once at each sentinel");
        let master = world.master_at(leader);
        assert!(world.all_say(&master));
        let epochs: Vec<Epoch> = (0..3).map(|n| world.config_epoch(n)).collect();
        assert_eq!(epochs, vec![epochs[0]; 3]);
        world.run(ms(2000));
        let follows = |n| world.servers[&server(n)].master.as_ref() == Some(&master);
        assert!((2..=3).all(|n| server(n) == master || follows(n)));
    }
    times.sort_unstable();
    assert!(times[100] <= 1050, "median {} ms", times[100]);
    assert!(times[190] <= 1100, "95 % {} ms", times[190]);
}

#[test]
fn a_frozen_master_is_replaced_as_fast() {
    for seed in 0..50 {
        let mut world = World::new(3, 2, seed);
        world.settle();
        let took = promotion_time(&mut world, |world| {
            world.servers.get_mut(&server(1)).unwrap().frozen = true;
        });
        assert!(took <= 1100, "seed {seed}: {took} ms");
    }
}

#[test]
fn s_down_never_comes_before_down_after_without_a_proof_of_life() {
    for seed in 0..50 {
        let mut world = World::new(1, 2, seed);
        world.settle();
        // The last PING was answered at most a ping period before the kill.
        let killed = world.now;
        world.kill(1);
        world.until(ms(2000), "S_DOWN", |world| world.first("+sdown").is_some());
        let took = world.first("+sdown").unwrap().0.since(killed);
        assert!(took <= ms(1000) && took >= ms(899), "{took:?}");
    }
}

#[test]
fn the_leader_tells_its_failover_in_the_order_of_the_original() {
    let mut world = World::new(3, 3, 1);
    world.settle();
    world.events.clear();
    world.topologies.clear();
    world.servers.get_mut(&server(3)).unwrap().offset = 2000;
    world.kill(1);
    world.until(ms(5000), "the end", |world| {
        world.first("+failover-end").is_some()
    });
    let (_, leader) = world.first("+elected-leader").unwrap();
    let said: Vec<&str> = world.said(leader);
    let old = "demo-1 10.0.0.1 6379";
    let new = "demo-1 10.0.0.3 6379";
    let chosen = format!("slave 10.0.0.3:6379 10.0.0.3 6379 @ {old}");
    let sibling = format!("slave 10.0.0.2:6379 10.0.0.2 6379 @ {new}");
    let expected = vec![
        format!("+sdown master {old}"),
        format!("+odown master {old} #quorum 2/2"),
        "+new-epoch 1".to_owned(),
        format!("+try-failover master {old}"),
        format!("+vote-for-leader {} 1", sentinel_id(leader)),
        format!("+elected-leader master {old}"),
        format!("+failover-state-select-slave master {old}"),
        format!("+selected-slave {chosen}"),
        format!("+failover-state-send-slaveof-noone {chosen}"),
        format!("+failover-state-wait-promotion {chosen}"),
        format!("-role-change {chosen} new reported role is master"),
        format!("+promoted-slave {chosen}"),
        format!("+failover-state-reconf-slaves master {old}"),
        "+switch-master demo-1 10.0.0.1 6379 10.0.0.3 6379".to_owned(),
        format!("+slave slave 10.0.0.1:6379 10.0.0.1 6379 @ {new}"),
        format!("+slave {sibling}"),
        format!("+slave-reconf-sent {sibling}"),
        format!("+slave-reconf-inprog {sibling}"),
        format!("+slave-reconf-done {sibling}"),
        format!("+failover-end master {new}"),
    ];
    let quorum = |line: &str| line.replace("3/2", "2/2");
    let said: Vec<String> = said.into_iter().map(quorum).collect();
    assert_eq!(said, expected, "{}", world.log());

    let switched = world.first("+switch-master").unwrap().0;
    let pushed = world
        .topologies
        .iter()
        .find(|(_, _, it)| it.master == server(3));
    let (at, by, topology) = pushed.unwrap();
    assert_eq!(
        (*at, *by),
        (switched, leader),
        "pushed in the step of the promotion"
    );
    assert_eq!(topology.epoch, Epoch(1));
    assert_eq!(topology.failover_state, "reconf_slaves");
    let roles: Vec<bool> = world.scripts.iter().map(|it| it.1).collect();
    assert_eq!(roles.iter().filter(|leader| **leader).count(), 1);
    assert_eq!(roles.len(), 3);
}

#[test]
fn observers_tell_whom_the_switch_came_from() {
    let mut world = World::new(3, 2, 5);
    world.settle();
    world.kill(1);
    world.until(ms(3000), "agreement", |world| world.all_say(&server(2)));
    let (_, leader) = world.first("+elected-leader").unwrap();
    let observer = (leader + 1) % 3;
    let said = world.said(observer);
    let from = said
        .iter()
        .position(|it| it.starts_with("+config-update-from"))
        .unwrap();
    assert_eq!(
        said[from + 1],
        "+switch-master demo-1 10.0.0.1 6379 10.0.0.2 6379"
    );
    assert!(said[from + 2].starts_with("+slave slave 10.0.0.1:6379"));
    let behind = world.first("+config-update-from").unwrap().0;
    let promoted = world.first("+promoted-slave").unwrap().0;
    assert!(behind.since(promoted) <= ms(2), "the hello travels at once");
}

#[test]
fn a_replica_that_does_not_obey_is_passed_over_at_once() {
    let mut world = World::new(3, 3, 3);
    world.settle();
    let stubborn = world.servers.get_mut(&server(2)).unwrap();
    (stubborn.stubborn, stubborn.offset) = (true, 9000);
    world.kill(1);
    world.until(ms(8000), "a switch", |world| world.all_say(&server(3)));
    assert_eq!(
        world.count("-failover-abort-slave-timeout"),
        1,
        "{}",
        world.log()
    );
}

#[test]
fn without_a_fit_replica_the_failover_is_tried_again_until_there_is_one() {
    let mut world = World::new(3, 2, 4);
    world.servers.get_mut(&server(2)).unwrap().priority = 0;
    world.settle();
    world.kill(1);
    world.run(ms(6000));
    assert!(
        world.count("-failover-abort-no-good-slave") >= 2,
        "{}",
        world.log()
    );
    assert_eq!(world.count("+switch-master"), 0);
    let refused = world
        .topologies
        .iter()
        .rev()
        .find_map(|(_, _, it)| it.refused.first());
    assert_eq!(refused.unwrap().reason, "its priority is 0");
    world.servers.get_mut(&server(2)).unwrap().priority = 100;
    world.until(ms(12_000), "a switch", |world| world.all_say(&server(2)));
}

#[test]
fn nothing_happens_when_only_one_sentinel_loses_sight() {
    let mut world = World::new(3, 2, 6);
    world.settle();
    world.cut.insert((crate::world::sentinel(0), server(1)));
    world.run(ms(5000));
    assert_eq!(world.count("+sdown"), 1, "{}", world.log());
    assert_eq!(world.count("+odown"), 0);
    world.cut.clear();
    world.until(ms(3000), "recovery", |world| world.count("-sdown") == 1);
}

#[test]
fn a_minority_of_sentinels_promotes_nobody() {
    let mut world = World::new(3, 2, 7);
    world.settle();
    world.crash(1);
    world.crash(2);
    world.kill(1);
    world.run(ms(20_000));
    assert_eq!(world.count("+elected-leader"), 0);
    world.restart(1, 99);
    world.until(ms(10_000), "a switch", |world| world.all_say(&server(2)));
}

#[test]
fn an_operator_can_order_a_failover_and_name_the_replica() {
    let mut world = World::new(3, 3, 8);
    world.settle();
    world.events.clear();
    world.servers.get_mut(&server(2)).unwrap().offset = 9000;
    let now = world.now;
    let machine = &mut world.sentinels[1].machine;
    let unknown = machine.failover(now, NAME, Some(server(9)));
    assert!(matches!(unknown, Err(OrderError::BadCandidate { .. })));
    machine.failover(now, NAME, Some(server(3))).unwrap();
    assert_eq!(
        machine.failover(now, NAME, None),
        Err(OrderError::FailoverInProgress)
    );
    world.drain(1);
    world.until(ms(1000), "a switch", |world| world.all_say(&server(3)));
    world.until(ms(200), "the old master follows", |world| {
        world.servers[&server(1)].master == Some(server(3))
    });
    world.until(ms(2000), "the end", |world| {
        world.first("+failover-end").is_some()
    });
    assert_eq!(world.count("+sdown"), 0, "{}", world.log());
    assert_eq!(world.servers[&server(2)].master, Some(server(3)));
    assert_eq!(world.servers[&server(3)].master, None);
}

#[test]
fn replicas_are_led_over_no_more_at_a_time_than_allowed() {
    let mut world = World::new(3, 6, 9);
    world.settle();
    world.kill(1);
    world.until(ms(5000), "the end", |world| {
        world.first("+failover-end").is_some()
    });
    let mut busy = 0;
    for (_, _, text) in &world.events {
        busy += i32::from(text.starts_with("+slave-reconf-sent "));
        busy -= i32::from(text.starts_with("+slave-reconf-done "));
        assert!((0..=1).contains(&busy), "{}", world.log());
    }
    assert_eq!(world.count("+slave-reconf-done"), 4);
}
