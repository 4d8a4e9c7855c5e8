//! No second failover caused by the first: weaknesses of a stock sentinel with a down-after of a
//! second and less, which this one does not have.

use codis_core::epoch::Epoch;

use crate::world::{World, ms, sentinel, server};

/// After a switch the new master is neither S_DOWN for a connection that was not yet made, nor
/// O_DOWN for what peers said of the old one.
#[test]
fn a_switch_does_not_cause_another() {
    for down_after in [60, 100, 300, 1000] {
        for seed in 0..25 {
            let mut world = World::with(3, 3, seed, |settings| {
                settings.down_after = ms(down_after);
            });
            world.settle();
            world.kill(1);
            world.until(ms(5000), "a switch", |world| {
                !world.all_say(&server(1)) && world.config_epoch(0) == world.config_epoch(1)
            });
            let master = world.master_at(0);
            world.run(ms(10 * down_after + 3000));
            let log = world.log();
            assert_eq!(
                world.count("+promoted-slave"),
                1,
                "{down_after} {seed}\n{log}"
            );
            assert_eq!(
                world.count("+switch-master"),
                3,
                "{down_after} {seed}\n{log}"
            );
            assert!(world.all_say(&master));
            let inst = format!("demo-1 {} {}", master.host(), master.port());
            for flag in ["+sdown", "+odown"] {
                let text = format!("{flag} master {inst}");
                assert_eq!(world.count(&text), 0, "{down_after} {seed}\n{log}");
            }
            let tries = world.count("+try-failover") as u64;
            assert_eq!(
                world.config_epoch(0),
                Epoch(tries),
                "an epoch for each attempt"
            );
        }
    }
}

/// Five masters die one after the other; each costs one promotion.
#[test]
fn each_death_moves_the_master_once() {
    for seed in 0..10 {
        let mut world = World::with(3, 3, seed, |settings| settings.down_after = ms(300));
        world.settle();
        for death in 1..=5 {
            let old = world.master_at(0);
            let n = (1..=3).find(|n| server(*n) == old).unwrap();
            world.kill(n);
            world.until(ms(5000), "a switch", |world| {
                let new = world.master_at(0);
                new != old && world.all_say(&new)
            });
            world.run(ms(1500));
            assert_eq!(world.count("+promoted-slave"), death, "{}", world.log());
            world.revive(n);
            world.until(ms(20_000), "the old one follows", |world| {
                let back = &world.servers[&old];
                back.master.is_some() && back.link_up
            });
            world.run(ms(11_000));
        }
        assert_eq!(world.count("+switch-master"), 15);
    }
}

/// The leader loses the new master in the moment of the switch. What its peers said of the old one
/// a moment ago is no word about the new one.
#[test]
fn words_about_the_old_master_are_void() {
    for seed in 0..20 {
        let mut world = World::with(3, 2, seed, |settings| settings.down_after = ms(300));
        world.settle();
        world.kill(1);
        world.until(ms(3000), "a switch", |world| {
            world.first("+switch-master").is_some()
        });
        let (switched, leader) = world.first("+switch-master").unwrap();
        world.cut.insert((sentinel(leader), server(2)));
        world.run(ms(3000));
        let (down, by) = world.first("+sdown master demo-1 10.0.0.2").unwrap();
        assert_eq!(by, leader);
        assert!(down.since(switched) >= ms(300), "{}", world.log());
        assert_eq!(world.count("+odown master demo-1 10.0.0.2"), 0);
        assert!(world.all_say(&server(2)), "{}", world.log());
    }
}

/// A sentinel that could not reach the replica before it was promoted gives it down-after anew.
#[test]
fn silence_counts_from_the_switch() {
    let mut world = World::with(3, 2, 1, |settings| settings.down_after = ms(1000));
    world.settle();
    world.cut.insert((sentinel(0), server(2)));
    world.until(ms(3000), "it is down as a replica", |world| {
        world.first("+sdown slave").is_some()
    });
    world.kill(1);
    world.until(ms(30_000), "a switch", |world| {
        world.master_at(0) == server(2)
    });
    let switched = world.now;
    world.run(ms(2000));
    let (down, by) = world.first("+sdown master demo-1 10.0.0.2").unwrap();
    assert_eq!(by, 0);
    assert!(down.since(switched) >= ms(999), "{}", world.log());
}
