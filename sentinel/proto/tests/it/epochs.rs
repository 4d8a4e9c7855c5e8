//! Epochs neither fall nor get stuck.

use codis_core::epoch::Epoch;
use codis_sentinel_proto::Input;
use codis_sentinel_proto::hello::Hello;

use crate::world::{NAME, World, ms, sentinel, sentinel_id, server};

#[test]
fn removing_and_adding_a_monitor_keeps_the_epoch() {
    let mut world = World::new(3, 2, 1);
    world.settle();
    world.kill(1);
    world.until(ms(3000), "a switch", |world| world.all_say(&server(2)));
    assert_eq!(world.config_epoch(0), Epoch(1));
    let now = world.now;
    let machine = &mut world.sentinels[0].machine;
    machine.remove(now, NAME).unwrap();
    machine.monitor(now, NAME, server(2), 2).unwrap();
    assert_eq!(machine.master(now, NAME).unwrap().config_epoch, Epoch(1));
    world.drain(0);
    world.run(ms(3000));
    world.crash(0);
    world.restart(0, 5);
    assert_eq!(world.config_epoch(0), Epoch(1));
    assert!(world.all_say(&server(2)));
}

#[test]
fn a_floor_seeds_the_epoch_of_a_fresh_monitor_and_of_the_next_election() {
    let mut world = World::new(3, 2, 2);
    world.settle();
    for n in 0..3 {
        let now = world.now;
        world.sentinels[n]
            .machine
            .raise_epoch_floor(now, NAME, Epoch(40));
        world.drain(n);
        assert_eq!(world.config_epoch(n), Epoch(40));
    }
    world.run(ms(100));
    world.kill(1);
    world.until(ms(3000), "a switch", |world| world.all_say(&server(2)));
    assert_eq!(world.config_epoch(0), Epoch(41));
}

#[test]
fn a_floor_does_not_lift_an_address_that_was_agreed_on_earlier() {
    let mut world = World::new(3, 2, 3);
    world.settle();
    world.kill(1);
    world.until(ms(3000), "a switch", |world| world.all_say(&server(2)));
    let now = world.now;
    world.sentinels[0]
        .machine
        .raise_epoch_floor(now, NAME, Epoch(9));
    assert_eq!(world.config_epoch(0), Epoch(1));
    assert_eq!(world.sentinels[0].machine.current_epoch(), Epoch(9));
}

#[test]
fn a_hello_moves_the_master_only_with_a_higher_epoch() {
    let mut world = World::new(3, 2, 4);
    world.settle();
    let hello = |epoch, n| {
        Input::Hello(Hello {
            from: sentinel(1),
            id: sentinel_id(1),
            current_epoch: Epoch(epoch),
            master_name: NAME.into(),
            master: server(n),
            config_epoch: Epoch(epoch),
        })
    };
    world.inject(0, hello(0, 2));
    assert_eq!(world.master_at(0), server(1));
    world.inject(0, hello(3, 2));
    assert_eq!(
        (world.master_at(0), world.config_epoch(0)),
        (server(2), Epoch(3))
    );
    world.inject(0, hello(3, 1));
    world.inject(0, hello(2, 1));
    assert_eq!(
        world.master_at(0),
        server(2),
        "equal and lower epochs change nothing"
    );
    world.run(ms(3000));
    assert!(world.all_say(&server(2)), "and the others follow");
}

#[test]
fn a_sentinel_that_moved_is_followed_and_one_that_was_displaced_is_forgotten() {
    let mut world = World::new(3, 2, 5);
    world.settle();
    let hello = |id, n: usize| {
        Input::Hello(Hello {
            from: sentinel(n),
            id: sentinel_id(id),
            current_epoch: Epoch::ZERO,
            master_name: NAME.into(),
            master: server(1),
            config_epoch: Epoch::ZERO,
        })
    };
    world.events.clear();
    // Sentinel 2 was rebuilt with another id at the same address.
    world.inject(0, hello(7, 2));
    assert_eq!(
        world.said(0),
        [
            format!(
                "+sentinel-invalid-addr sentinel {} 10.0.1.2 26379 @ demo-1 10.0.0.1 6379",
                sentinel_id(2)
            ),
            format!(
                "+sentinel sentinel {} 10.0.1.2 26379 @ demo-1 10.0.0.1 6379",
                sentinel_id(7)
            ),
        ]
    );
    world.events.clear();
    // Sentinel 1 speaks from another address.
    world.inject(0, hello(1, 0));
    let id = sentinel_id(1);
    let expected = format!(
        "+sentinel-address-switch master demo-1 10.0.0.1 6379 ip 10.0.1.0 port 26379 for {id}"
    );
    assert_eq!(world.said(0), [expected]);
    assert_eq!(
        world.sentinels[0].machine.usable_sentinels(NAME),
        Some((3, 3, 2))
    );
}

#[test]
fn an_epoch_that_no_elections_can_have_led_to_is_not_believed() {
    let mut world = World::new(3, 2, 6);
    world.settle();
    for epoch in [u64::MAX, 1 << 62] {
        world.inject(
            0,
            Input::Hello(Hello {
                from: sentinel(1),
                id: sentinel_id(1),
                current_epoch: Epoch(epoch),
                master_name: NAME.into(),
                master: server(2),
                config_epoch: Epoch(epoch),
            }),
        );
        let now = world.now;
        let machine = &mut world.sentinels[0].machine;
        machine.raise_epoch_floor(now, NAME, Epoch(epoch));
        assert_eq!(machine.current_epoch(), Epoch::ZERO);
        assert_eq!(world.master_at(0), server(1));
    }
    world.kill(1);
    world.until(ms(3000), "a switch", |world| world.all_say(&server(2)));
    assert_eq!(world.config_epoch(0), Epoch(1));
}
