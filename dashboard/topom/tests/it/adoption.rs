//! Pairs from sentinels, in any order.

use std::collections::BTreeMap;

use codis_core::belief::Word;
use codis_core::epoch::Epoch;
use codis_core::model::{ActionState, Group, Promoting, Sentinel};
use codis_topom::adopt::{self, Claim, Verdict};
use codis_topom::{Change, Records};
use proptest::prelude::*;

use crate::{Cluster, apply, cluster, groups, topology};

const SERVERS: [&str; 3] = ["10.0.0.1:6379", "10.0.0.2:6379", "10.0.0.3:6379"];

fn claim(epoch: u64, master: &str) -> Claim {
    Claim {
        group: 1,
        epoch: Epoch(epoch),
        master: master.to_owned(),
        run_id: String::new(),
        source: "s1".to_owned(),
    }
}

fn order(c: &Cluster) -> Vec<&str> {
    c.group(1)
        .unwrap()
        .servers
        .iter()
        .map(|server| server.addr.as_str())
        .collect()
}

#[test]
fn a_higher_pair_moves_the_master_to_the_front_and_the_old_one_to_the_end() {
    let mut c = cluster();
    assert_eq!(adopt::judge(&c, &claim(0, SERVERS[0])), Verdict::Refresh);
    let adopted = adopt::adopt(&c, &claim(1, SERVERS[1]), "now");
    let changes = adopted.clone().unwrap();
    assert!(
        matches!(changes[0], Change::PutTopology(_)),
        "the pair is stored first"
    );
    apply(&mut c, adopted);
    assert_eq!(order(&c), [SERVERS[1], SERVERS[2], SERVERS[0]]);
    assert!(c.group(1).unwrap().out_of_sync);
    assert_eq!(adopt::judge(&c, &claim(1, SERVERS[1])), Verdict::Refresh);
    assert_eq!(adopt::judge(&c, &claim(1, SERVERS[2])), Verdict::Conflict);
    assert_eq!(adopt::judge(&c, &claim(0, SERVERS[1])), Verdict::Stale);
    assert_eq!(adopt::judge(&c, &claim(0, SERVERS[0])), Verdict::Conflict);
    assert_eq!(
        adopt::adopt(&c, &claim(0, SERVERS[0]), "now"),
        Ok(Vec::new())
    );
}

#[test]
fn a_server_is_found_by_its_run_id_when_its_name_differs() {
    let run_ids = BTreeMap::from([(SERVERS[2].to_owned(), "r3".to_owned())]);
    let c = cluster();
    let found = |addr: &str, run_id: &str| {
        let word = Word {
            group: 1,
            epoch: Epoch(1),
            master: addr.to_owned(),
            run_id: run_id.to_owned(),
            failing_over: false,
        };
        adopt::claim_for(&c, &word, "s", |addr| run_ids.get(addr).cloned())
    };
    assert_eq!(found("db3:6379", "r3").unwrap().master, SERVERS[2]);
    let unknown = found("db3:6379", "").unwrap_err().to_string();
    assert_eq!(unknown, "group-[1] doesn't have server-[db3:6379]");
}

#[test]
fn a_promotion_of_ours_ends_when_the_sentinels_decide() {
    let mut c = cluster();
    let promoting = Promoting {
        index: 2,
        state: ActionState::Prepared,
    };
    let group = Group {
        promoting,
        ..c.group(1).unwrap().clone()
    };
    c.apply(&Change::PutGroup(group));
    let adopted = adopt::adopt(&c, &claim(1, SERVERS[1]), "now");
    apply(&mut c, adopted);
    assert_eq!(c.group(1).unwrap().promoting, Promoting::default());
    assert!(!c.is_locked(1));
}

/// A record that an original dashboard moved, or that a crash left behind the stored pair.
#[test]
fn drift_is_settled_by_whoever_has_the_say() {
    let drifted = |sentinels: &[&str]| {
        let servers = sentinels.iter().map(|s| (*s).to_owned()).collect();
        Cluster::load(Records {
            groups: groups(&[(1, &SERVERS)]),
            sentinel: Sentinel {
                servers,
                out_of_sync: false,
            },
            topologies: vec![topology(1, 4, SERVERS[2])],
            ..Records::default()
        })
    };
    let mut elected = drifted(&["s:1"]);
    let settled = adopt::settle_drift(&elected, 1, "now");
    apply(&mut elected, settled);
    assert_eq!(
        (elected.master(1), elected.epoch(1)),
        (SERVERS[2], Epoch(4))
    );
    let mut by_hand = drifted(&[]);
    let settled = adopt::settle_drift(&by_hand, 1, "now");
    apply(&mut by_hand, settled);
    assert_eq!(
        (by_hand.master(1), by_hand.epoch(1)),
        (SERVERS[0], Epoch(5))
    );
    let mut repeated = drifted(&["s:1"]);
    assert_eq!(
        adopt::judge(&repeated, &claim(4, SERVERS[2])),
        Verdict::Adopt
    );
    let adopted = adopt::adopt(&repeated, &claim(4, SERVERS[2]), "now");
    apply(&mut repeated, adopted);
    assert_eq!(
        (repeated.master(1), repeated.drifted(1)),
        (SERVERS[2], false)
    );
}

proptest! {
    /// Pairs lost, doubled and reordered: the epoch never falls, and whoever heard the highest pair
    /// ends at its master. An epoch is elected once, so it has one master.
    #[test]
    fn pairs_in_any_order_end_alike(heard in prop::collection::vec(1u64..20, 1..60)) {
        let elected = |epoch: u64| SERVERS[(epoch as usize * 7) % SERVERS.len()];
        let mut c = cluster();
        let mut highest = 0;
        for epoch in heard {
            let before = c.epoch(1);
            let adopted = adopt::adopt(&c, &claim(epoch, elected(epoch)), "now");
            apply(&mut c, adopted);
            prop_assert!(c.epoch(1) >= before);
            highest = highest.max(epoch);
            prop_assert_eq!(c.epoch(1), Epoch(highest));
            prop_assert_eq!(c.master(1), elected(highest));
            prop_assert_eq!(c.group(1).unwrap().servers.len(), SERVERS.len());
            // A restart in between changes nothing.
            c = Cluster::load(Records {
                slots: c.slots().to_vec(),
                groups: c.groups().cloned().collect(),
                topologies: c.topology(1).cloned().into_iter().collect(),
                ..Records::default()
            });
        }
    }
}
