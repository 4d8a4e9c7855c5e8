//! `forget-after`: who is gone for long is forgotten, but never so that two sides could elect.

use codis_core::epoch::Epoch;
use codis_sentinel_proto::Input;
use codis_sentinel_proto::ids::RequestId;

use crate::world::{NAME, World, ms, sentinel, sentinel_id, server};

/// Sentinels that forget after 20 s what is gone.
fn world(sentinels: usize, servers: u8) -> World {
    let mut world = World::with(sentinels, servers, 7, |settings| {
        settings.forget_after = ms(20_000);
    });
    world.settle();
    world.events.clear();
    world
}

fn peers(world: &World, n: usize) -> usize {
    let view = world.sentinels[n].machine.master(world.now, NAME);
    view.unwrap().other_sentinels
}

/// Cuts every connection between two groups of sentinels, and between the second group and the
/// servers, or heals all.
fn part(world: &mut World, one: &[usize], other: &[usize]) {
    for a in other {
        for b in one {
            world.cut.insert((sentinel(*a), sentinel(*b)));
        }
        let servers: Vec<_> = world.servers.keys().cloned().collect();
        for addr in servers {
            world.cut.insert((sentinel(*a), addr));
        }
    }
}

#[test]
fn a_replica_that_the_master_no_longer_lists_is_forgotten_and_found_again() {
    let mut world = world(3, 3);
    world.kill(3);
    world.run(ms(19_000));
    assert_eq!(world.count("-slave"), 0, "{}", world.log());
    world.run(ms(15_000));
    assert_eq!(world.count("-slave"), 3, "{}", world.log());
    let (_, n) = world.first("-slave").unwrap();
    let said = world.said(n).join("\n");
    let text = "-slave slave 10.0.0.3:6379 10.0.0.3 6379 @ demo-1 10.0.0.1 6379";
    assert!(said.contains(text), "{said}");
    assert_eq!(world.sentinels[n].durable.masters[NAME].replicas.len(), 1);
    world.revive(3);
    world.servers.get_mut(&server(3)).unwrap().master = Some(server(1));
    world.run(ms(15_000));
    assert_eq!(
        world.count("+slave slave 10.0.0.3:6379"),
        3,
        "{}",
        world.log()
    );
}

#[test]
fn a_replica_that_the_master_still_lists_is_kept() {
    let mut world = world(1, 3);
    // Only the sentinel cannot reach it.
    world.cut.insert((sentinel(0), server(3)));
    world.run(ms(60_000));
    assert_eq!(world.count("-slave"), 0, "{}", world.log());
}

#[test]
fn nothing_is_forgotten_while_the_option_is_off() {
    let mut world = World::new(3, 3, 7);
    world.settle();
    world.kill(3);
    world.crash(2);
    world.run(ms(120_000));
    assert_eq!(world.count("-slave") + world.count("-sentinel"), 0);
}

#[test]
fn dead_sentinels_are_forgotten_one_at_a_time_down_to_the_quorum() {
    // Seven, quorum 4: three die, and four remain.
    let mut world = world(7, 2);
    for n in 4..7 {
        world.crash(n);
    }
    world.run(ms(90_000));
    for n in 0..4 {
        assert_eq!(peers(&world, n), 3, "{}", world.log());
        let forgotten: Vec<_> = world
            .events
            .iter()
            .filter(|(_, by, text)| *by == n && text.starts_with("-sentinel "))
            .map(|(at, _, _)| *at)
            .collect();
        assert_eq!(forgotten.len(), 3);
        let apart = forgotten
            .windows(2)
            .all(|it| it[1].since(it[0]) >= ms(10_000));
        assert!(apart, "{forgotten:?}");
    }
    // One more dies: four voters are as few as the quorum allows.
    world.crash(3);
    world.run(ms(60_000));
    assert_eq!(peers(&world, 0), 3, "{}", world.log());
}

#[test]
fn a_minority_forgets_nobody_and_nobody_is_forgotten_while_the_master_is_down() {
    let mut world = world(5, 2);
    part(&mut world, &[0, 1, 2], &[3, 4]);
    world.run(ms(60_000));
    assert_eq!(
        (peers(&world, 3), peers(&world, 4)),
        (4, 4),
        "{}",
        world.log()
    );
    assert_eq!(peers(&world, 0), 2, "{}", world.log());

    let mut world = self::world(3, 1);
    world.crash(2);
    world.kill(1);
    world.run(ms(60_000));
    assert_eq!(world.count("-sentinel "), 0, "{}", world.log());
}

/// Three of five go on without two. Then one of the three changes sides: it must not make the two a
/// majority of the five that they still believe in.
#[test]
fn those_that_were_forgotten_get_no_vote_until_a_majority_has_them_back() {
    let mut world = world(5, 2);
    part(&mut world, &[0, 1, 2], &[3, 4]);
    world.run(ms(60_000));
    assert_eq!(peers(&world, 2), 2);
    let ours = world.sentinels[2].durable.masters[NAME].forgotten.clone();
    assert_eq!(ours.len(), 2);
    world.cut.clear();
    part(&mut world, &[0, 1], &[2, 3, 4]);
    for n in [2, 3, 4] {
        world.cut.remove(&(sentinel(n), server(1)));
        world.cut.remove(&(sentinel(n), server(2)));
    }
    // Also not when it forgets in a restart that it forgot.
    world.crash(2);
    world.restart(2, 9);
    world.run(ms(10_000));
    assert_eq!(peers(&world, 2), 2, "{}", world.log());
    let ask = Input::Asked {
        request: RequestId(1_000_001),
        master: server(1),
        epoch: Epoch(50),
        candidate: Some(sentinel_id(3)),
    };
    world.inject(2, ask);
    world.run(ms(100));
    assert_eq!(world.votes.get(&(2, Epoch(50))), None);
    assert_eq!(world.count("+vote-for-leader"), 0, "{}", world.log());
    // All are together again: the next hellos bring them back, one after the other.
    world.cut.clear();
    world.run(ms(40_000));
    for n in 0..5 {
        assert_eq!(peers(&world, n), 4, "s{n}\n{}", world.log());
    }
    assert!(
        world.sentinels[2].durable.masters[NAME]
            .forgotten
            .is_empty()
    );
    world.kill(1);
    world.until(ms(5000), "a switch", |world| world.all_say(&server(2)));
}
