//! What is found, without servers.

use codis_core::model::{GroupServer, SlotMapping};
use codis_topom::Records;

use super::*;

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// Group 1 has a master and slot 7; group 2 is empty.
fn cluster() -> Cluster {
    let server = GroupServer {
        addr: "a:1".to_owned(),
        ..GroupServer::default()
    };
    let groups = vec![
        Group {
            id: 1,
            servers: vec![server],
            ..Group::default()
        },
        Group {
            id: 2,
            ..Group::default()
        },
    ];
    let slots = vec![
        SlotMapping {
            id: 7,
            group_id: 1,
            ..SlotMapping::default()
        },
        SlotMapping {
            id: 8,
            group_id: 2,
            ..SlotMapping::default()
        },
    ];
    Cluster::load(Records {
        groups,
        slots,
        ..Records::default()
    })
}

#[test]
fn a_peer_is_told_by_its_info() {
    let redis = [("redis_version", "7.0.15"), ("role", "master")];
    assert_eq!(kind(&fields(&redis)), None);
    let sentinel = fields(&[("redis_version", "7"), ("redis_mode", "sentinel")]);
    assert_eq!(kind(&sentinel), Some(Finding::Sentinel));
    let mut node = fields(&redis);
    node.insert("cluster_enabled".to_owned(), "1".to_owned());
    assert_eq!(kind(&node), Some(Finding::ClusterMode));
    assert!(matches!(
        kind(&Fields::new()),
        Some(Finding::NotRedis { .. })
    ));
    let info = fields(&[("db0", "keys=3,expires=0"), ("db5", "keys=4"), ("dbx", "")]);
    assert_eq!(total_keys(&info), 7);
}

#[test]
fn strangers_and_their_keys_are_found() {
    let master = fields(&[("loading", "1")]);
    let empty = Keys::Total(0);
    assert_eq!(
        judge_info(&cluster(), 1, &master, &empty),
        [Finding::Loading]
    );
    let of = |host: &str| fields(&[("master_host", host), ("master_port", "1")]);
    assert_eq!(
        judge_info(&cluster(), 1, &of("a"), &Keys::Total(9)),
        [],
        "what a replica holds is its master's"
    );
    let master = "b:1".to_owned();
    assert_eq!(
        judge_info(&cluster(), 1, &of("b"), &empty),
        [Finding::ReplicaOf { master }]
    );
    // One that becomes the master of slot 8 may hold keys of it.
    let by_slot = Keys::BySlot(BTreeMap::from([(7, 2), (8, 5)]));
    let found = |group| judge_info(&cluster(), group, &Fields::new(), &by_slot);
    let unexpected = |keys, slots, joins| [Finding::UnexpectedKeys { keys, slots, joins }];
    assert_eq!(found(2), unexpected(2, vec![7], false));
    assert_eq!(found(1), unexpected(7, vec![7, 8], true));
}

#[test]
fn what_weighs_most_decides_and_force_lifts_only_what_may_be_meant() {
    let loading = Probe {
        findings: vec![
            Finding::UnexpectedKeys {
                keys: 1,
                slots: Vec::new(),
                joins: true,
            },
            Finding::Loading,
        ],
    };
    let refused = loading.judge("s:1", 1, false).unwrap_err().to_string();
    assert!(refused.contains("loading") && refused.contains("?force=1"));
    assert_eq!(loading.judge("s:1", 1, true).unwrap().len(), 2);
    let sentinel = Probe {
        findings: vec![Finding::Sentinel],
    };
    let refused = sentinel.judge("s:1", 1, true).unwrap_err().to_string();
    assert!(refused.contains("--sentinel-add") && !refused.contains("force"));
    assert_eq!(Probe::default().judge("s:1", 1, false).unwrap(), [""; 0]);
}
