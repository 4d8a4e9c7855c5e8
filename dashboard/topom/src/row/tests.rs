//! One row against a proxy that is played by hand.

use codis_core::epoch::Epoch;

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

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// A row whose proxy holds what is wanted at revision 1.
fn settled() -> Row {
    let mut row = Row::new(T0, true, 1);
    row.handle_wanted(1, all("a:1", 0));
    let Some(Effect::Look { id }) = row.poll_effect(T0) else {
        panic!("looks first")
    };
    row.handle_seen(T0, id, all("a:1", 0));
    assert_eq!((row.status().acked, row.poll_effect(T0)), (1, None));
    row
}

fn fill(row: &mut Row, now: Time) -> (u64, Vec<Slot>) {
    match row.poll_effect(now) {
        Some(Effect::Fill { id, slots }) => (id, slots),
        other => panic!("expected a fill, found {other:?}"),
    }
}

#[test]
fn only_what_is_lacking_is_sent_and_forms_overtaken_on_the_way_are_not() {
    let mut row = settled();
    let mut wanted = all("a:1", 0);
    wanted[2] = slot(2, "b:1", 1);
    row.handle_wanted(2, wanted.clone());
    let (first, sent) = fill(&mut row, T0);
    assert_eq!(sent, [slot(2, "b:1", 1)]);
    // Two more revisions while the first body is on its way: the middle one is never sent.
    wanted[2] = slot(2, "c:1", 2);
    row.handle_wanted(3, wanted.clone());
    wanted[2] = slot(2, "d:1", 3);
    row.handle_wanted(4, wanted);
    assert_eq!(row.poll_effect(T0), None);
    row.handle_filled(T0, first);
    assert_eq!(
        row.status().acked,
        1,
        "an older form proves nothing of a newer revision"
    );
    let (second, sent) = fill(&mut row, T0);
    assert_eq!(sent, [slot(2, "d:1", 3)]);
    row.handle_filled(T0, second);
    assert_eq!(row.status().acked, 4);
}

#[test]
fn a_failure_is_tried_again_after_a_pause_and_a_nudge_ends_the_pause() {
    let mut row = settled();
    row.handle_wanted(2, all("b:1", 1));
    let (id, _) = fill(&mut row, T0);
    row.handle_failure(T0, id, "no answer".to_owned());
    assert_eq!(row.status().failing.as_deref(), Some("no answer"));
    assert_eq!(row.poll_effect(T0), None);
    let due = row.poll_timeout().unwrap();
    assert!(due > T0 && due <= at(100));
    row.handle_nudge();
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
    row.handle_wanted(1, all("a:1", 0));
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
    row.handle_wanted(1, all("a:1", 5));
    let Some(Effect::Look { id }) = row.poll_effect(T0) else {
        panic!()
    };
    row.handle_seen(T0, id, all("b:1", 6));
    assert_eq!((row.status().acked, row.poll_effect(T0)), (1, None));
    let mut row = Row::new(T0, true, 1);
    row.handle_wanted(1, all("a:1", 5));
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
fn a_proxy_that_shows_otherwise_for_ever_is_not_filled_for_ever() {
    let mut row = settled();
    let (mut now, mut fills) = (T0, 0);
    for _ in 0..100 {
        now += Duration::from_secs(10);
        match row.poll_effect(now) {
            Some(Effect::Look { id }) => {
                let mut odd = all("a:1", 0);
                odd[1].locked = true;
                row.handle_seen(now, id, odd);
            }
            Some(Effect::Fill { id, .. }) => {
                fills += 1;
                row.handle_filled(now, id);
            }
            None => {}
        }
    }
    assert!(fills <= usize::from(DISPUTES_MAX), "{fills}");
    row.handle_wanted(9, all("b:1", 1));
    assert_eq!(fill(&mut row, now).1.len(), 4, "a new wish is sent");
}

#[test]
fn a_refill_distrusts_a_body_on_its_way() {
    let mut row = settled();
    row.handle_wanted(2, all("b:1", 1));
    let (old, _) = fill(&mut row, T0);
    row.handle_refill(T0, Some(&[0, 1]));
    row.handle_filled(T0, old);
    assert_eq!(row.status().acked, 0);
    let (id, sent) = fill(&mut row, T0);
    assert_eq!(sent.len(), 2);
    row.handle_filled(T0, id);
    assert_eq!(row.status().acked, 2);
}

/// What can happen to a row.
#[derive(Clone, Debug)]
enum Event {
    Want(u8),
    Refill(Option<u16>),
    Nudge,
    Answer(bool),
    Later(u16),
}

fn events() -> impl proptest::strategy::Strategy<Value = Vec<Event>> {
    use proptest::prelude::*;
    let event = prop_oneof![
        (0u8..4).prop_map(Event::Want),
        proptest::option::of(0u16..4).prop_map(Event::Refill),
        Just(Event::Nudge),
        any::<bool>().prop_map(Event::Answer),
        (0u16..12_000).prop_map(Event::Later),
    ];
    proptest::collection::vec(event, 1..80)
}

proptest::proptest! {
    /// Whatever happens: a row that has nothing to do asks to be woken later and not before; and
    /// once the proxy answers, it holds the newest form, and the row says so.
    #[test]
    fn every_row_ends_at_what_is_wanted(events in events()) {
        let (mut row, mut now, mut revision) = (Row::new(T0, true, 7), T0, 1);
        let mut proxy: BTreeMap<u16, Slot> = BTreeMap::new();
        let mut wanted = all("m0:1", 0);
        row.handle_wanted(revision, wanted.clone());
        let mut flight = None;
        let mut answer = |row: &mut Row, now, effect: Effect, ok: bool| match effect {
            Effect::Look { id } | Effect::Fill { id, .. } if !ok => {
                row.handle_failure(now, id, "no".to_owned());
            }
            Effect::Look { id } => row.handle_seen(now, id, proxy.values().cloned().collect()),
            Effect::Fill { id, slots } => {
                proxy.extend(slots.into_iter().map(|slot| (slot.id, slot)));
                row.handle_filled(now, id);
            }
        };
        for event in events {
            match event {
                Event::Want(n) => {
                    revision += 1;
                    wanted = all(&format!("m{n}:1"), revision);
                    row.handle_wanted(revision, wanted.clone());
                }
                Event::Refill(slot) => {
                    let slots: Option<Vec<u16>> = slot.map(|slot| vec![slot]);
                    row.handle_refill(now, slots.as_deref());
                }
                Event::Nudge => row.handle_nudge(),
                Event::Answer(ok) => {
                    if let Some(effect) = flight.take() {
                        answer(&mut row, now, effect, ok);
                    }
                }
                Event::Later(millis) => now += Duration::from_millis(u64::from(millis)),
            }
            if let Some(effect) = row.poll_effect(now) {
                proptest::prop_assert!(flight.is_none(), "one at a time");
                flight = Some(effect);
            } else if flight.is_none() {
                let due = row.poll_timeout();
                proptest::prop_assert!(due.is_none_or(|due| due > now), "{due:?} at {now:?}");
            }
        }
        for _ in 0..4 {
            now += Duration::from_secs(3);
            if let Some(effect) = flight.take().or_else(|| row.poll_effect(now)) {
                answer(&mut row, now, effect, true);
            }
        }
        proptest::prop_assert_eq!(row.status().acked, revision);
        proptest::prop_assert!(proxy.into_values().eq(wanted));
    }
}
