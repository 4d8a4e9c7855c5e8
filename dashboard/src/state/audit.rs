//! The record of each change: who, what, before, after, epoch, how long.

use std::time::Duration;

use codis_core::json;
use codis_topom::{Change, Cluster};
use serde::Serialize;

use super::Audit;

/// Slots of one edit that are logged one by one; more of them are summed up.
const LINES_MAX: usize = 8;

/// Logs an edit that is stored.
pub fn log(audit: &Audit, before: &Cluster, changes: &[Change], took: Duration) {
    let Audit { who, what } = audit;
    let took_ms = took.as_millis() as u64;
    let (slots, others): (Vec<_>, Vec<_>) = changes
        .iter()
        .partition(|change| matches!(change, Change::PutSlot(_)));
    let (slots, summed) = if slots.len() > LINES_MAX {
        (Vec::new(), slots)
    } else {
        (slots, Vec::new())
    };
    for change in others.into_iter().chain(slots) {
        let (record, epoch) = name(before, change);
        let was = previous(before, change);
        let is = crate::store::value(change).map_or_else(String::new, |text| one_line(&text));
        tracing::info!(
            who,
            what,
            record,
            epoch,
            before = was,
            after = is,
            took_ms,
            "changed"
        );
    }
    if let (Some(first), Some(last)) = (summed.first(), summed.last()) {
        let (first, last) = (name(before, first).0, name(before, last).0);
        let after = crate::store::value(summed[0]).map_or_else(String::new, |text| one_line(&text));
        let count = summed.len();
        tracing::info!(who, what, count, first, last, after, took_ms, "changed");
    }
}

fn name(cluster: &Cluster, change: &Change) -> (String, u64) {
    let of = |group: u32| cluster.epoch(group).0;
    match change {
        Change::PutSlot(slot) => (format!("slot-[{}]", slot.id), of(slot.group_id)),
        Change::PutGroup(group) => (format!("group-[{}]", group.id), of(group.id)),
        Change::DeleteGroup(id) => (format!("group-[{id}]"), of(*id)),
        Change::PutProxy(proxy) => (format!("proxy-[{}]", proxy.token), 0),
        Change::DeleteProxy(token) => (format!("proxy-[{token}]"), 0),
        Change::PutSentinel(_) => ("sentinel".to_owned(), 0),
        Change::PutTopology(t) => (format!("ha group-[{}]", t.group_id), t.epoch.0),
        Change::PutSlotActions(_) => ("ha slot-action".to_owned(), 0),
        Change::Hold { slot, held } => {
            let held = if *held { "held" } else { "released" };
            (format!("slot-[{slot}] {held}"), 0)
        }
        Change::Lock { group, locked } => (
            format!(
                "group-[{group}] {}",
                if *locked { "locked" } else { "released" }
            ),
            of(*group),
        ),
    }
}

fn previous(cluster: &Cluster, change: &Change) -> String {
    match change {
        Change::PutSlot(slot) => shown(cluster.slot(slot.id).ok()),
        Change::PutGroup(group) => shown(cluster.group(group.id).ok()),
        Change::DeleteGroup(id) => shown(cluster.group(*id).ok()),
        Change::PutProxy(proxy) => shown(cluster.proxy(&proxy.token).ok()),
        Change::DeleteProxy(token) => shown(cluster.proxy(token).ok()),
        Change::PutSentinel(_) => shown(Some(cluster.sentinel())),
        Change::PutTopology(topology) => shown(cluster.topology(topology.group_id)),
        Change::PutSlotActions(_) => shown(Some(cluster.slot_actions())),
        Change::Lock { .. } | Change::Hold { .. } => String::new(),
    }
}

fn shown<T: Serialize>(record: Option<&T>) -> String {
    record.map_or_else(String::new, |record| one_line(&json::encode(record)))
}

fn one_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.split('\n').map(str::trim_start).collect()
}
