use proptest::prelude::*;

use super::*;

fn slot(id: u16, group: u32, address: &str, epoch: u64) -> api::Slot {
    api::Slot {
        id,
        backend_addr: address.to_owned(),
        backend_addr_group_id: group,
        backend_addr_epoch: Epoch(epoch),
        ..api::Slot::default()
    }
}

fn pair(epoch: u64, master: &str) -> Pair {
    Pair {
        epoch: Epoch(epoch),
        master: master.to_owned(),
    }
}

fn address(book: &mut Book, id: u16) -> String {
    book.table().routes[usize::from(id)]
        .wire
        .backend_addr
        .clone()
}

#[test]
fn a_lower_or_equal_epoch_does_not_move_a_master() {
    let mut book = Book::new(true);
    book.fill(&[slot(1, 7, "a:1", 5), slot(2, 7, "a:1", 5)]);
    assert!(!book.adopt(7, pair(4, "old:1")));
    assert!(!book.adopt(7, pair(5, "other:1")));
    assert_eq!(address(&mut book, 1), "a:1");
    assert!(book.adopt(7, pair(6, "b:1")));
    assert!(book.is_switched());
    assert_eq!(address(&mut book, 1), "b:1");
    assert_eq!(address(&mut book, 2), "b:1");

    let mut late = slot(1, 7, "a:1", 5);
    late.replica_groups = vec![vec!["c:1".to_owned()]];
    book.fill(&[late]);
    let table = book.table();
    assert_eq!(
        table.routes[1].wire.backend_addr, "b:1",
        "its own address stands"
    );
    assert_eq!(table.routes[1].wire.backend_addr_epoch, Epoch(6));
    assert_eq!(
        table.routes[1].replicas,
        [[table.find("c:1").unwrap()]],
        "the rest is applied"
    );
}

#[test]
fn a_fill_with_a_higher_epoch_moves_the_whole_group() {
    let mut book = Book::new(true);
    book.fill(&[
        slot(1, 7, "a:1", 5),
        slot(2, 7, "a:1", 5),
        slot(3, 8, "a:1", 5),
    ]);
    assert!(
        book.barrier(&[slot(1, 7, "b:1", 6)]).is_empty(),
        "an election is not waited for"
    );
    book.fill(&[slot(1, 7, "b:1", 6)]);
    assert_eq!(address(&mut book, 2), "b:1");
    assert_eq!(address(&mut book, 3), "a:1", "another group stays");
}

#[test]
fn an_original_body_yields_to_sentinels_only_while_they_monitor() {
    let mut book = Book::new(true);
    book.fill(&[slot(1, 7, "a:1", 0)]);
    book.adopt(7, pair(3, "b:1"));
    book.set_monitored(BTreeSet::from([7]));
    book.fill(&[slot(1, 7, "a:1", 0)]);
    assert_eq!(address(&mut book, 1), "b:1");
    book.set_monitored(BTreeSet::new());
    book.fill(&[slot(1, 7, "a:1", 0)]);
    assert_eq!(address(&mut book, 1), "a:1");
    assert_eq!(book.groups()[&7], pair(3, "a:1"), "the epoch never falls");
}

#[test]
fn a_planned_move_and_a_lock_need_a_barrier() {
    let mut book = Book::new(true);
    book.fill(&[slot(1, 7, "a:1", 0), slot(2, 7, "a:1", 0)]);
    let mut locked = slot(2, 7, "a:1", 0);
    locked.locked = true;
    let fill = [slot(1, 8, "b:1", 0), locked.clone(), slot(3, 8, "b:1", 0)];
    assert_eq!(book.barrier(&fill), [1, 2]);
    book.hold(&[1, 2], Hold::Held);
    assert_eq!(book.table().routes[1].hold, Hold::Held);
    book.fill(&fill);
    let table = book.table();
    assert_eq!(table.routes[1].hold, Hold::Open);
    assert_eq!(table.routes[2].hold, Hold::Held, "locked stays held");
    assert!(book.barrier(&[locked]).is_empty(), "already held");
    book.fill(&[slot(2, 7, "a:1", 0)]);
    assert!(!book.table().any_held());
}

#[test]
fn what_cannot_be_routed_is_refused_whole() {
    let mut migrating = migrating(1, "a:1", "b");
    let refused = Book::check(std::slice::from_ref(&migrating));
    assert!(matches!(refused, Err(Problem::Address { slot: 1, .. })));
    migrating.migrate_from = "b:1".to_owned();
    migrating.forward_method = 2;
    let refused = Book::check(std::slice::from_ref(&migrating));
    assert_eq!(refused, Err(Problem::ForwardMethod));
    migrating.forward_method = 1;
    assert_eq!(Book::check(&[migrating]), Ok(()));
    assert_eq!(
        Book::check(&[slot(1024, 1, "a:1", 0)]),
        Err(Problem::SlotId)
    );
    assert!(matches!(
        Book::check(&[slot(1, 1, "a", 0)]),
        Err(Problem::Address { slot: 1, .. })
    ));
    assert_eq!(Book::check(&[slot(1, 0, "", 0)]), Ok(()));
}

proptest! {
    /// Whatever comes in whatever order, the epoch of a group never falls, and a master changes
    /// only together with it once epochs are in use.
    #[test]
    fn epochs_never_fall(steps in prop::collection::vec((any::<bool>(), 1u64..6, 0u8..3), 1..40)) {
        let mut book = Book::new(true);
        let mut last: Option<Pair> = None;
        for (by_fill, epoch, server) in steps {
            let master = format!("s{server}:1");
            if by_fill {
                book.fill(&[slot(9, 7, &master, epoch)]);
            } else {
                book.adopt(7, pair(epoch, &master));
            }
            let now = book.groups()[&7].clone();
            if let Some(before) = last {
                prop_assert!(now.epoch >= before.epoch);
                prop_assert!(now.epoch > before.epoch || now.master == before.master);
            }
            last = Some(now);
        }
    }
}

#[test]
fn a_barrier_that_fails_leaves_locks_in_place() {
    let mut book = Book::new(true);
    let mut locked = slot(1, 1, "a:1", 0);
    locked.locked = true;
    book.fill(&[locked, slot(2, 1, "a:1", 0)]);
    let next = [slot(1, 2, "b:1", 0), slot(2, 2, "b:1", 0)];
    let moving = book.barrier(&next);
    assert_eq!(moving, [1, 2]);
    book.hold(&moving, Hold::Cut);
    book.release(&moving);
    let table = book.table();
    assert_eq!(table.routes[1].hold, Hold::Held);
    assert_eq!(table.routes[2].hold, Hold::Open);
}

/// Slot `id` on its way from group 7 to group 8.
fn migrating(id: u16, to: &str, from: &str) -> api::Slot {
    api::Slot {
        migrate_from: from.to_owned(),
        migrate_from_group_id: 7,
        forward_method: 1,
        ..slot(id, 8, to, 0)
    }
}

#[test]
fn a_migrating_slot_knows_both_owners_and_no_replicas() {
    let mut book = Book::new(true);
    let mut moving = migrating(1, "b:1", "a:1");
    moving.replica_groups = vec![vec!["c:1".to_owned()]];
    book.fill(&[moving]);
    let table = book.table();
    let route = &table.routes[1];
    let source = table.find("a:1").unwrap();
    assert_eq!(route.master, table.find("b:1"));
    assert_eq!(
        route.migration,
        Some(Migration {
            source,
            method: Method::SemiAsync
        })
    );
    assert_eq!(route.hold, Hold::Moving);
    assert!(route.replicas.is_empty());
    assert!(!table.any_held());
}

#[test]
fn every_step_of_a_migration_has_a_barrier_and_an_election_has_none() {
    let mut book = Book::new(true);
    book.fill(&[slot(1, 7, "a:1", 0)]);
    let moving = migrating(1, "b:1", "a:1");
    let mut locked = moving.clone();
    locked.locked = true;
    for (next, waits) in [
        (locked.clone(), true),
        (moving.clone(), false),
        (moving.clone(), false),
        (slot(1, 8, "b:1", 0), true),
        (moving.clone(), true),
        (slot(1, 7, "a:1", 0), true),
    ] {
        let next = [next];
        assert_eq!(!book.barrier(&next).is_empty(), waits, "{next:?}");
        book.fill(&next);
    }
    book.fill(std::slice::from_ref(&moving));
    let mut elected = moving;
    elected.migrate_from = "a2:1".to_owned();
    elected.migrate_from_epoch = Epoch(3);
    assert!(book.barrier(&[elected]).is_empty());
}

/// A failover of either side moves that side only, and an order with a lower epoch moves neither.
#[test]
fn a_failover_re_points_both_sides_of_a_migration() {
    let mut book = Book::new(true);
    book.fill(&[migrating(1, "b:1", "a:1"), slot(2, 7, "a:1", 0)]);
    assert!(book.adopt(7, pair(4, "a2:1")));
    assert!(book.adopt(8, pair(5, "b2:1")));
    book.fill(&[api::Slot {
        migrate_from_epoch: Epoch(3),
        backend_addr_epoch: Epoch(4),
        ..migrating(1, "b:1", "a:1")
    }]);
    let table = book.table();
    let wire = &table.routes[1].wire;
    assert_eq!(wire.backend_addr, "b2:1");
    assert_eq!(wire.migrate_from, "a2:1");
    assert_eq!(
        (wire.backend_addr_epoch, wire.migrate_from_epoch),
        (Epoch(5), Epoch(4))
    );
    assert_eq!(table.routes[2].wire.backend_addr, "a2:1");
    let source = table.routes[1].migration.unwrap().source;
    assert_eq!(&**table.address(source), "a2:1");
}
