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

#[test]
fn the_next_sentinel_is_asked_and_the_pair_ends_it() {
    let cluster = cluster();
    let mut handover = Handover::start(&cluster, 1, "c:1").unwrap();
    assert_eq!(
        handover.poll_effect(),
        Some(Effect::Order {
            sentinel: "s:1".into()
        })
    );
    handover.handle_answer(Time::ZERO, "s:1", Err("NOGOODSLAVE".into()));
    assert_eq!(
        handover.poll_effect(),
        Some(Effect::Order {
            sentinel: "s:2".into()
        })
    );
    handover.handle_answer(Time::ZERO, "s:2", Ok(()));
    handover.handle_cluster(&cluster);
    assert_eq!(handover.poll_effect(), None);
    handover.handle_cluster(&adopted(&cluster, 1, "c:1"));
    assert_eq!(handover.poll_effect(), Some(Effect::Done(Ok(()))));
    assert_eq!(handover.poll_timeout(), None);
}

#[test]
fn refusals_silence_and_another_winner_are_told_apart() {
    let cluster = cluster();
    let mut refused = Handover::start(&cluster, 1, "b:1").unwrap();
    refused.handle_answer(Time::ZERO, "s:1", Err("x".into()));
    refused.handle_answer(Time::ZERO, "s:2", Err("y".into()));
    let told = std::iter::from_fn(|| refused.poll_effect()).last();
    let Some(Effect::Done(Err(failure))) = told else {
        panic!("{told:?}")
    };
    assert!(failure.to_string().ends_with("s:1: x; s:2: y"), "{failure}");

    let mut silent = Handover::start(&cluster, 1, "b:1").unwrap();
    silent.handle_answer(Time::ZERO, "s:1", Ok(()));
    silent.handle_timeout(silent.poll_timeout().unwrap());
    let told = std::iter::from_fn(|| silent.poll_effect()).last();
    assert!(
        matches!(told, Some(Effect::Done(Err(Failure::TimedOut { .. })))),
        "{told:?}"
    );

    let mut other = Handover::start(&cluster, 1, "b:1").unwrap();
    other.handle_cluster(&adopted(&cluster, 1, "c:1"));
    let told = std::iter::from_fn(|| other.poll_effect()).last();
    assert!(
        matches!(told, Some(Effect::Done(Err(Failure::Other { .. })))),
        "{told:?}"
    );
}

#[test]
fn the_master_and_strangers_are_refused() {
    let master = Handover::start(&cluster(), 1, "a:1").unwrap_err();
    assert_eq!(master.to_string(), "group-[1] can't promote master");
    let stranger = Handover::start(&cluster(), 1, "x:1").unwrap_err();
    assert_eq!(stranger.to_string(), "group-[1] doesn't have server-[x:1]");
}
