//! A master that restarts before down-after: followed with all its data, replaced without.

use crate::server::Server;
use crate::world::{NAME, World, ms, server};

fn world(servers: u8, seed: u64) -> World {
    let mut world = World::with(3, servers, seed, |settings| {
        settings.down_after = ms(30_000)
    });
    world.settle();
    world.events.clear();
    world
}

fn empty(server: &mut Server) {
    server.data.keys = 0;
    server.offset = 0;
}

#[test]
fn an_empty_master_is_replaced_before_its_replicas_copy_it() {
    for seed in 0..50 {
        let mut world = world(3, seed);
        world.restart_server(ms(200 + seed * 13), ms(500), empty);
        let back = world.now;
        world.until(ms(3000), "a switch", |world| !world.all_say(&server(1)));
        let took = world.now.since(back);
        assert!(took < ms(500), "seed {seed}: {took:?}\n{}", world.log());
        let (lost, _) = world.first("+master-lost-data").unwrap();
        assert!(lost <= world.first("+sdown").unwrap().0);
        let log = world.log();
        assert!(log.contains("has 100 keys, the master 0"), "{log}");
        world.run(ms(5000));
        let master = world.master_at(0);
        assert_eq!(world.servers[&master].data.keys, 100);
        let follows = world.servers[&server(1)].master.as_ref();
        assert_eq!(follows, Some(&master), "the empty one is led at once");
        assert_eq!(world.count("+elected-leader"), 1, "{}", world.log());
        assert_eq!(world.causes(), ["lost_data"]);
    }
}

#[test]
fn a_master_with_all_its_data_is_followed() {
    // From an append-only file: another history, all keys. From a snapshot made at the end: the
    // same history, all of it. And one whose data expired, or that had none.
    let whole: [fn(&mut Server); 3] = [
        |server| server.offset = 0,
        |server| {
            server.data.history_before = "first".into();
            server.data.offset_before = 1000;
            server.data.keys = 1;
        },
        |server| server.data.keys = 200,
    ];
    for (seed, change) in whole.into_iter().enumerate() {
        let mut world = world(3, seed as u64);
        world.restart_server(ms(200), ms(500), change);
        world.run(ms(10_000));
        assert_eq!(world.count("+reboot master"), 3);
        assert_eq!(world.count("+master-lost-data"), 0, "{}", world.log());
        assert_eq!(world.count("+sdown"), 0, "{}", world.log());
    }
}

#[test]
fn an_old_snapshot_is_less_data() {
    let mut world = world(3, 1);
    world.restart_server(ms(200), ms(500), |server| {
        server.data.history_before = "first".into();
        server.data.offset_before = 900;
    });
    world.until(ms(3000), "a switch", |world| !world.all_say(&server(1)));
    assert!(world.log().contains("up to 1000, the master up to 900"));
}

#[test]
fn a_master_that_loads_is_waited_for() {
    let mut world = world(3, 2);
    world.restart_server(ms(200), ms(4000), |server| {
        server.data.keys = 0;
        server.loading = true;
    });
    world.run(ms(3000));
    assert_eq!(world.count("+master-lost-data"), 0);
    world.servers.get_mut(&server(1)).unwrap().data.keys = 40;
    world.servers.get_mut(&server(1)).unwrap().loading = false;
    world.until(ms(1000), "a switch", |world| !world.all_say(&server(1)));
}

/// Both replicas copied the empty master before anybody looked: nothing better exists.
#[test]
fn a_master_that_was_copied_by_all_is_followed_and_it_is_told() {
    let mut world = world(3, 3);
    world.restart_server(ms(400), ms(0), empty);
    world.run(ms(10_000));
    assert_eq!(world.count("+master-lost-data"), 3, "{}", world.log());
    assert_eq!(world.count("-master-lost-data"), 3);
    assert_eq!(world.count("+sdown"), 0);
    assert!(
        world
            .log()
            .contains("had 100 keys, the master 0, and took its place")
    );
    assert!(world.all_say(&server(1)));
}

/// One replica copied the empty master, the other did not: that one is chosen, and the first is
/// refused with the reason.
#[test]
fn a_replica_that_was_wiped_is_no_candidate() {
    let mut world = world(3, 4);
    let wiped = world.servers.get_mut(&server(2)).unwrap();
    (wiped.priority, wiped.offset) = (1, 1000);
    world.run(ms(11_000));
    world.restart_server(ms(400), ms(600), empty);
    let data = world.servers[&server(1)].data.clone();
    let wiped = world.servers.get_mut(&server(2)).unwrap();
    (wiped.data, wiped.link_up, wiped.offset) = (data, true, 0);
    world.until(ms(3000), "a switch", |world| world.all_say(&server(3)));
    let refused = world.topologies.iter().any(|(_, _, it)| {
        it.refused
            .iter()
            .any(|it| it.addr == server(2) && it.reason.contains("restarted master"))
    });
    assert!(refused);
    let shown = |(_, _, it): &(_, _, codis_core::topology::Topology)| {
        it.flags.contains(&"lost_data".to_owned())
    };
    assert!(world.topologies.iter().any(shown));
}

#[test]
fn a_replica_that_must_not_be_promoted_saves_nothing() {
    let mut world = world(2, 5);
    world.servers.get_mut(&server(2)).unwrap().priority = 0;
    world.run(ms(11_000));
    world.restart_server(ms(200), ms(1000), empty);
    world.run(ms(5000));
    assert!(
        world.log().contains("but cannot be promoted"),
        "{}",
        world.log()
    );
    assert_eq!(world.count("-master-lost-data"), 3);
    assert_eq!(world.count("+sdown"), 0);
}

/// An operator may want it otherwise: it is told and nothing else.
#[test]
fn with_the_setting_off_it_is_only_told() {
    let mut world = World::with(3, 3, 6, |settings| {
        settings.down_after = ms(30_000);
        settings.lost_data_failover = false;
    });
    world.settle();
    world.restart_server(ms(200), ms(500), empty);
    world.run(ms(10_000));
    assert_eq!(world.count("+master-lost-data"), 3);
    assert_eq!(
        world.count("-master-lost-data"),
        3,
        "once all have copied it"
    );
    assert_eq!(world.count("+sdown"), 0, "{}", world.log());
    let flags = world.sentinels[0]
        .machine
        .topology(world.now, NAME)
        .unwrap()
        .flags;
    assert!(!flags.contains(&"lost_data".to_owned()));
}

/// A replica that was cut off long before holds data that was deleted since.
#[test]
fn a_replica_out_of_step_is_no_evidence() {
    let mut world = world(2, 7);
    world.servers.get_mut(&server(2)).unwrap().link_down_ms = 60_000;
    world.servers.get_mut(&server(1)).unwrap().data.keys = 7;
    world.restart_server(ms(200), ms(1000), |_| {});
    world.run(ms(5000));
    assert_eq!(world.count("+master-lost-data"), 0, "{}", world.log());
}
