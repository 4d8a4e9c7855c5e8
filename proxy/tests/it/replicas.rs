//! Reads from replicas: which one, when none, and how many connections.
//!
//! The replicas of these tests are servers of their own with data of their own, so that a reply
//! tells where it came from.

use codis_core::api::Slot;
use codis_core::slot::SlotId;
use codis_core::units::TimeSpan;
use codis_proxy::settings::Settings;

use super::double::Double;
use super::harness::{Client, Fixture, Server, Text, settings, slot, spread, wait_for};

/// A server on which `k` says where it is.
fn server(name: &str) -> Server {
    let server = Server::start(&[]);
    server.run(&["SET", "k", name]);
    server
}

fn with_replicas(master: &Server, groups: &[&[&str]]) -> Vec<Slot> {
    let owned = |group: &&[&str]| group.iter().map(|addr| (*addr).to_owned()).collect();
    let groups: Vec<Vec<String>> = groups.iter().map(owned).collect();
    let mut slots = spread(&[master], 0);
    for slot in &mut slots {
        slot.replica_groups.clone_from(&groups);
    }
    slots
}

fn quick() -> Settings {
    Settings {
        backend_ping_period: TimeSpan::from_secs(1),
        ..settings()
    }
}

fn wait_until_read(client: &mut Client, name: &str) {
    wait_for(name, || client.text(&["GET", "k"]) == name);
}

#[test]
fn the_first_group_with_a_live_replica_is_read() {
    let master = server("master");
    let (mut near, far) = (server("near"), server("far"));
    let fixture = Fixture::online(quick(), &[&master]);
    let groups: &[&[&str]] = &[&[&near.addr()], &[&far.addr()]];
    fixture.fill(&with_replicas(&master, groups)).unwrap();
    let mut client = fixture.client();
    wait_until_read(&mut client, "near");
    for _ in 0..50 {
        assert_eq!(client.text(&["GET", "k"]), "near");
    }
    assert_eq!(client.text(&["SET", "k", "master"]), "OK");
    assert_eq!(master.run(&["GET", "k"]).text(), "master");
    assert_eq!(near.run(&["GET", "k"]).text(), "near");
    near.kill();
    wait_until_read(&mut client, "far");
    for _ in 0..50 {
        assert_eq!(client.text(&["GET", "k"]), "far");
    }
    let back = Server::start_at(near.port, &[]);
    back.run(&["SET", "k", "near"]);
    wait_until_read(&mut client, "near");
}

#[test]
fn the_members_of_a_group_share_its_reads() {
    let master = server("master");
    let (one, two) = (server("one"), server("two"));
    let fixture = Fixture::online(quick(), &[&master]);
    let groups: &[&[&str]] = &[&[&one.addr(), &two.addr()]];
    fixture.fill(&with_replicas(&master, groups)).unwrap();
    let mut client = fixture.client();
    wait_until_read(&mut client, "one");
    wait_until_read(&mut client, "two");
    let mut seen = [0, 0];
    for _ in 0..200 {
        match client.text(&["GET", "k"]).as_str() {
            "one" => seen[0] += 1,
            "two" => seen[1] += 1,
            other => panic!("{other}"),
        }
    }
    assert!(seen.iter().all(|count| *count > 20), "{seen:?}");
}

#[test]
fn primary_only_reads_no_replica() {
    let (master, replica) = (server("master"), server("replica"));
    let mut with = quick();
    with.backend_primary_only = true;
    let fixture = Fixture::online(with, &[&master]);
    let groups: &[&[&str]] = &[&[&replica.addr()]];
    fixture.fill(&with_replicas(&master, groups)).unwrap();
    let mut client = fixture.client();
    for _ in 0..100 {
        assert_eq!(client.text(&["GET", "k"]), "master");
    }
    let shown = &fixture.slot_table()[0].replica_groups;
    assert_eq!(shown.len(), 1, "the slot shows what was pushed");
}

#[test]
fn a_migrating_slot_reads_no_replica() {
    let (old, new) = (server("old"), Server::start(&[]));
    let replica = server("replica");
    let (old_front, new_front) = (Double::before(&old), Double::before(&new));
    let fixture = Fixture::online(quick(), &[&old]);
    let id = SlotId::of_key(b"k").get();
    let migrating = Slot {
        migrate_from: old_front.addr.clone(),
        migrate_from_group_id: 1,
        forward_method: 1,
        replica_groups: vec![vec![replica.addr()]],
        ..slot(id, 2, &new_front.addr, 0)
    };
    fixture.fill(&[migrating]).unwrap();
    let mut client = fixture.client();
    for _ in 0..50 {
        assert_eq!(client.text(&["GET", "k"]), "old");
    }
}

#[test]
fn a_replica_that_lost_its_master_is_left_until_it_is_well() {
    let master = server("master");
    let mut gone = Server::start(&[]);
    let replica = Server::start(&["--replica-serve-stale-data", "no"]);
    replica.follow(&gone);
    gone.kill();
    wait_for("the replica knows", || {
        replica.run(&["GET", "k"]).text().starts_with("-MASTERDOWN")
    });
    let fixture = Fixture::online(quick(), &[&master]);
    let groups: &[&[&str]] = &[&[&replica.addr()]];
    fixture.fill(&with_replicas(&master, groups)).unwrap();
    let mut client = fixture.client();
    for _ in 0..300 {
        assert_eq!(client.text(&["GET", "k"]), "master");
    }
    let refused = replica.run(&["INFO", "commandstats"]).text();
    assert!(refused.contains("cmdstat_get"), "it was asked: {refused}");
    replica.run(&["REPLICAOF", "NO", "ONE"]);
    replica.run(&["SET", "k", "replica"]);
    wait_until_read(&mut client, "replica");
}

#[test]
fn a_replica_that_loads_is_left_until_it_has() {
    let (master, replica) = (server("master"), server("replica"));
    let front = Double::before(&replica);
    let fixture = Fixture::online(quick(), &[&master]);
    let groups: &[&[&str]] = &[&[&front.addr]];
    fixture.fill(&with_replicas(&master, groups)).unwrap();
    let mut client = fixture.client();
    wait_until_read(&mut client, "replica");
    let loading = "-LOADING Redis is loading the dataset in memory\r\n";
    front.knobs().answer("GET", loading);
    assert_eq!(client.text(&["GET", "k"]), "master");
    assert_eq!(client.text(&["GET", "k"]), "master");
    wait_until_read(&mut client, "replica");
}

/// Connections of others to a server.
fn connections(server: &Server) -> usize {
    server.run(&["CLIENT", "LIST"]).text().lines().count() - 1
}

#[test]
fn masters_and_replicas_have_their_own_number_of_connections() {
    for (primary, replicas) in [(1, 3), (3, 1)] {
        let (master, replica) = (server("master"), server("replica"));
        let mut with = quick();
        with.backend_primary_parallel = primary;
        with.backend_replica_parallel = replicas;
        let fixture = Fixture::online(with, &[&master]);
        let groups: &[&[&str]] = &[&[&replica.addr()]];
        fixture.fill(&with_replicas(&master, groups)).unwrap();
        let mut clients: Vec<Client> = (0..40).map(|_| fixture.client()).collect();
        for client in &mut clients {
            wait_until_read(client, "replica");
            assert_eq!(client.text(&["SET", "w", "1"]), "OK");
        }
        // Two workers, each with its own; which clients a worker got is chance.
        let (wide, narrow) = if primary > replicas {
            (connections(&master), connections(&replica))
        } else {
            (connections(&replica), connections(&master))
        };
        assert!((1..=2).contains(&narrow), "{narrow}");
        assert!((3..=6).contains(&wide), "{wide}");
    }
}
