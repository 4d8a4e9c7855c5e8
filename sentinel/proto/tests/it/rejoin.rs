//! Sentinels that lost their state: no second vote in an epoch that they forgot.

use codis_core::epoch::Epoch;
use codis_sentinel_proto::Input;
use codis_sentinel_proto::ids::RequestId;
use codis_sentinel_proto::machine::OrderError;

use crate::world::{NAME, World, ms, sentinel_id, server};

fn ask(epoch: u64, candidate: usize, request: u64) -> Input {
    Input::Asked {
        request: RequestId(1_000_000 + request),
        master: server(1),
        epoch: Epoch(epoch),
        candidate: Some(sentinel_id(candidate)),
    }
}

/// Starts a sentinel again with nothing but its configuration.
fn restart_without_state(world: &mut World, n: usize, seed: u64) {
    world.crash(n);
    let durable = &mut world.sentinels[n].durable;
    durable.current_epoch = Epoch::ZERO;
    durable.epoch_floors.clear();
    durable.rejoining = true;
    for master in durable.masters.values_mut() {
        (master.config_epoch, master.leader_epoch) = (Epoch::ZERO, Epoch::ZERO);
        master.sentinels.clear();
        master.replicas.clear();
    }
    world.restart(n, seed);
}

#[test]
fn a_forgotten_vote_is_not_given_to_another() {
    let mut world = World::new(3, 2, 1);
    world.settle();
    world.inject(0, ask(5, 1, 1));
    world.run(ms(10));
    assert_eq!(world.votes.get(&(0, Epoch(5))), Some(&sentinel_id(1)));
    restart_without_state(&mut world, 0, 7);
    assert!(world.sentinels[0].machine.is_rejoining());
    for request in 2..12 {
        world.inject(0, ask(5, 2, request));
        world.run(ms(500));
    }
    assert_eq!(world.votes.get(&(0, Epoch(5))), Some(&sentinel_id(1)));
    let now = world.now;
    let order = world.sentinels[0].machine.failover(now, NAME, None);
    assert_eq!(order, Err(OrderError::Rejoining), "its own vote, too");
    world.run(ms(10_000));
    assert!(!world.sentinels[0].machine.is_rejoining());
    assert!(!world.sentinels[0].durable.rejoining, "nor after a restart");
    world.inject(0, ask(5, 2, 20));
    world.inject(0, ask(9, 2, 21));
    world.run(ms(10));
    assert_eq!(world.votes.get(&(0, Epoch(5))), Some(&sentinel_id(1)));
    assert_eq!(world.votes.get(&(0, Epoch(9))), Some(&sentinel_id(2)));
}

/// Whoever may have been elected with the forgotten vote must be among those that were heard.
#[test]
fn too_few_others_are_not_enough() {
    let mut world = World::new(3, 2, 2);
    world.settle();
    world.inject(0, ask(5, 1, 1));
    world.run(ms(10));
    world.crash(1);
    world.crash(0);
    let durable = &mut world.sentinels[0].durable;
    durable.rejoining = true;
    world.restart(0, 7);
    world.run(ms(30_000));
    assert!(world.sentinels[0].machine.is_rejoining());
    world.inject(0, ask(50, 2, 2));
    world.run(ms(10));
    assert_eq!(world.votes.get(&(0, Epoch(50))), None);
    // A restart does not end the abstinence.
    world.crash(0);
    world.restart(0, 8);
    assert!(world.sentinels[0].machine.is_rejoining());
    // An operator who knows that the other is gone for good says so.
    world.run(ms(20_000));
    let now = world.now;
    world.sentinels[0].machine.reset(now, &[NAME.to_owned()]);
    world.run(ms(10_000));
    assert!(!world.sentinels[0].machine.is_rejoining());
}

/// The others fail over without it, and it follows.
#[test]
fn the_others_go_on_without_it() {
    for seed in 0..10 {
        let mut world = World::new(3, 2, seed);
        world.settle();
        restart_without_state(&mut world, 0, seed);
        world.run(ms(2_500));
        world.kill(1);
        world.until(ms(20_000), "a switch", |world| world.all_say(&server(2)));
        assert_ne!(world.first("+elected-leader").unwrap().1, 0);
    }
}

/// A quorum that is wholly new, or lost everything, works after the time that it takes.
#[test]
fn all_may_have_lost_their_state() {
    let mut world = World::new(3, 2, 4);
    world.settle();
    for n in 0..3 {
        restart_without_state(&mut world, n, n as u64);
    }
    world.run(ms(15_000));
    assert!((0..3).all(|n| !world.sentinels[n].machine.is_rejoining()));
    world.kill(1);
    world.until(ms(9000), "a switch", |world| world.all_say(&server(2)));
}

/// A sentinel that needs nobody else waits for the time alone.
#[test]
fn a_single_sentinel_rejoins_by_itself() {
    let mut world = World::new(1, 2, 5);
    world.settle();
    restart_without_state(&mut world, 0, 9);
    world.run(ms(1000));
    world.kill(1);
    world.run(ms(8000));
    assert_eq!(world.count("+try-failover"), 0);
    world.until(ms(9000), "a switch", |world| world.all_say(&server(2)));
}
