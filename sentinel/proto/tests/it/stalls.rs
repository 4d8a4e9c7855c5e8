//! A sentinel that did not run holds its own silence against nobody.

use crate::world::{NAME, World, ms};

/// Stops sentinel 0 for `span` while the rest of the world goes on.
fn stall(world: &mut World, span: u64) {
    world.stall(0);
    world.run(ms(span));
    world.unstall(0);
}

#[test]
fn a_short_stall_makes_nobody_s_down() {
    for seed in 0..50 {
        let mut world = World::new(3, 3, seed);
        world.settle();
        world.events.clear();
        stall(&mut world, 1500 + seed * 7);
        world.run(ms(500));
        let said = world.said(0);
        let down = said
            .iter()
            .filter(|text| text.starts_with("+sdown"))
            .count();
        assert_eq!(down, 0, "seed {seed}\n{}", world.log());
    }
}

#[test]
fn a_long_stall_is_a_tilt_that_ends_with_the_first_answers() {
    let mut world = World::new(3, 3, 1);
    world.settle();
    world.events.clear();
    stall(&mut world, 5000);
    world.run(ms(50));
    assert_eq!(world.said(0)[0], "+tilt #tilt mode entered");
    world.run(ms(1500));
    assert!(!world.sentinels[0].machine.is_tilt());
    assert!(world.said(0).contains(&"-tilt #tilt mode exited"));
    let view = world.sentinels[0].machine.master(world.now, NAME).unwrap();
    assert_eq!(view.instance.flags, ["master"]);
}
