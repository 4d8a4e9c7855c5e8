//! Forms that are shared and kept are those that would be computed anew.

use std::sync::Arc;

use codis_core::model::{ActionState, Promoting, SlotAction, SlotMapping};
use codis_topom::form::{self, Viewer};
use codis_topom::forms::Forms;
use codis_topom::{Change, Cluster};
use proptest::prelude::*;

use crate::{cluster, topology};

#[derive(Clone, Debug)]
enum Event {
    Slot(u16, u32, u8, u32),
    Swap(u32),
    Replicas(u32, bool),
    Promoting(u32, bool),
    Delete(u32),
    Lock(u32, bool),
    Hold(u16, bool),
    Adopt(u32),
    Nothing,
}

fn event() -> impl Strategy<Value = Event> {
    let group = 0u32..4;
    prop_oneof![
        (0u16..12, group.clone(), 0u8..6, group.clone())
            .prop_map(|(id, owner, state, target)| Event::Slot(id, owner, state, target)),
        group.clone().prop_map(Event::Swap),
        (group.clone(), any::<bool>()).prop_map(|(id, on)| Event::Replicas(id, on)),
        (group.clone(), any::<bool>()).prop_map(|(id, on)| Event::Promoting(id, on)),
        group.clone().prop_map(Event::Delete),
        (group.clone(), any::<bool>()).prop_map(|(id, on)| Event::Lock(id, on)),
        (0u16..12, any::<bool>()).prop_map(|(id, on)| Event::Hold(id, on)),
        group.prop_map(Event::Adopt),
        Just(Event::Nothing),
    ]
}

fn change(cluster: &Cluster, event: &Event) -> Option<Change> {
    let group = |id: &u32| cluster.group(*id).ok().cloned();
    let states = [
        ActionState::Nothing,
        ActionState::Pending,
        ActionState::Preparing,
        ActionState::Prepared,
        ActionState::Migrating,
        ActionState::Finished,
    ];
    Some(match event {
        Event::Slot(id, owner, state, target) => Change::PutSlot(SlotMapping {
            id: *id,
            group_id: *owner,
            action: SlotAction {
                index: 1,
                state: states[usize::from(*state)],
                target_id: *target,
            },
        }),
        Event::Swap(id) => {
            let mut group = group(id)?;
            group.servers.rotate_left(1);
            Change::PutGroup(group)
        }
        Event::Replicas(id, on) => {
            let mut group = group(id)?;
            group.servers.iter_mut().for_each(|s| s.replica_group = *on);
            Change::PutGroup(group)
        }
        Event::Promoting(id, on) => {
            let mut group = group(id)?;
            group.promoting = Promoting {
                index: 0,
                state: if *on {
                    ActionState::Prepared
                } else {
                    ActionState::Nothing
                },
            };
            Change::PutGroup(group)
        }
        Event::Delete(id) => Change::DeleteGroup(*id),
        Event::Lock(group, locked) => Change::Lock {
            group: *group,
            locked: *locked,
        },
        Event::Hold(slot, held) => Change::Hold {
            slot: *slot,
            held: *held,
        },
        Event::Adopt(id) => {
            let epoch = cluster.epoch(*id).0 + 1;
            Change::PutTopology(topology(*id, epoch, cluster.master(*id)))
        }
        Event::Nothing => return None,
    })
}

proptest! {
    #[test]
    fn kept_forms_are_the_forms(events in proptest::collection::vec(event(), 1..60)) {
        let mut cluster = Arc::new(cluster());
        let viewers = [
            Viewer::default(),
            Viewer { ip: "10.0.0.2".parse().ok(), ..Viewer::default() },
        ];
        let mut forms = Forms::new(1);
        let mut before = None;
        for (revision, event) in events.iter().enumerate() {
            if let Some(change) = change(&cluster, event) {
                Arc::make_mut(&mut cluster).apply(&change);
            }
            // The second viewer asks now and then only, so it skips revisions.
            let asked = if revision % 3 == 0 { 2 } else { 1 };
            for viewer in &viewers[..asked] {
                let kept = forms.of(revision as u64, &cluster, viewer);
                let anew = form::all(&cluster, 1, Some(viewer));
                prop_assert!(kept.iter().map(|slot| &**slot).eq(anew.iter()));
            }
            let again = forms.of(revision as u64, &cluster, &viewers[0]);
            if matches!(event, Event::Nothing) && let Some(before) = &before {
                prop_assert!(Arc::ptr_eq(&again, before), "nothing changed, nothing is new");
            }
            before = Some(again);
        }
    }
}

#[test]
fn a_digest_is_kept_until_a_form_changes() {
    let mut cluster = Arc::new(cluster());
    let mut forms = Forms::new(1);
    let viewer = Viewer::default();
    let first = forms.of(1, &cluster, &viewer);
    forms.keep_digest(&first, "d");
    Arc::make_mut(&mut cluster).apply(&Change::Lock {
        group: 3,
        locked: true,
    });
    let same = forms.of(2, &cluster, &viewer);
    assert_eq!(forms.digest_of(&same).as_deref(), Some("d"));
    Arc::make_mut(&mut cluster).apply(&Change::Lock {
        group: 1,
        locked: true,
    });
    let other = forms.of(3, &cluster, &viewer);
    assert_eq!(forms.digest_of(&other), None);
}

/// A slot is held without a change of its record.
#[test]
fn a_hold_is_a_new_form() {
    let mut cluster = Arc::new(cluster());
    let mut slot = cluster.slot(4).unwrap().clone();
    slot.action = SlotAction {
        index: 1,
        state: ActionState::Preparing,
        target_id: 2,
    };
    Arc::make_mut(&mut cluster).apply(&Change::PutSlot(slot));
    let mut forms = Forms::new(1);
    let viewer = Viewer::default();
    for (revision, held) in [(1, false), (2, true), (3, true), (4, false)] {
        Arc::make_mut(&mut cluster).apply(&Change::Hold { slot: 4, held });
        assert_eq!(forms.of(revision, &cluster, &viewer)[4].locked, held);
    }
}

/// A lock that stands without its group is seen as well.
#[test]
fn a_lock_of_no_group_is_a_new_form() {
    let mut cluster = Arc::new(cluster());
    let mut forms = Forms::new(1);
    let viewer = Viewer::default();
    for (revision, locked) in [(1, false), (2, true), (3, false)] {
        let group = 0;
        Arc::make_mut(&mut cluster).apply(&Change::Lock { group, locked });
        assert_eq!(forms.of(revision, &cluster, &viewer)[900].locked, locked);
    }
}
