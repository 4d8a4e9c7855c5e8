//! The form of a slot in each state.

use codis_core::api::Slot;
use codis_core::epoch::Epoch;
use codis_core::model::{ActionState, Group, Promoting, SlotAction, SlotMapping};
use codis_topom::form::{self, Viewer};
use codis_topom::{Change, edit};

use crate::{Cluster, apply, cluster, topology};

fn in_state(state: ActionState) -> Slot {
    let c = readable();
    let slot = SlotMapping {
        id: 0,
        group_id: 1,
        action: SlotAction {
            index: 1,
            state,
            target_id: 2,
        },
    };
    form::one(&c, &slot, 1, None)
}

/// The cluster with every server readable and group 1 at epoch 3.
fn readable() -> Cluster {
    let mut c = cluster();
    let toggled = edit::replica_groups_all(&c, true);
    apply(&mut c, toggled);
    c.apply(&Change::PutTopology(topology(1, 3, "10.0.0.1:6379")));
    c
}

#[test]
fn each_state_has_its_form() {
    let parts = |slot: &Slot| {
        (
            slot.locked,
            slot.backend_addr_group_id,
            slot.migrate_from_group_id,
        )
    };
    let pending = in_state(ActionState::Pending);
    assert_eq!(parts(&pending), (false, 1, 0));
    assert_eq!(
        pending.replica_groups.len(),
        1,
        "nobody in particular: one list"
    );
    assert_eq!(pending.replica_groups[0].len(), 3);
    assert_eq!(pending.backend_addr_epoch, Epoch(3));
    let preparing = in_state(ActionState::Preparing);
    assert_eq!(
        (parts(&preparing), preparing.replica_groups.len()),
        ((false, 1, 0), 0)
    );
    let prepared = in_state(ActionState::Prepared);
    assert_eq!(parts(&prepared), (true, 2, 1));
    assert_eq!(
        (
            prepared.backend_addr.as_str(),
            prepared.migrate_from.as_str()
        ),
        ("10.0.0.4:6379", "10.0.0.1:6379")
    );
    assert_eq!(
        (prepared.backend_addr_epoch, prepared.migrate_from_epoch),
        (Epoch(0), Epoch(3))
    );
    assert_eq!(parts(&in_state(ActionState::Migrating)), (false, 2, 1));
    assert_eq!(parts(&in_state(ActionState::Finished)), (false, 2, 0));
}

#[test]
fn an_unassigned_slot_is_bare() {
    let slot = form::one(
        &cluster(),
        &SlotMapping {
            id: 1023,
            ..SlotMapping::default()
        },
        1,
        None,
    );
    let text = String::from_utf8(codis_core::json::encode(&slot)).unwrap();
    assert_eq!(text, "{\n    \"id\": 1023,\n    \"forward_method\": 1\n}");
}

#[test]
fn a_promoting_group_locks_and_hides_its_replicas() {
    let mut c = readable();
    let promoting = |state| Promoting { index: 1, state };
    for (state, locked) in [
        (ActionState::Preparing, false),
        (ActionState::Prepared, true),
    ] {
        let group = Group {
            promoting: promoting(state),
            ..c.group(1).unwrap().clone()
        };
        c.apply(&Change::PutGroup(group));
        let slot = form::one(&c, &c.slots()[0], 1, None);
        assert_eq!(
            (slot.locked, slot.replica_groups.len()),
            (locked, 0),
            "{state:?}"
        );
    }
}

#[test]
fn an_address_that_no_topology_vouches_for_carries_no_epoch() {
    let mut c = cluster();
    c.apply(&Change::PutTopology(topology(1, 3, "10.0.0.2:6379")));
    assert!(c.drifted(1));
    assert_eq!(
        form::one(&c, &c.slots()[0], 1, None).backend_addr_epoch,
        Epoch::ZERO
    );
}

#[test]
fn replicas_near_the_proxy_come_first() {
    let mut c = readable();
    let mut group = c.group(1).unwrap().clone();
    group.servers[1].datacenter = "dc1".to_owned();
    group.servers[2].datacenter = "dc1".to_owned();
    group.servers[1].addr = "near:6379".to_owned();
    c.apply(&Change::PutGroup(group));
    let ip = "10.0.0.9".parse().unwrap();
    let viewer = Viewer {
        datacenter: "dc1".to_owned(),
        ip: Some(ip),
        resolved: [("near".to_owned(), ip)].into(),
    };
    let lists = form::one(&c, &c.slots()[0], 1, Some(&viewer)).replica_groups;
    assert_eq!(lists, [["near:6379"], ["10.0.0.3:6379"], ["10.0.0.1:6379"]]);
    let unknown =
        form::one(&c, &c.slots()[0], 1, Some(&Viewer { ip: None, ..viewer })).replica_groups;
    assert_eq!(unknown.len(), 1);
}
