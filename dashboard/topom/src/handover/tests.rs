//! Promotions through sentinels that answer by hand.

use codis_core::model::{Group, GroupServer, Sentinel};

use super::*;
use crate::adopt::{Claim, adopt};
use crate::{Change, Records};

fn cluster() -> Cluster {
    let server = |addr: &str| GroupServer {
        addr: addr.to_owned(),
        ..Default::default()
    };
    let servers = ["a:1", "b:1", "c:1"].map(server).to_vec();
    let sentinel = Sentinel {
        servers: vec!["s:1".into(), "s:2".into()],
        out_of_sync: false,
    };
    let groups = vec![Group {
        id: 1,
        servers,
        ..Group::default()
    }];
    Cluster::load(Records {
        groups,
        sentinel,
        ..Records::default()
    })
}

fn adopted(cluster: &Cluster, epoch: u64, master: &str) -> Cluster {
    let (master, mut after) = (master.to_owned(), cluster.clone());
    let (run_id, source) = (String::new(), String::new());
    let claim = Claim {
        group: 1,
        epoch: Epoch(epoch),
        master,
        run_id,
        source,
    };
    let changes: Vec<Change> = adopt(cluster, &claim, "now").unwrap();
    changes.iter().for_each(|change| after.apply(change));
    after
}

fn start(cluster: &Cluster, candidate: &str) -> Handover {
    Handover::start(cluster, 1, candidate, Manner::Coordinated, &BTreeSet::new()).unwrap()
}

fn order(sentinel: &str, manner: Manner) -> Option<Effect> {
    Some(Effect::Order {
        sentinel: sentinel.to_owned(),
        manner,
    })
}

fn refuse(handover: &mut Handover, sentinel: &str, why: &str) {
    let answer = Answer::Refused(why.to_owned());
    handover.handle_answer(Time::ZERO, sentinel, Manner::Coordinated, answer);
}

fn last(handover: &mut Handover) -> Option<Effect> {
    std::iter::from_fn(|| handover.poll_effect()).last()
}

#[test]
fn the_next_sentinel_is_asked_and_the_pair_ends_it() {
    let cluster = cluster();
    let mut handover = start(&cluster, "c:1");
    assert_eq!(handover.poll_effect(), order("s:1", Manner::Coordinated));
    refuse(&mut handover, "s:1", "NOGOODSLAVE");
    assert_eq!(handover.poll_effect(), order("s:2", Manner::Coordinated));
    handover.handle_answer(Time::ZERO, "s:2", Manner::Coordinated, Answer::Taken);
    handover.handle_cluster(&cluster);
    assert_eq!(handover.poll_effect(), None);
    handover.handle_cluster(&adopted(&cluster, 1, "c:1"));
    assert_eq!(handover.poll_effect(), Some(Effect::Done(Ok(()))));
    assert_eq!(handover.poll_timeout(), None);
}

#[test]
fn a_master_that_cannot_hand_over_is_replaced_without() {
    let mut handover = start(&cluster(), "c:1");
    assert_eq!(handover.poll_effect(), order("s:1", Manner::Coordinated));
    handover.handle_answer(Time::ZERO, "s:1", Manner::Coordinated, Answer::Unable);
    assert_eq!(handover.poll_effect(), order("s:1", Manner::Plain));
    handover.handle_answer(Time::ZERO, "s:1", Manner::Plain, Answer::Taken);
    assert_eq!(handover.poll_effect(), None);
    assert_eq!(handover.poll_timeout(), Some(Time::ZERO + WAIT));
}

#[test]
fn stock_sentinels_are_made_to_choose_when_none_of_ours_takes_the_order() {
    let cluster = cluster();
    let mut handover = start(&cluster, "c:1");
    handover.handle_answer(Time::ZERO, "s:1", Manner::Coordinated, Answer::Stock);
    refuse(&mut handover, "s:2", "INPROG");
    let sentinels = vec!["s:1".to_owned()];
    assert_eq!(last(&mut handover), Some(Effect::Choose { sentinels }));
    handover.handle_chosen(Time::ZERO, Ok(()));
    assert_eq!(handover.poll_timeout(), Some(Time::ZERO + WAIT_STOCK));
    handover.handle_cluster(&adopted(&cluster, 4, "c:1"));
    assert_eq!(handover.poll_effect(), Some(Effect::Done(Ok(()))));
}

#[test]
fn refusals_silence_and_another_winner_are_told_apart() {
    let cluster = cluster();
    let mut refused = start(&cluster, "b:1");
    refuse(&mut refused, "s:1", "x");
    refuse(&mut refused, "s:2", "y");
    let told = last(&mut refused);
    let Some(Effect::Done(Err(failure))) = told else {
        panic!("{told:?}")
    };
    assert!(failure.to_string().ends_with("s:1: x; s:2: y"), "{failure}");

    let mut unchosen = start(&cluster, "b:1");
    unchosen.handle_answer(Time::ZERO, "s:1", Manner::Plain, Answer::Stock);
    unchosen.handle_answer(Time::ZERO, "s:2", Manner::Plain, Answer::Stock);
    unchosen.handle_chosen(Time::ZERO, Err("s:2: z".into()));
    let told = last(&mut unchosen);
    assert!(
        matches!(&told, Some(Effect::Done(Err(failure))) if failure.to_string().ends_with("z")),
        "{told:?}"
    );

    let mut silent = start(&cluster, "b:1");
    silent.handle_answer(Time::ZERO, "s:1", Manner::Coordinated, Answer::Taken);
    silent.handle_timeout(silent.poll_timeout().unwrap());
    let told = last(&mut silent);
    assert!(
        matches!(told, Some(Effect::Done(Err(Failure::TimedOut { .. })))),
        "{told:?}"
    );

    let mut other = start(&cluster, "b:1");
    other.handle_cluster(&adopted(&cluster, 1, "c:1"));
    let told = last(&mut other);
    assert!(
        matches!(told, Some(Effect::Done(Err(Failure::Other { .. })))),
        "{told:?}"
    );
}

#[test]
fn the_master_and_strangers_are_refused() {
    let start =
        |candidate| Handover::start(&cluster(), 1, candidate, Manner::Plain, &BTreeSet::new());
    let master = start("a:1").unwrap_err();
    assert_eq!(master.to_string(), "group-[1] can't promote master");
    let stranger = start("x:1").unwrap_err();
    assert_eq!(stranger.to_string(), "group-[1] doesn't have server-[x:1]");
}

/// Whatever the priorities are, the candidate ends below all others that may be promoted.
#[test]
fn the_candidate_is_preferred_with_the_fewest_changes() {
    for (own, b, c, changes) in [
        (100, 100, 100, 1),
        (0, 100, 0, 1),
        (50, 100, 100, 0),
        (1, 1, 1, 3),
        (100, 1, 7, 2),
        (5, 0, 0, 0),
    ] {
        let mut at =
            BTreeMap::from([("a", own), ("b", b), ("c", c)].map(|(n, at)| (n.to_owned(), at)));
        let wanted = preference("a", &at);
        assert_eq!(wanted.len(), changes, "{at:?}");
        at.extend(wanted);
        let below = |other: &str| at[other] == 0 || at["a"] < at[other];
        assert!(at["a"] > 0 && below("b") && below("c"), "{at:?}");
    }
}

#[test]
fn a_sentinel_that_is_quiet_is_asked_last() {
    let quiet = BTreeSet::from(["s:1".to_owned()]);
    let manner = Manner::Coordinated;
    let mut handover = Handover::start(&cluster(), 1, "b:1", manner, &quiet).unwrap();
    assert_eq!(handover.poll_effect(), order("s:2", manner));
    refuse(&mut handover, "s:2", "no");
    assert_eq!(
        handover.poll_effect(),
        order("s:1", manner),
        "and not left out"
    );
}
