//! Bodies that a proxy takes late, and proxies that do not hold what they took.

use super::*;

fn locked() -> Vec<Slot> {
    let mut slots = all("a:1", 0);
    slots[1].locked = true;
    slots
}

/// Held, released, and held again while the release is on its way: the proxy may serve by then.
#[test]
fn a_slot_is_not_held_while_another_form_of_it_is_on_its_way() {
    let mut row = settled();
    want(&mut row, 2, locked());
    let (id, _) = fill(&mut row, T0);
    row.handle_filled(T0, id);
    assert!(row.holds(&[1], 2));
    want(&mut row, 3, all("a:1", 0));
    let (release, _) = fill(&mut row, T0);
    want(&mut row, 4, locked());
    assert!(!row.holds(&[1], 4), "it takes the release");
    assert!(row.holds(&[0], 4), "the others are as they were");
    assert_eq!(row.poll_effect(T0), None, "one form of a slot at a time");
    row.handle_filled(T0, release);
    assert!(!row.holds(&[1], 4));
    let (id, sent) = fill(&mut row, T0);
    assert_eq!(sent, [locked()[1].clone()]);
    row.handle_filled(T0, id);
    assert!(row.holds(&[1], 4));
}

/// The body may lie in a buffer of the proxy's machine; only a later one keeps it out.
#[test]
fn a_look_after_a_body_that_was_given_up_shows_nothing_that_lasts() {
    let mut row = settled();
    want(&mut row, 2, locked());
    let (given_up, _) = fill(&mut row, T0);
    want(&mut row, 3, all("a:1", 0));
    let now = at(10_000);
    let Some(Effect::Look { id: look }) = row.poll_effect(now) else {
        panic!("looks again")
    };
    row.handle_failure(now, look, "no answer".to_owned());
    row.handle_failure(now, given_up, "no answer".to_owned());
    let later = row.poll_timeout().unwrap();
    let Some(Effect::Look { id: look }) = row.poll_effect(later) else {
        panic!("looks again")
    };
    row.handle_seen(later, look, all("a:1", 0));
    assert!(!row.holds(&[1], 3), "it may take the lock yet");
    row.handle_nudge(later);
    let (id, sent) = fill(&mut row, later);
    assert_eq!(sent, [all("a:1", 0)[1].clone()]);
    row.handle_filled(later, id);
    assert!(row.holds(&[1], 3));
}

/// It serves the slot from a server that has left it, so it is told until it obeys.
#[test]
fn a_slot_that_is_shown_in_another_group_is_never_held_and_filled_after_each_look() {
    let mut row = settled();
    let (mut now, mut fills) = (T0, 0);
    for _ in 0..10 {
        now += Duration::from_secs(10);
        let Some(Effect::Look { id }) = row.poll_effect(now) else {
            panic!("looks again")
        };
        let mut odd = all("a:1", 0);
        odd[1].backend_addr_group_id = 2;
        row.handle_seen(now, id, odd);
        assert!(row.expected().is_none(), "it is not in step");
        let (id, sent) = fill(&mut row, now);
        assert_eq!(sent.len(), 1);
        row.handle_filled(now, id);
        fills += 1;
    }
    assert_eq!(fills, 10);
    assert_eq!(row.poll_effect(now), None);
}
