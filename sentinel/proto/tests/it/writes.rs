//! A master that answers but takes no writes.

use codis_sentinel_proto::settings::WriteCheck;
use codis_sentinel_proto::{CannotTell, WriteProbe, WriteRefusal};

use crate::world::{NAME, World, ms, server};

fn world(servers: u8, seed: u64, check: WriteCheck) -> World {
    let mut world = World::with(3, servers, seed, |settings| settings.write_check = check);
    world.settle();
    world.events.clear();
    world
}

fn refuse(world: &mut World, refusal: WriteRefusal) {
    world.servers.get_mut(&server(1)).unwrap().writes = WriteProbe::Refused(refusal);
}

#[test]
fn a_refusal_that_lasts_down_after_moves_the_master() {
    for (seed, refusal) in [
        WriteRefusal::Disk,
        WriteRefusal::Memory,
        WriteRefusal::ReadOnly,
        WriteRefusal::Hang,
    ]
    .into_iter()
    .enumerate()
    {
        let mut world = world(3, seed as u64, WriteCheck::Yes);
        let begin = world.now;
        refuse(&mut world, refusal);
        world.until(ms(5000), "a switch", |world| !world.all_say(&server(1)));
        let took = world.now.since(begin);
        assert!(took >= ms(750) && took < ms(2000), "{refusal:?}: {took:?}");
        let event = format!("+master-write-refused master {NAME} 10.0.0.1 6379 #");
        let text = format!("{event}{}", refusal.as_str());
        assert!(world.count(&text) >= 2, "{}", world.log());
        let sdown = world.first("+sdown").unwrap().0.since(begin);
        assert!(sdown >= ms(750), "{refusal:?}: {sdown:?}");
        world.run(ms(3000));
        let master = world.master_at(0);
        let follows = world.servers[&server(1)].master.as_ref();
        assert_eq!(follows, Some(&master), "it is led at once");
        assert_eq!(world.count("+elected-leader"), 1);
        assert_eq!(world.causes(), ["no_writes"]);
    }
}

#[test]
fn a_probe_that_may_only_report_moves_nothing() {
    for refusal in [WriteRefusal::Memory, WriteRefusal::Hang] {
        let mut world = world(3, 1, WriteCheck::Report);
        refuse(&mut world, refusal);
        world.run(ms(10_000));
        assert_eq!(world.count("+master-write-refused"), 3, "{}", world.log());
        let flags = |world: &World| {
            let machine = &world.sentinels[0].machine;
            machine.topology(world.now, NAME).unwrap().flags
        };
        assert!(flags(&world).contains(&"write_refused".to_owned()));
        world.servers.get_mut(&server(1)).unwrap().writes = WriteProbe::Accepted;
        world.run(ms(10_000));
        assert_eq!(world.count("-master-write-refused"), 3);
        assert!(!flags(&world).contains(&"write_refused".to_owned()));
        assert_eq!(world.count("+sdown"), 0, "{}", world.log());
    }
}

#[test]
fn too_few_replicas_are_no_reason() {
    let mut world = world(3, 2, WriteCheck::Yes);
    refuse(&mut world, WriteRefusal::Replicas);
    world.run(ms(10_000));
    assert_eq!(world.count("+master-write-refused"), 3);
    assert_eq!(world.count("+sdown"), 0);
}

/// Without the check nothing is probed; PING and INFO tell all the same, and a PING that is no
/// proof of life makes S_DOWN as ever.
#[test]
fn without_the_check_ping_and_info_are_believed() {
    let mut world = world(3, 3, WriteCheck::No);
    refuse(&mut world, WriteRefusal::Memory);
    world.run(ms(5000));
    assert_eq!(world.count("+master-write-refused"), 0);
    world.servers.get_mut(&server(1)).unwrap().trouble =
        "aof_enabled:1\r\naof_last_write_status:err\r\n".into();
    world.run(ms(11_000));
    assert_eq!(world.count("+master-write-refused"), 3);
    assert_eq!(world.count("+sdown"), 0);
    refuse(&mut world, WriteRefusal::Disk);
    world.until(ms(3000), "a switch", |world| !world.all_say(&server(1)));
}

#[test]
fn a_probe_that_cannot_tell_is_mentioned_once() {
    let mut world = world(3, 4, WriteCheck::Yes);
    let blind = WriteProbe::CannotTell(CannotTell::NoPermission);
    world.servers.get_mut(&server(1)).unwrap().writes = blind;
    world.run(ms(10_000));
    assert_eq!(world.count("+master-write-check-blind"), 3);
    assert!(world.log().contains("#NOPERM"));
    assert_eq!(world.count("+sdown"), 0);
}

/// When the replicas would refuse too, another master helps nobody.
#[test]
fn a_replica_that_would_refuse_too_is_no_candidate() {
    let mut world = world(3, 5, WriteCheck::Yes);
    for n in [2, 3] {
        world.servers.get_mut(&server(n)).unwrap().trouble =
            "used_memory:9\r\nmaxmemory:5\r\nmaxmemory_policy:noeviction\r\n".into();
    }
    refuse(&mut world, WriteRefusal::Memory);
    world.run(ms(10_000));
    assert!(world.all_say(&server(1)));
    assert!(
        world.count("-failover-abort-no-good-slave") >= 1,
        "{}",
        world.log()
    );
    world.servers.get_mut(&server(3)).unwrap().trouble = String::new();
    world.until(ms(15_000), "a switch", |world| world.all_say(&server(3)));
}

/// A refusal that every server shows one after the other moves the master once.
#[test]
fn refusals_do_not_chase_the_master_around() {
    let mut world = world(3, 6, WriteCheck::Yes);
    for n in 1..=3 {
        let it = world.servers.get_mut(&server(n)).unwrap();
        it.writes = WriteProbe::Refused(WriteRefusal::Memory);
    }
    world.run(ms(9000));
    assert_eq!(world.count("+promoted-slave"), 1, "{}", world.log());
}
