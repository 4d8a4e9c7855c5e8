//! A dead process is told from a slow network: connections to it are refused.

use crate::world::{World, ms, server};

fn world(sentinels: usize, seed: u64) -> World {
    let mut world = World::with(sentinels, 3, seed, |settings| {
        settings.down_after = ms(30_000);
        settings.refused_after = ms(300);
    });
    world.settle();
    world
}

#[test]
fn a_dead_process_is_replaced_long_before_down_after() {
    for seed in 0..50 {
        let mut world = world(3, seed);
        let killed = world.now;
        world.kill(1);
        world.until(ms(3000), "a switch", |world| !world.all_say(&server(1)));
        let sdown = world.first("+sdown").unwrap().0.since(killed);
        assert!(sdown >= ms(300) && sdown < ms(500), "{sdown:?}");
        let (_, first) = world.first("+odown").unwrap();
        let said = world.said(first).join("\n");
        assert!(said.contains("#quorum 2/2"), "{said}");
        world.run(ms(5000));
        assert_eq!(world.count("+elected-leader"), 1, "{}", world.log());
    }
}

#[test]
fn without_the_setting_down_after_stands() {
    let mut world = World::with(3, 2, 1, |settings| settings.down_after = ms(30_000));
    world.settle();
    world.kill(1);
    world.run(ms(28_000));
    assert_eq!(world.count("+sdown"), 0);
    world.until(ms(5000), "a switch", |world| world.all_say(&server(2)));
}

/// Something refuses the connections of one sentinel to a healthy master. A quorum of one would do
/// for O_DOWN; for this it does not, until down-after has passed.
#[test]
fn one_sentinel_that_is_refused_decides_nothing() {
    let mut world = world(3, 2);
    for sentinel in &mut world.sentinels {
        let now = world.now;
        let (settings, _) = sentinel.machine.settings_of(crate::world::NAME).unwrap();
        let settings = settings.clone();
        let set = sentinel
            .machine
            .set(now, crate::world::NAME, settings, 1, &["quorum 1".into()]);
        set.unwrap();
    }
    world.refuse(0, &server(1));
    world.run(ms(20_000));
    assert_eq!(world.count("+sdown master"), 1);
    assert_eq!(world.count("+odown"), 0, "{}", world.log());
    let topology = world.sentinels[0]
        .machine
        .topology(world.now, crate::world::NAME)
        .unwrap();
    assert!(topology.flags.contains(&"refused".to_owned()));
    assert!(world.all_say(&server(1)));
    world.refused.clear();
    world.until(ms(2000), "recovery", |world| world.count("-sdown") == 1);
    world.refuse(0, &server(1));
    world.until(ms(31_500), "O_DOWN by its quorum of one", |world| {
        world.count("+odown") == 1
    });
}

/// A server that was down for less than the span is not S_DOWN, although its last refused try is
/// not much older than it.
#[test]
fn a_short_absence_is_forgiven() {
    for seed in 0..20 {
        let mut world = world(3, seed);
        world.kill(1);
        world.run(ms(280));
        world.servers.get_mut(&server(1)).unwrap().alive = true;
        world.run(ms(3000));
        assert_eq!(world.count("+sdown"), 0, "{}", world.log());
    }
}
