//! `--config-convert`: the dump of a Codis 1 or 2 tree in the form of Codis 3.
//!
//! A slot of those versions is `{id, group_id, state: {status}}`, a server `{addr, group_id, type}`
//! below `servers/group_N/`. Slots that are `online` and all servers are taken over; the master of
//! a group comes first. Proxies are not: those of Codis 3 register themselves.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use codis_core::model::{Group, GroupServer, SlotMapping};
use codis_core::slot;
use serde_json::Value;

use super::dump::Dump;
use super::{check, file};
use crate::cli::Options;
use crate::output::Answer;

/// Prints the converted dump.
pub fn run(options: &Options) -> anyhow::Result<Answer> {
    let file = options.needed("config-convert")?;
    let text = file::read(file)?;
    let tree: Value =
        serde_json::from_slice(&text).with_context(|| format!("{file} is no JSON"))?;
    let (dump, notes) = convert(&tree).context("convert config failed")?;
    for note in notes {
        eprintln!("codis-admin: {note}");
    }
    Answer::json(&dump)
}

/// The dump, and what its reader should look after.
fn convert(tree: &Value) -> anyhow::Result<(Dump, Vec<String>)> {
    ensure!(
        tree.get("group").is_none(),
        "this is a dump of Codis 3 already: give it to --config-restore"
    );
    let servers = tree.get("servers");
    ensure!(
        servers.is_some() || tree.get("slots").is_some(),
        "neither `slots` nor `servers` is there: give the file that --config-dump -1 printed"
    );
    let mut slots = BTreeMap::new();
    for (name, record) in members(tree.get("slots"), "slots")? {
        let slot = slot(record).with_context(|| format!("slots/{name}"))?;
        let Some(slot) = slot else { continue };
        let id = slot.id;
        ensure!(
            slots.insert(id, slot).is_none(),
            "slot-{id:04} already exists"
        );
    }
    let mut groups: BTreeMap<u32, Group> = BTreeMap::new();
    let mut masters: BTreeMap<u32, usize> = BTreeMap::new();
    for (group, records) in members(servers, "servers")? {
        for (name, record) in members(Some(records), group)? {
            let at = || format!("servers/{group}/{name}");
            let (id, addr, is_master) = server(record).with_context(at)?;
            let entry = groups.entry(id).or_insert_with(|| Group {
                id,
                ..Group::default()
            });
            let place = if is_master { 0 } else { entry.servers.len() };
            entry.servers.insert(
                place,
                GroupServer {
                    addr,
                    ..GroupServer::default()
                },
            );
            *masters.entry(id).or_default() += usize::from(is_master);
        }
    }
    let dump = Dump {
        slots: slots.into_values().collect(),
        group: groups.into_values().collect(),
        ..Dump::default()
    };
    let notes = notes(&dump, &masters);
    Ok((dump, notes))
}

fn notes(dump: &Dump, masters: &BTreeMap<u32, usize>) -> Vec<String> {
    let mut notes = Vec::new();
    for (group, count) in masters {
        if *count != 1 {
            notes.push(format!(
                "group-{group:04} has {count} masters: the first server of its list will be the \
                 master; see to it that this is the one that has the data"
            ));
        }
    }
    notes.extend(check::problems(dump).into_iter().map(|problem| {
        format!("{problem}: --config-restore will refuse the dump until that is put right")
    }));
    notes
}

/// A slot that is online, or nothing.
fn slot(record: &Value) -> anyhow::Result<Option<SlotMapping>> {
    let id = number(record, "id")?;
    let status = text(record.get("state").unwrap_or(&Value::Null), "status")
        .context("its member `state`")?;
    match status {
        "online" => {}
        "offline" => return Ok(None),
        other => bail!(
            "invalid slot status `{other}`: finish what is done to slot {id} with the tools of \
             Codis 2, then dump again"
        ),
    }
    let id = u16::try_from(id).ok().and_then(slot::SlotId::new);
    let id = id.context("invalid slot id: expected 0..=1023")?;
    Ok(Some(SlotMapping {
        id: id.get(),
        group_id: number(record, "group_id")?,
        ..SlotMapping::default()
    }))
}

/// Group, address, and whether it is the master.
fn server(record: &Value) -> anyhow::Result<(u32, String, bool)> {
    let group = number(record, "group_id")?;
    ensure!(
        (1..=check::GROUP_MAX).contains(&group),
        "invalid group = {group}"
    );
    let addr = text(record, "addr")?.to_owned();
    Ok((group, addr, text(record, "type")? == "master"))
}

/// The members of an object. Null is a node without children.
fn members<'a>(
    value: Option<&'a Value>,
    name: &str,
) -> anyhow::Result<Vec<(&'a String, &'a Value)>> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(members)) => Ok(members.iter().collect()),
        Some(_) => bail!("`{name}` is no JSON object"),
    }
}

fn number(record: &Value, member: &str) -> anyhow::Result<u32> {
    let number = record.get(member).and_then(Value::as_u64);
    let number = number.and_then(|number| u32::try_from(number).ok());
    number.with_context(|| format!("its member `{member}` is no number, or missing"))
}

fn text<'a>(record: &'a Value, member: &str) -> anyhow::Result<&'a str> {
    let text = record.get(member).and_then(Value::as_str);
    text.with_context(|| format!("its member `{member}` is no text, or missing"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree() -> Value {
        json!({
            "slots": {
                "slot_0": { "product_name": "test", "id": 0, "group_id": 1,
                    "state": { "status": "online", "migrate_status": { "from": -1, "to": -1 } } },
                "slot_1": { "id": 1, "group_id": 2, "state": { "status": "online" } },
                "slot_2": { "id": 2, "group_id": -1, "state": { "status": "offline" } },
            },
            "servers": {
                "group_1": {
                    "10.0.0.1:6380": { "addr": "10.0.0.1:6380", "group_id": 1, "type": "slave" },
                    "10.0.0.1:6379": { "addr": "10.0.0.1:6379", "group_id": 1, "type": "master" },
                },
                "group_2": {
                    "10.0.0.2:6379": { "addr": "10.0.0.2:6379", "group_id": 2, "type": "master" },
                },
                "group_3": null,
            },
            "proxy": { "proxy_1": { "id": "proxy_1" } },
            "fence": null,
        })
    }

    #[test]
    fn a_tree_of_codis_2_becomes_a_dump_of_codis_3() {
        let (dump, notes) = convert(&tree()).unwrap();
        assert_eq!(notes, Vec::<String>::new());
        let slots: Vec<_> = dump.slots.iter().map(|s| (s.id, s.group_id)).collect();
        assert_eq!(slots, [(0, 1), (1, 2)], "the offline one is dropped");
        let addrs = |group: &Group| {
            let servers = group.servers.iter();
            servers.map(|s| s.addr.clone()).collect::<Vec<_>>()
        };
        assert_eq!(addrs(&dump.group[0]), ["10.0.0.1:6379", "10.0.0.1:6380"]);
        let text = codis_core::json::encode(&dump);
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains("proxy"), "{text}");
    }

    #[test]
    fn what_cannot_be_converted_is_named() {
        let told = |change: &dyn Fn(&mut Value)| {
            let mut tree = tree();
            change(&mut tree);
            format!("{:#}", convert(&tree).unwrap_err())
        };
        let text = told(&|tree| tree["slots"]["slot_0"]["state"]["status"] = json!("migrate"));
        assert!(text.contains("slots/slot_0: invalid slot status"), "{text}");
        let text = told(&|tree| tree["slots"]["slot_0"]["id"] = json!("x"));
        assert!(text.contains("`id`"), "{text}");
        let text = told(&|tree| tree["slots"]["slot_1"]["id"] = json!(0));
        assert!(text.contains("slot-0000 already exists"), "{text}");
        let text = told(&|tree| tree["slots"]["slot_1"]["id"] = json!(1024));
        assert!(text.contains("invalid slot id"), "{text}");
        let text = told(&|tree| *tree = json!({ "group": [] }));
        assert!(text.contains("--config-restore"), "{text}");
        let text = told(&|tree| *tree = json!([1]));
        assert!(text.contains("--config-dump -1"), "{text}");
    }

    #[test]
    fn a_group_without_a_master_is_told_of() {
        let mut tree = tree();
        tree["servers"]["group_2"]["10.0.0.2:6379"]["type"] = json!("slave");
        let (_, notes) = convert(&tree).unwrap();
        assert!(notes[0].contains("group-0002 has 0 masters"), "{notes:?}");
    }
}
