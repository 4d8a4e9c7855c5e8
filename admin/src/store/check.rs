//! What makes a dump one that can be restored.

use std::collections::{BTreeMap, BTreeSet};

use codis_core::model::{ActionState, Group, SlotMapping};
use codis_core::slot::SLOTS;
use serde_json::Value;

use super::dump::{self, Dump};

/// The highest group id.
pub const GROUP_MAX: u32 = 9999;

/// Records that lack what identifies them. They would decode as slot 0 or group 0.
pub fn nameless(dump: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for (list, key) in [("slots", "id"), ("group", "id"), ("proxy", "token")] {
        let records = dump.get(list).and_then(Value::as_array);
        for (index, record) in records.into_iter().flatten().enumerate() {
            if record.get(key).is_none() {
                problems.push(format!("{list}[{index}] has no `{key}`"));
            }
        }
    }
    problems
}

/// Everything that keeps a dump from being restored.
pub fn problems(dump: &Dump) -> Vec<String> {
    let mut problems = Vec::new();
    if dump.ha.contains_key(dump::EDIT) {
        problems.push("it was taken in the middle of an edit (`ha.edit`)".to_owned());
    }
    let mut tokens = BTreeSet::new();
    for proxy in &dump.proxy {
        if proxy.token.is_empty() || proxy.token.contains('/') {
            problems.push(format!("invalid token of proxy `{}`", proxy.admin_addr));
        }
        if !tokens.insert(&proxy.token) {
            problems.push(format!("proxy-{} already exists", proxy.token));
        }
    }
    let mut groups: BTreeMap<u32, &Group> = BTreeMap::new();
    let mut servers = BTreeSet::new();
    for group in &dump.group {
        let id = group.id;
        if !(1..=GROUP_MAX).contains(&id) {
            problems.push(format!("invalid group id = {id}"));
        }
        if groups.insert(id, group).is_some() {
            problems.push(format!("group-{id:04} already exists"));
        }
        for server in &group.servers {
            if !servers.insert(&server.addr) {
                problems.push(format!("server {} already exists", server.addr));
            }
        }
        if group.promoting.index > 0 && group.promoting.index >= group.servers.len() {
            problems.push(format!(
                "group-{id:04} is promoting a server it doesn't have"
            ));
        }
    }
    let mut slots = BTreeSet::new();
    for slot in &dump.slots {
        if usize::from(slot.id) >= SLOTS {
            problems.push(format!("invalid slot id = {}", slot.id));
        }
        if !slots.insert(slot.id) {
            problems.push(format!("slot-{:04} already exists", slot.id));
        }
        problems.extend(owners(slot, &groups));
    }
    problems
}

/// What is wrong with the groups of a slot: each must be there with a server, or be 0.
fn owners(slot: &SlotMapping, groups: &BTreeMap<u32, &Group>) -> Vec<String> {
    let target = (slot.action.state != ActionState::Nothing).then_some(slot.action.target_id);
    let owner = (slot.group_id != 0).then_some(slot.group_id);
    let serves = |group: &u32| {
        groups
            .get(group)
            .is_some_and(|group| !group.servers.is_empty())
    };
    [owner, target]
        .into_iter()
        .flatten()
        .filter(|group| !serves(group))
        .map(|group| {
            format!(
                "slot-{:04} with group-{group:04} doesn't exist or empty",
                slot.id
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use codis_core::json;

    use super::*;

    fn told(text: &str) -> Vec<String> {
        let raw: Value = serde_json::from_str(text).unwrap();
        let mut told = nameless(&raw);
        told.extend(problems(&json::decode(text.as_bytes()).unwrap()));
        told
    }

    #[test]
    fn offline_slots_and_running_migrations_are_fine() {
        let text = r#"{
            "slots": [
                { "id": 0, "group_id": 1, "action": {} },
                { "id": 1, "group_id": 0, "action": {} },
                { "id": 2, "group_id": 1,
                  "action": { "index": 1, "state": "migrating", "target_id": 2 } }
            ],
            "group": [
                { "id": 1, "servers": [ { "server": "a:1" } ] },
                { "id": 2, "servers": [ { "server": "b:1" } ] }
            ]
        }"#;
        assert_eq!(told(text), Vec::<String>::new());
    }

    #[test]
    fn every_problem_is_named() {
        let text = r#"{
            "slots": [
                { "id": 5, "group_id": 2 },
                { "id": 6, "group_id": 3 },
                { "id": 6, "group_id": 1 },
                { "id": 7, "group_id": 1, "action": { "state": "pending", "target_id": 9 } },
                { "id": 1024, "group_id": 1 },
                { "group_id": 1 }
            ],
            "group": [
                { "id": 1, "servers": [ { "server": "a:1" }, { "server": "a:1" } ] },
                { "id": 1, "servers": [ { "server": "c:1" } ] },
                { "id": 3, "servers": [] },
                { "id": 10000 }
            ],
            "proxy": [ { "token": "t" }, { "token": "t" }, { "id": 1 } ],
            "ha": { "edit": {} }
        }"#;
        let expected = [
            "slots[5] has no `id`",
            "proxy[2] has no `token`",
            "it was taken in the middle of an edit (`ha.edit`)",
            "proxy-t already exists",
            "invalid token of proxy ``",
            "server a:1 already exists",
            "group-0001 already exists",
            "invalid group id = 10000",
            "slot-0005 with group-0002 doesn't exist or empty",
            "slot-0006 with group-0003 doesn't exist or empty",
            "slot-0006 already exists",
            "slot-0007 with group-0009 doesn't exist or empty",
            "invalid slot id = 1024",
        ];
        assert_eq!(told(text), expected);
    }
}
