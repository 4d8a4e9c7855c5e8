use super::*;

const SOON: Time = Time::from_millis(1_000);
const LATE: Time = Time::from_millis(2_000);

fn master(offset: u64) -> Sight {
    Sight::Told(Told {
        follows: Follows::Nobody,
        linked: false,
        loading: false,
        offset: Some(offset),
    })
}

fn replica(offset: u64) -> Told {
    Told {
        follows: Follows::Master,
        linked: true,
        loading: false,
        offset: Some(offset),
    }
}

fn silent() -> Sight {
    Sight::Unknown("no answer in time".to_owned())
}

fn has_all(silent: Silent) -> Inquiry {
    Inquiry::has_all(Time::ZERO, "c", "m", silent)
}

/// Answers of the master and, if it is asked, of the candidate; none when both are asked again.
fn asked(
    inquiry: &mut Inquiry,
    now: Time,
    master: Sight,
    candidate: Sight,
) -> Option<Result<(), String>> {
    assert_eq!(inquiry.poll_effect(), Some(Effect::Ask("m".to_owned())));
    assert_eq!(inquiry.poll_effect(), None);
    inquiry.handle_answer(now, master);
    let mut effect = inquiry.poll_effect();
    if effect == Some(Effect::Ask("c".to_owned())) {
        inquiry.handle_answer(now, candidate);
        effect = inquiry.poll_effect();
    }
    match effect {
        Some(Effect::Done(outcome)) => Some(outcome),
        Some(effect) => panic!("{effect:?}"),
        None => None,
    }
}

fn fits(silent: Silent, master: Sight, candidate: Told) -> Result<(), String> {
    let mut inquiry = Inquiry::fits("c", "m", silent);
    asked(&mut inquiry, SOON, master, Sight::Told(candidate)).unwrap()
}

fn caught_up(silent: Silent, master: Sight, candidate: Told) -> Option<Result<(), String>> {
    let outcome = |now| {
        let mut inquiry = has_all(silent);
        asked(
            &mut inquiry,
            now,
            master.clone(),
            Sight::Told(candidate.clone()),
        )
    };
    let (soon, late) = (outcome(SOON), outcome(LATE));
    assert!(late.is_some(), "it ends");
    soon.or(late)
}

#[test]
fn only_a_server_that_nobody_listens_for_takes_no_writes() {
    for (sight, takes) in [(master(1), true), (silent(), true), (Sight::Gone, false)] {
        let mut inquiry = Inquiry::may_write("m");
        assert_eq!(inquiry.poll_effect(), Some(Effect::Knock("m".to_owned())));
        inquiry.handle_answer(SOON, sight);
        match inquiry.poll_effect() {
            Some(Effect::Done(outcome)) => assert_eq!(outcome.is_ok(), takes),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_candidate_has_all_once_it_is_where_its_master_is() {
    let mut inquiry = has_all(Silent::MayLive);
    let told = |at| Sight::Told(replica(at));
    assert_eq!(asked(&mut inquiry, SOON, master(9), told(8)), None);
    let again = SOON + CATCH_UP_EVERY;
    assert_eq!(inquiry.poll_timeout(), Some(again));
    inquiry.handle_timeout(SOON);
    assert_eq!(inquiry.poll_effect(), None, "it is too early");
    inquiry.handle_timeout(again);
    assert_eq!(inquiry.poll_timeout(), None);
    assert_eq!(asked(&mut inquiry, again, master(9), told(9)), Some(Ok(())));
}

#[test]
fn one_that_does_not_catch_up_is_told_of() {
    let behind = caught_up(Silent::IsDead, master(9), replica(6)).unwrap();
    let text = behind.unwrap_err();
    assert!(text.contains("3 bytes are missing"), "{text}");
    let mut unlinked = replica(9);
    unlinked.linked = false;
    let text = caught_up(Silent::MayLive, master(9), unlinked)
        .unwrap()
        .unwrap_err();
    assert!(text.contains("the link between them is down"), "{text}");
    let mut mute = replica(9);
    mute.offset = None;
    assert!(
        caught_up(Silent::MayLive, master(9), mute)
            .unwrap()
            .is_err()
    );
}

/// It may have acknowledged what the candidate lacks.
#[test]
fn a_master_that_only_does_not_answer_has_not_given_all() {
    let text = caught_up(Silent::MayLive, silent(), replica(9))
        .unwrap()
        .unwrap_err();
    assert!(
        text.starts_with("server-[m] does not say what it has"),
        "{text}"
    );
    assert!(text.contains("call again once it answers"), "{text}");
    let text = fits(Silent::MayLive, silent(), replica(9)).unwrap_err();
    assert!(text.contains("no answer in time"), "{text}");
    // It is asked again before that is said: a process that has just died refuses in a moment.
    let mut inquiry = has_all(Silent::MayLive);
    let its = || Sight::Told(replica(9));
    assert_eq!(asked(&mut inquiry, SOON, silent(), its()), None);
    inquiry.handle_timeout(LATE);
    assert_eq!(asked(&mut inquiry, LATE, Sight::Gone, its()), Some(Ok(())));
}

#[test]
fn a_dead_master_has_nothing_more_to_give() {
    let mut cut_off = replica(6);
    cut_off.linked = false;
    let dead = [(Silent::MayLive, Sight::Gone), (Silent::IsDead, silent())];
    for (word, sight) in dead {
        assert_eq!(fits(word, sight.clone(), cut_off.clone()), Ok(()));
        assert_eq!(caught_up(word, sight, cut_off.clone()), Some(Ok(())));
    }
}

#[test]
fn only_a_replica_of_the_master_fits() {
    let changed = |change: fn(&mut Told)| {
        let mut candidate = replica(9);
        change(&mut candidate);
        fits(Silent::MayLive, master(9), candidate)
    };
    assert_eq!(changed(|_| {}), Ok(()));
    let refused = |change, why: &str| {
        let text = changed(change).unwrap_err();
        assert!(text.starts_with("server-[c] can't be promoted: "), "{text}");
        assert!(text.contains(why), "{text}");
    };
    refused(|it| it.follows = Follows::Nobody, "but a master");
    refused(
        |it| it.follows = Follows::Other("x".into()),
        "a replica of x and not of",
    );
    refused(|it| it.loading = true, "loading");
    refused(|it| it.linked = false, "its link to the master");
    for gone in [Sight::Gone, silent()] {
        let mut inquiry = Inquiry::fits("c", "m", Silent::IsDead);
        let outcome = asked(&mut inquiry, SOON, Sight::Gone, gone);
        assert!(outcome.unwrap().is_err(), "it is dead itself");
    }
}

/// A dashboard died after the order and before it recorded the new master.
#[test]
fn a_candidate_that_is_master_already_waits_for_nobody() {
    let mut promoted = replica(9);
    promoted.follows = Follows::Nobody;
    for sight in [master(10), silent(), Sight::Gone] {
        assert_eq!(
            caught_up(Silent::MayLive, sight, promoted.clone()),
            Some(Ok(()))
        );
    }
    let mut stranger = replica(9);
    stranger.follows = Follows::Other("x".to_owned());
    assert!(
        caught_up(Silent::MayLive, master(9), stranger)
            .unwrap()
            .is_err()
    );
}

#[test]
fn what_comes_after_the_end_changes_nothing() {
    let mut inquiry = has_all(Silent::MayLive);
    let its = Sight::Told(replica(9));
    assert_eq!(asked(&mut inquiry, SOON, master(9), its), Some(Ok(())));
    inquiry.handle_answer(LATE, silent());
    inquiry.handle_timeout(LATE);
    assert_eq!(
        (inquiry.poll_effect(), inquiry.poll_timeout()),
        (None, None)
    );
}
