//! What a restore has to write.

use std::collections::BTreeSet;

use codis_core::model::SlotMapping;
use codis_core::{json, paths};
use serde_json::Value;

use super::dump::Dump;
use super::records::Change;

/// The record below `ha/` that counts the terms of leaders.
pub const LEADER: &str = "leader";
/// How far the term of leaders is put ahead of the dumped one: further than dashboards have come
/// since the dump, because a proxy refuses what comes with an older term than it has seen.
const TERM_AHEAD: u64 = 1000;

/// What the product has already: nothing that matters, unless a restore was cut short.
#[derive(Debug, Default)]
pub struct Held {
    /// The paths of all records, but of the mark of the restore.
    pub paths: BTreeSet<String>,
    /// The record that counts the terms of leaders.
    pub leader: Option<Value>,
}

/// The path of a record below `ha/`.
pub fn ha_path(product: &str, name: &str) -> String {
    format!("{}/{name}", paths::ha_groups(product))
}

/// All records of the dump, and the end of those that are there and not in it. With `is_fresh` no
/// group and no proxy may be there yet.
pub fn changes(product: &str, dump: &Dump, held: &Held, is_fresh: bool) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut put = |path: String, is_new: bool, value: Vec<u8>| {
        changes.push(Change {
            path,
            is_new,
            value: Some(value),
        });
    };
    for slot in &dump.slots {
        let path = paths::slot(product, slot.id);
        let blank = SlotMapping {
            id: slot.id,
            ..SlotMapping::default()
        };
        // No record says the same as a blank one.
        if *slot != blank || held.paths.contains(&path) {
            put(path, false, json::encode(slot));
        }
    }
    for group in &dump.group {
        let path = paths::group(product, group.id);
        put(path, is_fresh, json::encode(group));
    }
    for proxy in &dump.proxy {
        let path = paths::proxy(product, &proxy.token);
        put(path, is_fresh, json::encode(proxy));
    }
    let sentinel = dump.sentinel.clone().unwrap_or_default();
    put(paths::sentinel(product), false, json::encode(&sentinel));
    for (name, value) in dump.ha.iter().filter(|(name, _)| *name != LEADER) {
        put(ha_path(product, name), false, json::encode(value));
    }
    if let Some(leader) = leader(dump.ha.get(LEADER), held.leader.as_ref()) {
        put(ha_path(product, LEADER), false, json::encode(&leader));
    }
    let kept: BTreeSet<&str> = changes.iter().map(|change| change.path.as_str()).collect();
    let stale = held
        .paths
        .iter()
        .filter(|path| !kept.contains(path.as_str()));
    let stale: Vec<Change> = stale
        .map(|path| Change {
            path: path.clone(),
            is_new: false,
            value: None,
        })
        .collect();
    changes.extend(stale);
    changes
}

/// The leader's record with a term above those that were given before the dump or in this store.
fn leader(dumped: Option<&Value>, held: Option<&Value>) -> Option<Value> {
    let term = |record: Option<&Value>| record?.get("term")?.as_u64();
    let ahead = term(dumped).map(|term| term.saturating_add(TERM_AHEAD));
    let next = term(held).map(|term| term.saturating_add(1));
    let mut record = dumped.or(held)?.clone();
    if let Some(term) = ahead.max(next) {
        record.as_object_mut()?.insert("term".into(), term.into());
    }
    Some(record)
}

#[cfg(test)]
mod tests {
    use codis_core::model::Group;
    use serde_json::json;

    use super::*;

    fn slot(id: u16, group_id: u32) -> SlotMapping {
        SlotMapping {
            id,
            group_id,
            ..SlotMapping::default()
        }
    }

    #[test]
    fn leftovers_go_and_blank_slots_are_not_written() {
        let group = Group {
            id: 1,
            ..Group::default()
        };
        let dump = Dump {
            slots: vec![slot(0, 1), slot(1, 0), slot(2, 0)],
            group: vec![group],
            ..Dump::default()
        };
        let leftovers = [
            paths::slot("p", 2),
            paths::slot("p", 3),
            paths::group("p", 9),
        ];
        let held = Held {
            paths: leftovers.into(),
            leader: None,
        };
        let changes = changes("p", &dump, &held, true);
        let told: Vec<(&str, bool, bool)> = changes
            .iter()
            .map(|change| {
                let path = change.path.trim_start_matches("/codis3/p/");
                (path, change.is_new, change.value.is_some())
            })
            .collect();
        let expected = [
            ("slots/slot-0000", false, true),
            ("slots/slot-0002", false, true),
            ("group/group-0001", true, true),
            ("sentinel", false, true),
            ("group/group-0009", false, false),
            ("slots/slot-0003", false, false),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_term_only_grows() {
        let record = |term: u64| json!({ "term": term, "token": "t" });
        let term = |record: Option<Value>| record.unwrap()["term"].as_u64().unwrap();
        assert_eq!(term(leader(Some(&record(7)), None)), 1007);
        assert_eq!(term(leader(None, Some(&record(7)))), 8);
        assert_eq!(term(leader(Some(&record(7)), Some(&record(5000)))), 5001);
        assert_eq!(leader(None, None), None);
    }
}
