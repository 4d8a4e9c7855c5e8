//! Proxies that show what they do not hold.

use super::*;

#[test]
fn a_proxy_that_shows_another_master_for_ever_is_not_filled_for_ever() {
    let mut row = settled();
    let (mut now, mut fills) = (T0, 0);
    for _ in 0..100 {
        now += Duration::from_secs(10);
        match row.poll_effect(now) {
            Some(Effect::Look { id }) => {
                let mut odd = all("a:1", 0);
                odd[1].backend_addr = "z:1".to_owned();
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
    want(&mut row, 9, all("b:1", 1));
    assert_eq!(fill(&mut row, now).1.len(), 4, "a new wish is sent");
}

#[test]
fn one_of_ours_that_shows_an_epoch_that_is_over_is_filled_until_it_does_not() {
    let mut row = settled();
    let mut now = T0 + Duration::from_secs(10);
    let Some(Effect::Look { id }) = row.poll_effect(now) else {
        panic!("looks again")
    };
    row.handle_unchanged(now, id);
    want(&mut row, 2, all("b:1", 1));
    let (id, _) = fill(&mut row, now);
    row.handle_filled(now, id);
    for _ in 0..10 {
        now += Duration::from_secs(10);
        let Some(Effect::Look { id }) = row.poll_effect(now) else {
            panic!("looks again")
        };
        row.handle_seen(now, id, all("a:1", 0));
        let (id, sent) = fill(&mut row, now);
        assert_eq!(sent.len(), 4);
        row.handle_filled(now, id);
    }
}

/// It was left alone, as an original is that cannot show what it holds.
#[test]
fn one_that_says_it_is_ours_before_it_shows_an_epoch_is_filled_as_well() {
    let mut row = settled();
    let mut now = T0;
    want(&mut row, 2, all("b:1", 1));
    let mut lied = |row: &mut Row, look: Duration| {
        now += look;
        while let Some(effect) = row.poll_effect(now) {
            match effect {
                Effect::Look { id } => row.handle_seen(now, id, all("a:1", 0)),
                Effect::Fill { id, .. } => row.handle_filled(now, id),
            }
        }
        now
    };
    for _ in 0..6 {
        lied(&mut row, Duration::from_secs(10));
    }
    assert!(row.holds(&[0], 2), "nothing more is tried");
    let now = lied(&mut row, Duration::from_secs(1));
    assert!(row.handle_ours(now), "that is news");
    assert!(!row.handle_ours(now));
    let Some(Effect::Look { id }) = row.poll_effect(now) else {
        panic!("looks at once")
    };
    row.handle_seen(now, id, all("a:1", 0));
    assert_eq!(fill(&mut row, now).1.len(), 4);
}
