//! Stored records and pushed slots, byte for byte as Codis 3.2 writes them (`tests/golden`).

use std::fmt::Debug;

use codis_core::api::Slot;
use codis_core::json;
use codis_core::model::{
    ActionState, Group, GroupServer, Promoting, Proxy, Sentinel, ServerAction, SlotAction,
    SlotMapping, Topom,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../golden/", $name, ".json"))
    };
}

/// Reads the file, writes what was read, and compares the bytes.
fn same_bytes<T: Serialize + DeserializeOwned>(golden: &[u8]) -> T {
    let record: T = json::decode(golden).unwrap();
    let written = String::from_utf8(json::encode(&record)).unwrap();
    assert_eq!(written, std::str::from_utf8(golden).unwrap());
    record
}

/// As [`same_bytes`], and the content is the expected one.
fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(golden: &[u8], expected: &T) {
    assert_eq!(&same_bytes::<T>(golden), expected);
}

const TOKEN: &str = "383dfb3741adae9aba28c3617fcd8a12";
const START_TIME: &str = "2026-11-20 10:21:25.216656057 +0000 UTC m=+0.002811633";
const SYS: &str = "Linux host 6.1 #1 SMP x86_64 GNU/Linux";

#[test]
fn the_dashboard_record() {
    let expected = Topom {
        token: "1791de21f93ce22f63dedd2744c24e41".into(),
        start_time: START_TIME.into(),
        admin_addr: "127.0.0.1:18080".into(),
        product_name: "demo".into(),
        pid: 15725,
        pwd: "/opt/codis".into(),
        sys: SYS.into(),
    };
    same(golden!("topom"), &expected);
    let markup: Topom = same_bytes(golden!("topom-markup"));
    assert_eq!(markup.pwd, r#"/opt/<r&d> "codis"\"#);
}

#[test]
fn slot_records() {
    let slot = |id, group_id, index, state, target_id| SlotMapping {
        id,
        group_id,
        action: SlotAction {
            index,
            state,
            target_id,
        },
    };
    same(
        golden!("slot-idle"),
        &slot(0, 1, 0, ActionState::Nothing, 0),
    );
    same(
        golden!("slot-pending"),
        &slot(1, 1, 1, ActionState::Pending, 2),
    );
    same(
        golden!("slot-migrating"),
        &slot(1023, 1, 0, ActionState::Migrating, 2),
    );
    same(
        golden!("slot-offline"),
        &slot(7, 0, 0, ActionState::Nothing, 0),
    );
}

#[test]
fn group_records() {
    let fresh = Group {
        id: 2,
        ..Group::default()
    };
    same(golden!("group-fresh"), &fresh);
    let servers = vec![
        GroupServer {
            addr: "127.0.0.1:20201".into(),
            ..GroupServer::default()
        },
        GroupServer {
            addr: "127.0.0.1:20202".into(),
            datacenter: "dc1".into(),
            action: ServerAction {
                index: 2,
                state: ActionState::Pending,
            },
            replica_group: false,
        },
    ];
    same(golden!("group-servers"), &Group { servers, ..fresh });

    let promoting: Group = same_bytes(golden!("group-promoting"));
    let expected = Promoting {
        index: 1,
        state: ActionState::Prepared,
    };
    assert_eq!(promoting.promoting, expected);
    let states: Vec<_> = promoting.servers.iter().map(|s| s.action.state).collect();
    assert_eq!(states, [ActionState::SyncedFailed, ActionState::Synced]);
    let promoted: Group = same_bytes(golden!("group-promoted"));
    assert_eq!(promoted.promoting.state, ActionState::Finished);
}

#[test]
fn proxy_records() {
    let new = Proxy {
        token: TOKEN.into(),
        start_time: START_TIME.into(),
        admin_addr: "127.0.0.1:11080".into(),
        proto_type: "tcp4".into(),
        proxy_addr: "127.0.0.1:19000".into(),
        product_name: "demo".into(),
        pid: 15124,
        pwd: "/opt/codis".into(),
        sys: SYS.into(),
        hostname: "host".into(),
        ..Proxy::default()
    };
    same(golden!("proxy-new"), &new);
    let registered = Proxy {
        id: 1,
        jodis_path: format!("/jodis/demo/proxy-{TOKEN}"),
        ..new
    };
    same(golden!("proxy-jodis"), &registered);
}

#[test]
fn sentinel_records() {
    let some = Sentinel {
        servers: vec!["127.0.0.1:26379".into(), "127.0.0.1:26380".into()],
        out_of_sync: true,
    };
    same(golden!("sentinel-some"), &some);
    same(golden!("sentinel-none"), &Sentinel::default());
}

#[test]
fn slots_as_proxies_get_them() {
    let unassigned = Slot {
        id: 1023,
        forward_method: 1,
        ..Slot::default()
    };
    same(golden!("proxyslot-unassigned"), &unassigned);
    let plain: Slot = same_bytes(golden!("proxyslot-plain"));
    assert_eq!(plain.backend_addr, "127.0.0.1:20101");
    let migrating: Slot = same_bytes(golden!("proxyslot-migrating"));
    assert!(migrating.locked && migrating.migrate_from == "127.0.0.1:20201");
    assert_eq!(migrating.replica_groups.len(), 2);
    let epochs: Slot = same_bytes(golden!("proxyslot-epochs"));
    assert_eq!(
        (epochs.backend_addr_epoch.0, epochs.migrate_from_epoch.0),
        (7, 3)
    );
}

#[test]
fn reading_is_as_lenient_as_the_original() {
    let text = br#"{"ID":3,"Group_Id":4,"action":null,"added_later":{"x":[1,null]}}"#;
    let slot: SlotMapping = json::decode(text).unwrap();
    let expected = SlotMapping {
        id: 3,
        group_id: 4,
        ..SlotMapping::default()
    };
    assert_eq!(slot, expected);

    let text =
        br#"{"Id":1,"SERVERS":[{"Server":"a:1","ACTION":{"State":"synced"},"datacenter":null}]}"#;
    let group: Group = json::decode(text).unwrap();
    assert_eq!(group.servers[0].addr, "a:1");
    assert_eq!(group.servers[0].action.state, ActionState::Synced);

    let empty: Proxy = json::decode(b" {} ").unwrap();
    assert_eq!(empty, Proxy::default());
    let null: Sentinel = json::decode(br#"{"servers":null}"#).unwrap();
    assert_eq!(null, Sentinel::default());
}

#[test]
fn wrong_types_and_unknown_states_are_refused() {
    assert!(json::decode::<SlotMapping>(br#"{"id":"3"}"#).is_err());
    assert!(json::decode::<SlotMapping>(br#"{"id":-1}"#).is_err());
    assert!(json::decode::<SlotMapping>(br#"{"action":{"state":"lost"}}"#).is_err());
    assert!(json::decode::<Group>(br#"{"servers":{}}"#).is_err());
    assert!(json::decode::<Group>(b"").is_err());
    assert!(json::decode::<Group>(br#"{"id":1} x"#).is_err());
}
