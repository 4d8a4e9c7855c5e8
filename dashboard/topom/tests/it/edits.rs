//! Each edit's rules, in the words of the original.

use codis_core::epoch::Epoch;
use codis_core::model::{ActionState, Proxy, Sentinel, SlotAction, SlotMapping};
use codis_topom::{Change, Records, edit};

use crate::{Cluster, apply, cluster, groups, refused, topology};

#[test]
fn groups_are_checked() {
    let mut c = cluster();
    for id in [0, -1, 10_000] {
        assert_eq!(
            refused(edit::create_group(&c, id)),
            format!("invalid group id = {id}, out of range")
        );
    }
    assert_eq!(
        refused(edit::create_group(&c, 1)),
        "group-[1] already exists"
    );
    assert_eq!(refused(edit::remove_group(&c, 1)), "group-[1] isn't empty");
    assert_eq!(
        refused(edit::remove_group(&c, 9)),
        "group-[9] doesn't exist"
    );
    let created = edit::create_group(&c, 9);
    apply(&mut c, created);
    let removed = edit::remove_group(&c, 9);
    apply(&mut c, removed);
    assert!(c.group(9).is_err());
}

#[test]
fn servers_are_checked() {
    let mut c = cluster();
    let add = |c: &Cluster, gid, addr: &str| edit::add_server(c, gid, addr, "", "now");
    assert_eq!(refused(add(&c, 1, "nonsense")), "invalid server address");
    assert_eq!(
        refused(add(&c, 2, "10.0.0.1:6379")),
        "server-[10.0.0.1:6379] already exists"
    );
    assert_eq!(
        refused(add(&c, 7, "10.0.0.9:6379")),
        "group-[7] doesn't exist"
    );
    let removed = |c: &Cluster, gid, addr: &str| edit::remove_server(c, gid, addr);
    assert_eq!(
        refused(removed(&c, 1, "10.0.0.4:6379")),
        "group-[1] doesn't have server-[10.0.0.4:6379]"
    );
    assert_eq!(
        refused(removed(&c, 1, "10.0.0.1:6379")),
        "group-[1] can't remove master, still in use"
    );
    let toggled = edit::replica_groups(&c, 1, "10.0.0.2:6379", true);
    apply(&mut c, toggled);
    assert!(c.group(1).unwrap().out_of_sync);
    let gone = edit::remove_server(&c, 2, "10.0.0.4:6379");
    apply(&mut c, gone);
    assert!(c.group(2).unwrap().servers.is_empty());
}

/// The id of a group that was used before brings its epoch along, and a new master gets the next.
#[test]
fn a_group_that_is_filled_anew_gets_the_next_epoch() {
    let mut c = Cluster::load(Records {
        groups: groups(&[(3, &[])]),
        topologies: vec![topology(3, 4, "10.0.0.8:6379")],
        ..Records::default()
    });
    let added = edit::add_server(&c, 3, "10.0.0.9:6379", "", "now");
    apply(&mut c, added);
    assert_eq!((c.epoch(3), c.drifted(3)), (Epoch(5), false));
}

#[test]
fn slots_are_assigned_unless_they_are_on_the_move() {
    let mut c = cluster();
    let slot = |id, group_id| SlotMapping {
        id,
        group_id,
        ..SlotMapping::default()
    };
    assert_eq!(
        refused(edit::assign_slots(&c, &[slot(1024, 1)])),
        "slot-[1024] doesn't exist"
    );
    assert_eq!(
        refused(edit::assign_slots(&c, &[slot(0, 5)])),
        "group-[5] doesn't exist"
    );
    assert_eq!(
        refused(edit::offline_slots(&c, &[slot(3, 1)])),
        "group of slot-[3] should be 0"
    );
    let action = SlotAction {
        index: 1,
        state: ActionState::Pending,
        target_id: 2,
    };
    let acting = SlotMapping {
        id: 4,
        group_id: 1,
        action,
    };
    let asked = edit::assign_slots(&c, std::slice::from_ref(&acting));
    assert_eq!(refused(asked), "invalid slot-[4] action = pending");
    c.apply(&Change::PutSlot(acting));
    assert_eq!(
        refused(edit::assign_slots(&c, &[slot(4, 2)])),
        "slot-[4] action already exists"
    );
    let assigned = edit::assign_slots(&c, &[slot(500, 2), slot(0, 2)]);
    apply(&mut c, assigned);
    assert_eq!((c.slots()[500].group_id, c.slots()[0].group_id), (2, 2));
    assert!(c.group(2).unwrap().out_of_sync);
    let created = edit::create_group(&c, 6);
    apply(&mut c, created);
    assert_eq!(
        refused(edit::assign_slots(&c, &[slot(9, 6)])),
        "group-[6] is empty"
    );
}

#[test]
fn proxies_keep_their_id() {
    let mut c = cluster();
    let proxy = |token: &str| Proxy {
        token: token.to_owned(),
        ..Proxy::default()
    };
    for token in ["t1", "t2"] {
        let created = edit::create_proxy(&c, proxy(token));
        apply(&mut c, created);
    }
    assert_eq!(
        refused(edit::create_proxy(&c, proxy("t1"))),
        "proxy-[t1] already exists"
    );
    let again = edit::online_proxy(
        &c,
        Proxy {
            pid: 7,
            ..proxy("t2")
        },
    );
    apply(&mut c, again);
    assert_eq!(
        (c.proxy("t2").unwrap().id, c.proxy("t2").unwrap().pid),
        (2, 7)
    );
    assert_eq!(
        refused(edit::remove_proxy(&c, "t9")),
        "proxy-[t9] doesn't exist"
    );
}

#[test]
fn sentinels_are_flagged_when_what_they_watch_changes() {
    let mut c = cluster();
    assert_eq!(
        refused(edit::add_sentinel(&c, "nope")),
        "invalid sentinel address"
    );
    let added = edit::add_sentinel(&c, "10.0.0.5:26379");
    apply(&mut c, added);
    let again = edit::add_sentinel(&c, "10.0.0.5:26379");
    assert_eq!(refused(again), "sentinel-[10.0.0.5:26379] already exists");
    let gone = edit::remove_sentinel(&c, "10.0.0.6:26379");
    assert_eq!(refused(gone), "sentinel-[10.0.0.6:26379] not found");
    c.apply(&Change::PutSentinel(Sentinel {
        out_of_sync: false,
        ..c.sentinel().clone()
    }));
    let server = edit::add_server(&c, 2, "10.0.0.7:6379", "", "now");
    apply(&mut c, server);
    assert!(c.sentinel().out_of_sync);
}

/// A dashboard that dies behind the removal of a sentinel leaves on record that it is to forget.
#[test]
fn a_sentinel_that_was_dropped_is_remembered_until_it_has_forgotten() {
    let mut c = cluster();
    let leaving = |c: &Cluster| c.leaving().servers.clone();
    for addr in ["10.0.0.5:26379", "10.0.0.6:26379"] {
        let added = edit::add_sentinel(&c, addr);
        apply(&mut c, added);
    }
    assert!(leaving(&c).is_empty());
    for addr in ["10.0.0.5:26379", "10.0.0.6:26379"] {
        let dropped = edit::remove_sentinel(&c, addr);
        apply(&mut c, dropped);
    }
    assert_eq!(leaving(&c), ["10.0.0.5:26379", "10.0.0.6:26379"]);
    let back = edit::add_sentinel(&c, "10.0.0.5:26379");
    apply(&mut c, back);
    assert_eq!(leaving(&c), ["10.0.0.6:26379"], "it is to watch again");
    let left = edit::sentinel_left(&c, "10.0.0.6:26379");
    apply(&mut c, left);
    assert!(leaving(&c).is_empty());
    assert_eq!(edit::sentinel_left(&c, "10.0.0.6:26379"), Ok(Vec::new()));
}

#[test]
fn sync_actions_are_checked() {
    let mut c = cluster();
    assert_eq!(
        refused(edit::create_sync(&c, "x:1")),
        "server-[x:1] doesn't exist"
    );
    let asked = edit::remove_sync(&c, "10.0.0.2:6379");
    assert_eq!(
        refused(asked),
        "server-[10.0.0.2:6379] action doesn't exist"
    );
    let created = edit::create_sync(&c, "10.0.0.2:6379");
    apply(&mut c, created);
    let again = edit::create_sync(&c, "10.0.0.2:6379");
    assert_eq!(
        refused(again),
        "server-[10.0.0.2:6379] action already exist"
    );
}
