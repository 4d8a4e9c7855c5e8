//! One row against a proxy that is played by hand.

mod late;
mod lies;

use super::place::DISPUTES_MAX;
use super::*;

const T0: Time = Time::ZERO;

fn slot(id: u16, addr: &str, epoch: u64) -> Slot {
    Slot {
        id,
        backend_addr: addr.to_owned(),
        backend_addr_group_id: 1,
        backend_addr_epoch: Epoch(epoch),
        ..Slot::default()
    }
}

fn all(addr: &str, epoch: u64) -> Vec<Slot> {
    (0..4).map(|id| slot(id, addr, epoch)).collect()
}

fn want(row: &mut Row, revision: u64, slots: Vec<Slot>) {
    row.handle_wanted(revision, slots.into_iter().map(Arc::new).collect());
}

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// A row whose proxy holds what is wanted at revision 1.
fn settled() -> Row {
    let mut row = Row::new(T0, true, 1);
    want(&mut row, 1, all("a:1", 0));
    let Some(Effect::Look { id }) = row.poll_effect(T0) else {
        panic!("looks first")
    };
    row.handle_seen(T0, id, all("a:1", 0));
    assert_eq!((row.status().acked, row.poll_effect(T0)), (1, None));
    row
}

fn fill(row: &mut Row, now: Time) -> (u64, Vec<Slot>) {
    match row.poll_effect(now) {
        Some(Effect::Fill { id, slots }) => {
            (id, slots.iter().map(|slot| (**slot).clone()).collect())
        }
        other => panic!("expected a fill, found {other:?}"),
    }
}

#[test]
fn only_what_is_lacking_is_sent_and_forms_overtaken_on_the_way_are_not() {
    let mut row = settled();
    let mut wanted = all("a:1", 0);
    wanted[2] = slot(2, "b:1", 1);
    want(&mut row, 2, wanted.clone());
    let (first, sent) = fill(&mut row, T0);
    assert_eq!(sent, [slot(2, "b:1", 1)]);
    // Two more revisions while the first body is on its way: the middle one is never sent.
    wanted[2] = slot(2, "c:1", 2);
    want(&mut row, 3, wanted.clone());
    wanted[2] = slot(2, "d:1", 3);
    want(&mut row, 4, wanted);
    assert_eq!(row.poll_effect(T0), None);
    row.handle_filled(T0, first);
    assert_eq!(row.status().acked, 2, "and nothing of a newer revision");
    let (second, sent) = fill(&mut row, T0);
    assert_eq!(sent, [slot(2, "d:1", 3)]);
    row.handle_filled(T0, second);
    assert_eq!(row.status().acked, 4);
}

#[test]
fn a_failure_is_tried_again_after_a_pause_and_a_nudge_ends_the_pause() {
    let mut row = settled();
    want(&mut row, 2, all("b:1", 1));
    let (id, _) = fill(&mut row, T0);
    row.handle_failure(T0, id, "no answer".to_owned());
    assert_eq!(row.status().failing.as_deref(), Some("no answer"));
    assert_eq!(row.poll_effect(T0), None);
    let due = row.poll_timeout().unwrap();
    assert!(due > T0 && due <= at(100));
    row.handle_nudge(T0);
    let (id, sent) = fill(&mut row, T0);
    assert_eq!(sent.len(), 4);
    row.handle_filled(at(1), id);
    assert_eq!(
        (row.status().acked, row.status().failing.clone()),
        (2, None)
    );
}

#[test]
fn a_closed_row_sends_nothing_until_it_is_opened_or_refilled_by_hand() {
    let mut row = Row::new(T0, false, 1);
    want(&mut row, 1, all("a:1", 0));
    assert_eq!(
        (row.poll_effect(at(60_000)), row.poll_timeout()),
        (None, None)
    );
    row.handle_refill(T0, None);
    assert_eq!(fill(&mut row, T0).1.len(), 4);
}

#[test]
fn a_higher_epoch_at_the_proxy_counts_as_held() {
    let mut row = Row::new(T0, true, 1);
    want(&mut row, 1, all("a:1", 5));
    let Some(Effect::Look { id }) = row.poll_effect(T0) else {
        panic!()
    };
    row.handle_seen(T0, id, all("b:1", 6));
    assert_eq!((row.status().acked, row.poll_effect(T0)), (1, None));
    let mut row = Row::new(T0, true, 1);
    want(&mut row, 1, all("a:1", 5));
    let Some(Effect::Look { id }) = row.poll_effect(T0) else {
        panic!()
    };
    row.handle_seen(T0, id, all("b:1", 4));
    assert_eq!(fill(&mut row, T0).1.len(), 4, "a lower one does not");
}

#[test]
fn a_proxy_that_forgot_is_found_and_filled_again() {
    let mut row = settled();
    let later = at(10_000);
    let Some(Effect::Look { id }) = row.poll_effect(later) else {
        panic!("looks again")
    };
    row.handle_seen(
        later,
        id,
        (0..4)
            .map(|id| Slot {
                id,
                ..Slot::default()
            })
            .collect(),
    );
    assert_eq!(fill(&mut row, later).1.len(), 4);
}

#[test]
fn a_refill_distrusts_a_body_on_its_way() {
    let mut row = settled();
    want(&mut row, 2, all("b:1", 1));
    let (old, _) = fill(&mut row, T0);
    row.handle_refill(T0, Some(&[0, 1]));
    row.handle_filled(T0, old);
    assert_eq!(row.status().acked, 0);
    let (id, sent) = fill(&mut row, T0);
    assert_eq!(sent.len(), 2);
    row.handle_filled(T0, id);
    assert_eq!(row.status().acked, 2);
}

/// A row whose proxy holds slots 0 and 1 at group 1 and 2 and 3 at group 2.
fn two_groups() -> Row {
    let mut row = Row::new(T0, true, 1);
    want(&mut row, 1, pairs("a:1", "b:1", false));
    let Some(Effect::Look { id }) = row.poll_effect(T0) else {
        panic!("looks first")
    };
    row.handle_seen(T0, id, pairs("a:1", "b:1", false));
    assert_eq!(row.poll_effect(T0), None);
    row
}

fn pairs(first: &str, second: &str, locked: bool) -> Vec<Slot> {
    let of = |ids: [u16; 2], group, addr: &str, locked| {
        ids.map(|id| Slot {
            backend_addr_group_id: group,
            locked,
            ..slot(id, addr, 0)
        })
    };
    let (first, second) = (of([0, 1], 1, first, locked), of([2, 3], 2, second, false));
    first.into_iter().chain(second).collect()
}

#[test]
fn slots_of_a_group_that_hangs_hold_nobody_up() {
    let mut row = two_groups();
    // One revision locks group 1, whose server hangs, and moves group 2 by hand.
    want(&mut row, 2, pairs("a:1", "c:1", true));
    let (hangs, sent) = fill(&mut row, T0);
    assert_eq!(sent.iter().map(|slot| slot.id).collect::<Vec<_>>(), [0, 1]);
    let (other, sent) = fill(&mut row, T0);
    assert_eq!(sent.iter().map(|slot| slot.id).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(row.poll_effect(T0), None, "all is on its way");
    row.handle_filled(T0, other);
    assert!(row.holds(&[2, 3], 2) && !row.holds(&[0], 2));
    assert_eq!(row.status().acked, 1);
    // Later edits of the other group pass too, and each is acknowledged.
    for revision in 3..50 {
        want(
            &mut row,
            revision,
            pairs("a:1", &format!("m{revision}:1"), true),
        );
        let (id, sent) = fill(&mut row, T0);
        assert_eq!(sent.len(), 2);
        row.handle_filled(T0, id);
        assert!(row.holds(&[2, 3], revision));
    }
    row.handle_failure(T0, hangs, "no answer".to_owned());
    assert_eq!(row.poll_effect(T0), None, "it is tried again after a pause");
    assert!(
        row.poll_timeout()
            .is_some_and(|due| due > T0 && due <= at(100))
    );
    let (again, sent) = fill(&mut row, at(100));
    assert_eq!(sent.len(), 2);
    row.handle_filled(at(100), again);
    assert_eq!(row.status().acked, 49);
}

#[test]
fn a_switch_by_election_and_an_unlock_wait_for_nobody() {
    let mut row = two_groups();
    let mut next = pairs("n:1", "b:1", false);
    next[0].backend_addr_epoch = Epoch(1);
    next[1].backend_addr_epoch = Epoch(1);
    next[2].replica_groups = vec![vec!["r:1".to_owned()]];
    want(&mut row, 2, next.clone());
    let (id, sent) = fill(&mut row, T0);
    assert_eq!(sent.len(), 3, "one body for all");
    row.handle_filled(T0, id);
    next[0].locked = true;
    want(&mut row, 3, next.clone());
    let (id, _) = fill(&mut row, T0);
    row.handle_filled(T0, id);
    next[0].locked = false;
    next[3].replica_groups = vec![vec!["r:1".to_owned()]];
    want(&mut row, 4, next);
    assert_eq!(fill(&mut row, T0).1.len(), 2);
}

#[test]
fn acknowledgements_advance_under_edits_that_never_end() {
    let mut row = settled();
    let mut flight: Option<u64> = None;
    for revision in 2..100 {
        // Another edit comes before each body lands.
        want(&mut row, revision, all("a:1", revision));
        if let Some(id) = flight.take() {
            row.handle_filled(T0, id);
            assert!(row.status().acked >= revision - 1, "{revision}");
            assert!(row.holds(&[0, 1, 2, 3], revision - 1));
        }
        flight = Some(fill(&mut row, T0).0);
    }
}

#[test]
fn a_form_that_was_overtaken_on_its_way_counts_for_the_revisions_that_wanted_it() {
    let mut row = settled();
    let mut wanted = all("a:1", 0);
    wanted[0] = slot(0, "b:1", 1);
    want(&mut row, 2, wanted.clone());
    let (first, _) = fill(&mut row, T0);
    wanted[1] = slot(1, "b:1", 1);
    want(&mut row, 3, wanted.clone());
    wanted[0] = slot(0, "c:1", 2);
    want(&mut row, 4, wanted);
    row.handle_filled(T0, first);
    assert!(row.holds(&[0], 3), "revisions 2 and 3 wanted it");
    assert!(!row.holds(&[0], 4) && !row.holds(&[1], 3));
}

#[test]
fn a_look_says_nothing_of_slots_that_were_sent_meanwhile() {
    let mut row = settled();
    let later = at(10_000);
    let Some(Effect::Look { id: look }) = row.poll_effect(later) else {
        panic!("looks again")
    };
    want(&mut row, 2, all("b:1", 1));
    let (body, _) = fill(&mut row, later);
    row.handle_filled(later, body);
    // The proxy answered the look before it took the body.
    row.handle_seen(later, look, all("a:1", 0));
    assert_eq!((row.status().acked, row.poll_effect(later)), (2, None));
}

#[test]
fn few_bodies_are_sent_to_a_proxy_that_takes_none() {
    let mut row = two_groups();
    want(&mut row, 2, pairs("c:1", "d:1", false));
    let (first, _) = fill(&mut row, T0);
    let (second, _) = fill(&mut row, T0);
    row.handle_failure(T0, first, "no answer".to_owned());
    row.handle_failure(T0, second, "no answer".to_owned());
    let mut sent = 0;
    for revision in 3..100 {
        want(
            &mut row,
            revision,
            pairs(&format!("e{revision}:1"), "d:1", revision % 2 == 0),
        );
        sent += usize::from(row.poll_effect(at(revision)).is_some());
    }
    assert!(sent <= FLIGHTS_FAILING_MAX, "{sent}");
}

/// What can happen to a row.
#[derive(Clone, Debug)]
enum Event {
    Want(u8, u8, bool),
    Refill(Option<u16>),
    Nudge,
    Answer(u8, bool),
    Later(u16),
}

fn events() -> impl proptest::strategy::Strategy<Value = Vec<Event>> {
    use proptest::prelude::*;
    let event = prop_oneof![
        4 => (0u8..4, 0u8..4, any::<bool>()).prop_map(|(a, b, c)| Event::Want(a, b, c)),
        1 => proptest::option::of(0u16..4).prop_map(Event::Refill),
        1 => Just(Event::Nudge),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(which, ok)| Event::Answer(which, ok)),
        2 => (0u16..12_000).prop_map(Event::Later),
    ];
    proptest::collection::vec(event, 1..120)
}

/// A proxy that answers in any order, and the forms that it ever held.
#[derive(Default)]
struct Proxy {
    slots: BTreeMap<u16, Slot>,
    flights: Vec<(Effect, Vec<Slot>)>,
    held: BTreeMap<u16, Vec<Slot>>,
}

impl Proxy {
    fn take(&mut self, effect: Effect) {
        let now = self.slots.values().cloned().collect();
        self.flights.push((effect, now));
    }

    /// Carries out one of the calls; whether the answer arrives is another question.
    fn answer(&mut self, row: &mut Row, now: Time, which: usize, arrives: bool) {
        if self.flights.is_empty() {
            return;
        }
        let (effect, seen) = self.flights.remove(which % self.flights.len());
        if let Effect::Fill { slots, .. } = &effect {
            for slot in slots {
                self.slots.insert(slot.id, (**slot).clone());
                self.held.entry(slot.id).or_default().push((**slot).clone());
            }
        }
        match effect {
            Effect::Look { id } | Effect::Fill { id, .. } if !arrives => {
                row.handle_failure(now, id, "no".to_owned());
            }
            // What a look sees was true at some time while it was on its way.
            Effect::Look { id } => row.handle_seen(now, id, seen),
            Effect::Fill { id, .. } => row.handle_filled(now, id),
        }
    }
}

proptest::proptest! {
    /// Whatever happens, with answers in any order: no slot is in two bodies; what is acknowledged
    /// was held; a row that has nothing to do asks to be woken later; and once the proxy answers,
    /// it holds the newest forms, and the row says so.
    #[test]
    fn every_row_ends_at_what_is_wanted(events in events()) {
        let (mut row, mut now, mut revision) = (Row::new(T0, true, 7), T0, 1);
        let mut proxy = Proxy::default();
        let mut history = vec![Vec::new(), pairs("a0:1", "b0:1", false)];
        want(&mut row, revision, history[1].clone());
        for event in events {
            match event {
                Event::Want(a, b, locked) => {
                    revision += 1;
                    let wanted = pairs(&format!("a{a}:1"), &format!("b{b}:1"), locked);
                    history.push(wanted.clone());
                    want(&mut row, revision, wanted);
                }
                Event::Refill(slot) => {
                    let slots: Option<Vec<u16>> = slot.map(|slot| vec![slot]);
                    row.handle_refill(now, slots.as_deref());
                }
                Event::Nudge => row.handle_nudge(now),
                Event::Answer(which, ok) => proxy.answer(&mut row, now, usize::from(which), ok),
                Event::Later(millis) => now += Duration::from_millis(u64::from(millis)),
            }
            while let Some(effect) = row.poll_effect(now) {
                proxy.take(effect);
            }
            let mut flying: Vec<u16> = proxy
                .flights
                .iter()
                .filter_map(|(effect, _)| match effect {
                    Effect::Look { .. } => None,
                    Effect::Fill { slots, .. } => Some(slots.iter().map(|slot| slot.id)),
                })
                .flatten()
                .collect();
            let bodies = flying.len();
            flying.sort_unstable();
            flying.dedup();
            proptest::prop_assert_eq!(flying.len(), bodies, "a slot is in one body at a time");
            let due = row.poll_timeout();
            proptest::prop_assert!(due.is_none_or(|due| due > now), "{:?} at {:?}", due, now);
            for slot in 0..4u16 {
                let newest = (1..=revision).rev().find(|r| row.holds(&[slot], *r));
                if let Some(through) = newest {
                    let wanted = &history[through as usize..];
                    let held = proxy.held.get(&slot).map_or(&[][..], |held| &held[..]);
                    let at = usize::from(slot);
                    let was = wanted.iter().any(|forms| held.contains(&forms[at]));
                    proptest::prop_assert!(was, "slot {} through {}", slot, through);
                }
            }
        }
        for _ in 0..12 {
            now += Duration::from_secs(3);
            while let Some(effect) = row.poll_effect(now) {
                proxy.take(effect);
            }
            while !proxy.flights.is_empty() {
                proxy.answer(&mut row, now, 0, true);
            }
        }
        proptest::prop_assert_eq!(row.status().acked, revision);
        proptest::prop_assert!(proxy.slots.into_values().eq(history.pop().unwrap()));
    }
}
