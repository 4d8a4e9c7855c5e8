//! The old master comes back.

use crate::world::{World, ms, server};

#[test]
fn a_returning_master_is_converted_after_one_round_of_hellos() {
    for seed in 0..50 {
        let mut world = World::new(3, 3, seed);
        world.settle();
        world.kill(1);
        world.until(ms(5000), "the end", |world| {
            world.first("+failover-end").is_some()
        });
        world.run(ms(3000));
        let back = world.now;
        world.revive(1);
        world.until(ms(5000), "conversion", |world| {
            world.servers[&server(1)].master.is_some()
        });
        let took = world.now.since(back);
        assert!(took <= ms(2200), "seed {seed}: {took:?}\n{}", world.log());
        let master = world.master_at(0);
        assert_eq!(world.servers[&server(1)].master, Some(master));
        assert!(world.count("+convert-to-slave") >= 1);
        world.run(ms(3000));
        assert_eq!(world.count("+switch-master"), 3);
    }
}

#[test]
fn after_a_restart_the_slow_rule_still_converts_it() {
    let mut world = World::new(3, 2, 1);
    world.settle();
    world.kill(1);
    world.until(ms(5000), "the end", |world| {
        world.first("+failover-end").is_some()
    });
    world.run(ms(3000));
    for n in 0..3 {
        world.crash(n);
    }
    for n in 0..3 {
        world.restart(n, 50);
    }
    world.run(ms(3000));
    let back = world.now;
    world.revive(1);
    world.until(ms(30_000), "conversion", |world| {
        world.servers[&server(1)].master.is_some()
    });
    assert!(world.now.since(back) > ms(8000));
    assert_eq!(world.servers[&server(1)].master, Some(server(2)));
}

#[test]
fn a_sentinel_that_missed_the_failover_catches_up() {
    let mut world = World::new(3, 2, 2);
    world.settle();
    world.crash(2);
    world.kill(1);
    world.until(ms(5000), "a switch", |world| world.all_say(&server(2)));
    world.run(ms(2000));
    world.restart(2, 9);
    world.until(ms(3000), "agreement", |world| world.all_say(&server(2)));
    assert_eq!(world.config_epoch(2), world.config_epoch(0));
}

#[test]
fn a_leader_that_dies_after_its_election_is_replaced_within_seconds() {
    let mut world = World::new(3, 2, 3);
    world.settle();
    world.kill(1);
    world.until(ms(5000), "a leader", |world| {
        world.first("+elected-leader").is_some()
    });
    let (at, leader) = world.first("+elected-leader").unwrap();
    world.crash(leader);
    world.until(ms(15_000), "a switch", |world| world.all_say(&server(2)));
    assert!(world.now.since(at) < ms(6000), "{}", world.log());
}

#[test]
fn a_stray_replica_is_led_back_after_failover_timeout() {
    let mut world = World::new(3, 3, 4);
    world.settle();
    world.servers.get_mut(&server(3)).unwrap().master = Some(server(2));
    let since = world.now;
    world.until(ms(40_000), "repair", |world| {
        world.servers[&server(3)].master == Some(server(1))
    });
    assert!(world.now.since(since) > ms(10_000));
    assert!(world.count("+fix-slave-config") >= 1);
}
