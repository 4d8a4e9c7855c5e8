//! Instances as the maps of `SENTINEL MASTER` and its kin. Clients of RESP2, where a map is a flat
//! array, index it by position, so the order is part of the interface.

use std::time::Duration;

use codis_core::resp::Value;
use codis_sentinel_proto::ids::SentinelId;
use codis_sentinel_proto::view::{InstanceView, MasterView, ReplicaView, RoleView, SentinelView};

/// Names and values in order: a map in RESP3, a flat array in RESP2.
#[derive(Debug, Default)]
pub struct Map(Vec<(Value, Value)>);

impl Map {
    /// Adds a pair.
    pub fn text(&mut self, key: &'static str, value: impl Into<String>) {
        self.value(key, bulk(value));
    }

    /// Adds a pair with any value.
    pub fn value(&mut self, key: &'static str, value: Value) {
        self.0.push((Value::bulk(key), value));
    }

    /// Adds a pair with a number as text.
    pub fn number(&mut self, key: &'static str, value: impl ToString) {
        self.text(key, value.to_string());
    }

    /// Adds a pair with a span in milliseconds.
    pub fn millis(&mut self, key: &'static str, value: Duration) {
        self.number(key, value.as_millis());
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Value::Map(map.0)
    }
}

/// A bulk string.
pub fn bulk(text: impl Into<String>) -> Value {
    Value::bulk(text.into().into_bytes())
}

/// A count as an integer reply.
pub fn integer(count: usize) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A master.
pub fn master(view: &MasterView) -> Value {
    let MasterView {
        instance,
        role,
        failover_state,
        config_epoch,
        replicas,
        other_sentinels,
        quorum,
        failover_timeout,
        parallel_syncs,
        notification_script,
        client_reconfig_script,
        current: _,
    } = view;
    let mut map = Map::default();
    common(&mut map, instance, *failover_state);
    role_part(&mut map, role);
    map.number("config-epoch", config_epoch);
    map.number("num-slaves", replicas);
    map.number("num-other-sentinels", other_sentinels);
    map.number("quorum", quorum);
    map.millis("failover-timeout", *failover_timeout);
    map.number("parallel-syncs", parallel_syncs);
    if let Some(path) = notification_script {
        map.text("notification-script", path);
    }
    if let Some(path) = client_reconfig_script {
        map.text("client-reconfig-script", path);
    }
    map.into()
}

/// A replica.
pub fn replica(view: &ReplicaView) -> Value {
    let ReplicaView {
        instance,
        role,
        master_link_down,
        master_link_up,
        master,
        priority,
        offset,
        announced,
    } = view;
    let mut map = Map::default();
    common(&mut map, instance, None);
    role_part(&mut map, role);
    map.millis("master-link-down-time", *master_link_down);
    map.text(
        "master-link-status",
        if *master_link_up { "ok" } else { "err" },
    );
    map.text(
        "master-host",
        master.as_ref().map_or("?", |addr| addr.host()),
    );
    map.number("master-port", master.as_ref().map_or(0, |addr| addr.port()));
    map.number("slave-priority", priority);
    map.number("slave-repl-offset", offset);
    map.number("replica-announced", u8::from(*announced));
    map.into()
}

/// A sentinel.
pub fn sentinel(view: &SentinelView) -> Value {
    let SentinelView {
        instance,
        last_hello,
        voted_leader,
        voted_leader_epoch,
    } = view;
    let mut map = Map::default();
    common(&mut map, instance, None);
    map.millis("last-hello-message", *last_hello);
    let leader = voted_leader.as_ref().map_or("?", SentinelId::as_str);
    map.text("voted-leader", leader);
    map.number("voted-leader-epoch", voted_leader_epoch);
    map.into()
}

fn common(map: &mut Map, view: &InstanceView, failover_state: Option<&'static str>) {
    let InstanceView {
        name,
        addr,
        run_id,
        flags,
        pending_commands,
        link_refcount,
        last_ping_sent,
        last_ok_ping_reply,
        last_ping_reply,
        s_down,
        o_down,
        down_after,
    } = view;
    map.text("name", name);
    map.text("ip", addr.host());
    map.number("port", addr.port());
    map.text("runid", run_id);
    map.text("flags", flags.join(","));
    map.number("link-pending-commands", pending_commands);
    map.number("link-refcount", link_refcount);
    if let Some(state) = failover_state {
        map.text("failover-state", state);
    }
    map.millis("last-ping-sent", *last_ping_sent);
    map.millis("last-ok-ping-reply", *last_ok_ping_reply);
    map.millis("last-ping-reply", *last_ping_reply);
    if let Some(age) = s_down {
        map.millis("s-down-time", *age);
    }
    if let Some(age) = o_down {
        map.millis("o-down-time", *age);
    }
    map.millis("down-after-milliseconds", *down_after);
}

fn role_part(map: &mut Map, role: &RoleView) {
    map.millis("info-refresh", role.info_refresh);
    let reported = if role.reported_master {
        "master"
    } else {
        "slave"
    };
    map.text("role-reported", reported);
    map.millis("role-reported-time", role.reported_for);
}

#[cfg(test)]
mod tests {
    use super::*;
    use codis_core::addr::Addr;
    use codis_core::epoch::Epoch;

    #[test]
    fn an_idle_master_has_its_fields_at_the_places_that_clients_expect() {
        let view = MasterView {
            instance: InstanceView {
                name: "m".into(),
                addr: Addr::new("127.0.0.1", 6379),
                run_id: String::new(),
                flags: vec!["s_down", "master"],
                pending_commands: 1,
                link_refcount: 1,
                last_ping_sent: Duration::ZERO,
                last_ok_ping_reply: Duration::from_millis(5),
                last_ping_reply: Duration::from_millis(5),
                s_down: None,
                o_down: None,
                down_after: Duration::from_secs(30),
            },
            role: RoleView {
                info_refresh: Duration::ZERO,
                reported_master: true,
                reported_for: Duration::ZERO,
            },
            current: Addr::new("127.0.0.1", 6379),
            failover_state: None,
            config_epoch: Epoch(3),
            replicas: 2,
            other_sentinels: 4,
            quorum: 2,
            failover_timeout: Duration::from_secs(180),
            parallel_syncs: 1,
            notification_script: None,
            client_reconfig_script: None,
        };
        let value = master(&view);
        let fields = value.as_map().unwrap();
        let at = |index: usize| (fields[index].0.as_str(), fields[index].1.as_str());
        assert_eq!(at(4), (Some("flags"), Some("s_down,master")));
        // The value at 33 of the flat array.
        assert_eq!(at(16), (Some("num-other-sentinels"), Some("4")));
        assert_eq!(fields.len(), 20);
    }
}
