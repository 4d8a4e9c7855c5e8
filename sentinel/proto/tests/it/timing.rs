//! Each time constant governs what its name says, from the moment at which it is set.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_sentinel_proto::timing::Timing;

use crate::world::{NAME, World, ms, sentinel, server};

fn set(world: &mut World, n: usize, change: impl Fn(&mut Timing)) {
    let mut timing = world.sentinels[n].machine.timing().clone();
    change(&mut timing);
    world.sentinels[n].machine.set_timing(world.now, timing);
    world.drain(n);
}

/// How often sentinel 0 sends a command to an address in 20 s.
fn rate(world: &mut World, to: &Addr, command: &'static str) -> usize {
    world.sent.clear();
    world.run(ms(20_000));
    let sent = world.sent.get(&(0, to.clone(), command));
    sent.copied().unwrap_or(0)
}

fn quiet_world() -> World {
    let mut world = World::with(3, 2, 1, |it| it.down_after = ms(30_000));
    world.settle();
    world
}

#[test]
fn the_periods_of_ping_info_and_hello_are_followed_at_once() {
    type Change = fn(&mut Timing, Duration);
    let cases: [(&str, Addr, Change, [usize; 2]); 4] = [
        ("PING", server(1), |it, p| it.ping_period = p, [19, 97]),
        ("INFO", server(1), |it, p| it.info_period = p, [2, 97]),
        ("PUBLISH", server(2), |it, p| it.publish_period = p, [9, 97]),
        (
            "PUBLISH",
            sentinel(1),
            |it, p| it.publish_period = p,
            [9, 97],
        ),
    ];
    for (command, to, change, [idle, fast]) in cases {
        let mut world = quiet_world();
        let before = rate(&mut world, &to, command);
        assert!((idle..=idle + 2).contains(&before), "{command}: {before}");
        set(&mut world, 0, |timing| change(timing, ms(200)));
        let after = rate(&mut world, &to, command);
        assert!((fast..=fast + 6).contains(&after), "{command}: {after}");
        set(&mut world, 0, |timing| change(timing, ms(15_000)));
        let slow = rate(&mut world, &to, command);
        // PING follows down-after too, which is 30 s here.
        let most = if command == "PING" { 8 } else { 2 };
        assert!(slow <= most, "{command}: {slow}");
    }
}

#[test]
fn sentinels_are_asked_again_each_ask_period() {
    // No replica: the master stays down, and everybody keeps saying so.
    let asked = |period: u64| {
        let mut world = World::new(3, 1, 1);
        world.settle();
        for n in 0..3 {
            set(&mut world, n, |it| it.ask_period = ms(period));
        }
        world.kill(1);
        world.run(ms(40_000));
        rate(&mut world, &sentinel(1), "IS-MASTER-DOWN")
    };
    let (slow, fast) = (asked(4000), asked(500));
    assert!(slow >= 4 && fast >= 35 && fast > 3 * slow, "{slow} {fast}");
}

#[test]
fn an_election_ends_with_its_timeout() {
    let mut world = World::new(3, 2, 1);
    world.settle();
    set(&mut world, 0, |timing| timing.election_timeout = ms(30));
    for n in [1, 2] {
        world.cut.insert((sentinel(0), sentinel(n)));
    }
    let now = world.now;
    world.sentinels[0]
        .machine
        .failover(now, NAME, None)
        .unwrap();
    world.drain(0);
    let lost = "-failover-abort-not-elected";
    world.until(ms(40), "the end of the attempt", |it| it.count(lost) == 1);
    assert!(world.now.since(now) >= ms(30));
}

#[test]
fn a_replica_that_does_not_obey_gets_a_second_order_after_the_reconf_timeout() {
    let mut world = World::with(3, 3, 1, |it| it.down_after = ms(2000));
    world.settle();
    for n in 0..3 {
        set(&mut world, n, |it| it.replica_reconf_timeout = ms(300));
    }
    world.kill(1);
    world.until(ms(5000), "a promotion", |it| {
        it.count("+promoted-slave") == 1
    });
    let at = world.now;
    let new = world.master_at(world.first("+promoted-slave").unwrap().1);
    let other = if new == server(2) {
        server(3)
    } else {
        server(2)
    };
    world.servers.get_mut(&other).unwrap().frozen = true;
    let late = "-slave-reconf-sent-timeout";
    world.until(ms(400), "the end of patience", |it| it.count(late) == 1);
    assert!(world.now.since(at) >= ms(290));
}

#[test]
fn tilt_has_a_trigger_and_a_longest_time() {
    let stalled = |trigger: u64, period: u64| {
        let mut world = quiet_world();
        set(&mut world, 0, |timing| {
            timing.tilt_trigger = ms(trigger);
            timing.tilt_period = ms(period);
        });
        // Nobody answers, so only the period ends it.
        for n in [1, 2] {
            world.servers.get_mut(&server(n)).unwrap().frozen = true;
        }
        world.stall(0);
        world.run(ms(5000));
        world.unstall(0);
        let at = world.now;
        world.run(ms(100));
        if world.count("+tilt") == 0 {
            return None;
        }
        world.until(ms(40_000), "the end", |it| it.count("-tilt") == 1);
        Some(world.first("-tilt").unwrap().0.since(at).as_millis())
    };
    assert_eq!(stalled(6000, 30_000), None);
    assert!(stalled(2000, 700).is_some_and(|took| (600..=700).contains(&took)));
    assert!(stalled(2000, 20_000).is_some_and(|took| took > 19_000));
}

#[test]
fn a_new_master_gets_the_default_times() {
    let mut world = quiet_world();
    set(&mut world, 0, |timing| {
        timing.default_down_after = ms(1234);
        timing.default_failover_timeout = ms(5678);
    });
    let now = world.now;
    let machine = &mut world.sentinels[0].machine;
    machine.monitor(now, "new", server(2), 2).unwrap();
    let (settings, _) = machine.settings_of("new").unwrap();
    assert_eq!(settings.down_after, ms(1234));
    assert_eq!(settings.failover_timeout, ms(5678));
    let (old, _) = machine.settings_of(NAME).unwrap();
    assert_eq!(old.down_after, ms(30_000), "others keep theirs");
}
