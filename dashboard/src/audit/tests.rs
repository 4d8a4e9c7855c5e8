use std::fs;
use std::path::Path;

use codis_core::model::{Group, SlotMapping};
use codis_topom::{Change, Cluster, Records, edit};
use serde_json::{Value, json};

use super::*;

fn audit(what: &str) -> Audit {
    Audit {
        who: Origin {
            forwarded: Some("10.9.9.9".to_owned()),
            ..Origin::peer("10.0.0.1:4000")
        },
        what: what.to_owned(),
    }
}

fn cluster() -> Cluster {
    let slots = (10..20).map(|id| SlotMapping {
        id,
        group_id: 1,
        ..SlotMapping::default()
    });
    let groups = [1, 2].map(|id| Group {
        id,
        ..Group::default()
    });
    Cluster::load(Records {
        slots: slots.collect(),
        groups: groups.into(),
        ..Records::default()
    })
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_change_tells_each_record_before_and_after() {
    let log = AuditLog::default();
    let before = cluster();
    let took = Duration::from_millis(7);
    let changes = edit::create_group(&before, 3).unwrap();
    log.changed(
        &audit("group/create/3"),
        Changed::all(&before, &changes),
        took,
        None,
    );
    let removed = edit::remove_group(&before, 2).unwrap();
    log.changed(
        &audit("g"),
        Changed::all(&before, &removed),
        took,
        Some("no disk"),
    );
    let told: Vec<Value> = log.recent(2).iter().map(|e| json!(**e)).collect();
    assert_eq!(told[0]["kind"], "change");
    assert_eq!(told[0]["from"], "10.0.0.1:4000");
    assert_eq!(told[0]["for"], "10.9.9.9");
    assert_eq!(told[0]["what"], "group/create/3");
    assert_eq!(told[0]["took_ms"], 7);
    assert_eq!(told[0]["outcome"], "done");
    let record = &told[0]["records"][0];
    assert_eq!(record["record"], "group-[3]");
    assert_eq!(record["before"], Value::Null);
    assert_eq!(record["after"]["id"], 3);
    assert_eq!(told[1]["outcome"], "failed");
    assert_eq!(told[1]["cause"], "no disk");
    assert_eq!(told[1]["records"][0]["before"]["id"], 2);
    assert_eq!(told[1]["records"][0]["after"], Value::Null);
}

#[test]
fn slots_that_change_alike_are_told_together() {
    let put = |id, group_id| {
        Change::PutSlot(SlotMapping {
            id,
            group_id,
            ..SlotMapping::default()
        })
    };
    // 5-9 come from nobody and 10-14 from group 1; 15 goes elsewhere; 17 is no neighbour of it.
    let mut changes: Vec<Change> = (5..15).map(|id| put(id, 2)).collect();
    changes.extend([put(15, 0), put(17, 0)]);
    let records = Changed::all(&cluster(), &changes);
    let names: Vec<&str> = records.iter().map(|r| r.record.as_str()).collect();
    assert_eq!(
        names,
        ["slot-[5-9]", "slot-[10-14]", "slot-[15]", "slot-[17]"]
    );
    assert_eq!(records[0].before, json!({ "group_id": 0, "action": {} }));
    assert_eq!(records[1].before, json!({ "group_id": 1, "action": {} }));
    assert_eq!(records[1].after, json!({ "group_id": 2, "action": {} }));
    let one = json!({ "id": 15, "group_id": 1, "action": {} });
    assert_eq!(records[2].before, one);
}

#[test]
fn a_call_is_refused_before_and_failed_after_a_change() {
    let log = AuditLog::default();
    log.begin(audit("a")).end(Some("a rule".to_owned()));
    let call = log.begin(audit("b"));
    let before = cluster();
    let changes = edit::create_group(&before, 3).unwrap();
    log.changed(
        &audit("b"),
        Changed::all(&before, &changes),
        Duration::ZERO,
        None,
    );
    call.end(Some("a proxy".to_owned()));
    log.begin(audit("c")).end(None);
    drop(log.begin(audit("d")));
    log.begin(audit("e")).forget();
    let told: Vec<(String, Kind, &str)> = log
        .recent(100)
        .iter()
        .map(|entry| (entry.what.clone(), entry.kind, entry.outcome.name()))
        .collect();
    let expected = [
        ("a", Kind::Call, "refused"),
        ("b", Kind::Change, "done"),
        ("b", Kind::Call, "failed"),
        ("c", Kind::Call, "done"),
        ("d", Kind::Call, "failed"),
    ];
    let expected = expected.map(|(what, kind, outcome)| (what.to_owned(), kind, outcome));
    assert_eq!(told, expected);
    assert!(held(&log.inner.calls).is_empty(), "no request is left over");
}

#[test]
fn memory_is_bounded_by_count_and_by_bytes() {
    let log = AuditLog::default();
    for n in 0..RECENT_MAX + 10 {
        log.begin(audit(&n.to_string())).end(None);
    }
    let all = log.recent(usize::MAX);
    assert_eq!(all.len(), RECENT_MAX);
    assert_eq!(all[0].what, "10");
    assert_eq!(log.recent(1)[0].what, (RECENT_MAX + 9).to_string());
    let large = "x".repeat(RECENT_BYTES_MAX / 3);
    for _ in 0..4 {
        log.begin(audit(&large)).end(None);
    }
    assert_eq!(log.recent(usize::MAX).len(), 2);
}

#[test]
fn the_file_is_rotated_and_its_old_ones_are_numbered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made/audit.jsonl");
    let log = AuditLog::open(path.to_str().unwrap(), 2000).unwrap();
    for n in 0..100 {
        log.begin(audit(&format!("call {n}"))).end(None);
    }
    log.flush();
    let old = |n: u32| path.with_file_name(format!("audit.jsonl.{n}"));
    assert!(old(4).exists() && !old(5).exists());
    let mut all: Vec<Value> = (1..=4).rev().flat_map(|n| lines(&old(n))).collect();
    all.extend(lines(&path));
    let last: Vec<&str> = all
        .iter()
        .filter_map(|line| line["what"].as_str())
        .collect();
    let expected: Vec<String> = (100 - last.len()..100)
        .map(|n| format!("call {n}"))
        .collect();
    assert_eq!(last, expected, "no line is lost or out of order");
    for n in 1..=4 {
        assert!(fs::metadata(old(n)).unwrap().len() <= 2000);
    }
}

#[test]
fn a_file_is_continued_and_followed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    fs::write(&path, "{\"what\":\"cut sh").unwrap();
    let log = AuditLog::open(path.to_str().unwrap(), 1 << 20).unwrap();
    log.begin(audit("one")).end(None);
    log.flush();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    fs::rename(&path, dir.path().join("moved")).unwrap();
    log.begin(audit("two")).end(None);
    log.flush();
    let told = lines(&path);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["what"], "two");
}

#[test]
fn a_gap_is_counted_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let log = AuditLog::open(path.to_str().unwrap(), 1 << 20).unwrap();
    // A folder in the place of the file: it cannot be opened anew.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    for what in ["a", "b"] {
        log.begin(audit(what)).end(None);
    }
    log.flush();
    assert_eq!(log.inner.lost.get(), 2);
    fs::remove_dir(&path).unwrap();
    log.begin(audit("c")).end(None);
    log.flush();
    let told = lines(&path);
    assert_eq!(
        (&told[0]["kind"], &told[0]["lost"]),
        (&json!("gap"), &json!(2))
    );
    assert_eq!(told[1]["what"], "c");
}

#[test]
fn a_file_that_cannot_be_made_is_named() {
    let error = AuditLog::open("/proc/nowhere/audit", 1 << 20).unwrap_err();
    assert!(error.to_string().contains("/proc/nowhere/audit"), "{error}");
}
