//! The record that a script can read from its standard input: one line of JSON.
//!
//! A record is never longer than a pipe takes at once, so writing it waits for nobody.

use codis_core::addr::Addr;
use codis_sentinel_proto::ReconfigScript;
use codis_sentinel_proto::effect::ScriptFacts;
use codis_sentinel_proto::event::{Event, Level};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Bytes of a record, its end of line included: what POSIX lets no pipe refuse.
pub const BYTES_MAX: usize = 4096;

/// The record of an event.
pub fn of_event(event: &Event, facts: &ScriptFacts, sentinel: &str, now: Timestamp) -> Vec<u8> {
    let mut record = Map::new();
    let mut put = |key: &str, value: Value| record.insert(key.to_owned(), value);
    put("type", "event".into());
    put("event", event.name.into());
    put("level", level(event.level).into());
    put("payload", event.payload.as_str().into());
    put("master", facts.master.as_str().into());
    if let Some(instance) = instance(&event.payload) {
        put("instance", instance);
    }
    if let ("+switch-master", Some((from, to))) = (event.name, switch(&event.payload)) {
        put("from", from);
        put("to", to);
    }
    close(record, facts, sentinel, now)
}

/// The record of a client-reconfig script.
pub fn of_reconfig(
    script: &ReconfigScript,
    facts: &ScriptFacts,
    sentinel: &str,
    now: Timestamp,
) -> Vec<u8> {
    let mut record = Map::new();
    let mut put = |key: &str, value: Value| record.insert(key.to_owned(), value);
    put("type", "client-reconfig".into());
    put("master", script.master.as_str().into());
    put("role", script.role().into());
    put("state", "start".into());
    put("from", place(&script.from));
    put("to", place(&script.to));
    close(record, facts, sentinel, now)
}

/// Adds who says it and when, and shortens the payload until the record fits.
fn close(
    mut record: Map<String, Value>,
    facts: &ScriptFacts,
    sentinel: &str,
    now: Timestamp,
) -> Vec<u8> {
    let mut put = |key: &str, value: Value| record.insert(key.to_owned(), value);
    put("config_epoch", facts.config_epoch.0.into());
    put("current_epoch", facts.current_epoch.0.into());
    put("sentinel", sentinel.into());
    put("time", format!("{now:.3}").into());
    put("time_ms", now.as_millisecond().into());
    let mut record = Value::Object(record);
    let mut line = format!("{record}\n").into_bytes();
    while line.len() > BYTES_MAX {
        shorten(&mut record);
        line = format!("{record}\n").into_bytes();
        if record["payload"] == "" {
            break;
        }
    }
    line.truncate(BYTES_MAX);
    line
}

/// Cuts the payload in half, and leaves out what was read from it.
fn shorten(record: &mut Value) {
    let payload = record["payload"].as_str().unwrap_or_default().to_owned();
    let half = payload.floor_char_boundary(payload.len() / 2);
    record["payload"] = payload[..half].into();
    record["truncated"] = true.into();
    if let Some(members) = record.as_object_mut() {
        members.remove("instance");
    }
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Verbose => "verbose",
        Level::Notice => "notice",
        Level::Warning => "warning",
    }
}

fn place(addr: &Addr) -> Value {
    json!({"ip": addr.host(), "port": addr.port()})
}

/// The instance at the beginning of a payload, if there is one.
fn instance(payload: &str) -> Option<Value> {
    let mut words = payload.split(' ');
    let kind = words.next().filter(|it| {
        let kinds = ["master", "slave", "sentinel"];
        kinds.contains(it)
    })?;
    let name = words.next()?;
    let (ip, port) = place_words(&mut words)?;
    let mut found = json!({"type": kind, "name": name, "ip": ip, "port": port});
    if words.next() == Some("@") {
        let name = words.next()?;
        let (ip, port) = place_words(&mut words)?;
        found["master"] = json!({"name": name, "ip": ip, "port": port});
    }
    Some(found)
}

fn place_words<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<(&'a str, u16)> {
    let ip = words.next()?;
    Some((ip, words.next()?.parse().ok()?))
}

/// Both addresses of `+switch-master`.
fn switch(payload: &str) -> Option<(Value, Value)> {
    let mut words = payload.split(' ').skip(1);
    let mut next = || {
        let (ip, port) = place_words(&mut words)?;
        Some(json!({"ip": ip, "port": port}))
    };
    Some((next()?, next()?))
}

#[cfg(test)]
mod tests {
    use codis_core::epoch::Epoch;

    use super::*;

    fn facts() -> ScriptFacts {
        ScriptFacts {
            master: "m".into(),
            config_epoch: Epoch(4),
            current_epoch: Epoch(5),
        }
    }

    fn record(name: &'static str, payload: &str) -> Value {
        let event = Event {
            name,
            payload: payload.into(),
            level: Level::Warning,
            script: None,
        };
        let now = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        let line = of_event(&event, &facts(), "id", now);
        assert!(line.len() <= BYTES_MAX && line.ends_with(b"\n"));
        serde_json::from_slice(&line).unwrap()
    }

    #[test]
    fn an_event_tells_its_instance_epoch_and_time() {
        let found = record("+sdown", "slave 10.0.0.2:7 10.0.0.2 7 @ m 10.0.0.1 6379");
        let expected = json!({
            "type": "event", "event": "+sdown", "level": "warning",
            "payload": "slave 10.0.0.2:7 10.0.0.2 7 @ m 10.0.0.1 6379", "master": "m",
            "instance": {
                "type": "slave", "name": "10.0.0.2:7", "ip": "10.0.0.2", "port": 7,
                "master": {"name": "m", "ip": "10.0.0.1", "port": 6379},
            },
            "config_epoch": 4, "current_epoch": 5, "sentinel": "id",
            "time": "2023-11-14T22:13:20.123Z", "time_ms": 1_700_000_000_123_u64,
        });
        assert_eq!(found, expected);
        let found = record("+odown", "master m 10.0.0.1 6379 #quorum 2/2");
        assert_eq!(found["instance"]["port"], 6379);
        assert!(found["instance"].get("master").is_none());
    }

    #[test]
    fn other_payloads_have_no_instance_and_a_switch_has_both_addresses() {
        let found = record("+new-epoch", "7");
        assert!(found.get("instance").is_none());
        let found = record("+switch-master", "m 10.0.0.1 6379 10.0.0.2 6380");
        assert_eq!(found["from"], json!({"ip": "10.0.0.1", "port": 6379}));
        assert_eq!(found["to"], json!({"ip": "10.0.0.2", "port": 6380}));
    }

    #[test]
    fn a_long_payload_is_cut_and_the_record_says_so() {
        let found = record("+set", &"\u{1}é".repeat(1024));
        assert_eq!(found["truncated"], true);
        assert!(found["payload"].as_str().unwrap().starts_with("\u{1}é"));
    }

    #[test]
    fn a_reconfiguration_tells_role_state_and_both_addresses() {
        let script = ReconfigScript {
            path: "/s".into(),
            master: "m".into(),
            leader: false,
            from: Addr::new("10.0.0.1", 1),
            to: Addr::new("10.0.0.2", 2),
            stdin: Some(facts()),
        };
        let now = Timestamp::from_millisecond(0).unwrap();
        let line = of_reconfig(&script, &facts(), "id", now);
        let expected = json!({
            "type": "client-reconfig", "master": "m", "role": "observer", "state": "start",
            "from": {"ip": "10.0.0.1", "port": 1}, "to": {"ip": "10.0.0.2", "port": 2},
            "config_epoch": 4, "current_epoch": 5, "sentinel": "id",
            "time": "1970-01-01T00:00:00.000Z", "time_ms": 0,
        });
        assert_eq!(serde_json::from_slice::<Value>(&line).unwrap(), expected);
    }
}
