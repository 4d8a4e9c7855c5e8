//! The records of a change, before and after.

use codis_core::model::SlotMapping;
use codis_topom::{Change, Cluster};
use serde::Serialize;
use serde_json::{Value, json};

use super::Changed;

impl Changed {
    /// What `changes` do to the records in `before`. An assignment of a thousand slots is a few
    /// entries: neighbours that change alike are told together.
    pub fn all(before: &Cluster, changes: &[Change]) -> Vec<Self> {
        let mut records = Vec::new();
        let mut run: Option<Run> = None;
        for change in changes {
            let Change::PutSlot(slot) = change else {
                records.extend(run.take().map(Run::told));
                records.push(one(before, change));
                continue;
            };
            let next = Run::one(before, slot);
            run = Some(match run.take() {
                Some(held) if held.goes_on_with(&next) => Run {
                    last: next.last,
                    ..held
                },
                held => {
                    records.extend(held.map(Run::told));
                    next
                }
            });
        }
        records.extend(run.map(Run::told));
        records
    }
}

/// Slots in a row that change alike; the id of both forms is that of the first slot.
struct Run {
    first: u16,
    last: u16,
    epoch: u64,
    before: Option<SlotMapping>,
    after: SlotMapping,
}

impl Run {
    fn one(cluster: &Cluster, after: &SlotMapping) -> Self {
        Self {
            first: after.id,
            last: after.id,
            epoch: cluster.epoch(after.group_id).0,
            before: cluster.slot(after.id).ok().cloned(),
            after: after.clone(),
        }
    }

    fn goes_on_with(&self, next: &Self) -> bool {
        let like_first = |slot: &SlotMapping| SlotMapping {
            id: self.first,
            ..slot.clone()
        };
        next.first == self.last.saturating_add(1)
            && next.epoch == self.epoch
            && like_first(&next.after) == self.after
            && next.before.as_ref().map(like_first) == self.before
    }

    fn told(self) -> Changed {
        let Self {
            first, last, epoch, ..
        } = self;
        let (mut before, mut after) = (value(self.before.as_ref()), value(Some(&self.after)));
        let record = if first == last {
            format!("slot-[{first}]")
        } else {
            for form in [&mut before, &mut after] {
                if let Value::Object(members) = form {
                    members.shift_remove("id");
                }
            }
            format!("slot-[{first}-{last}]")
        };
        Changed {
            record,
            epoch,
            before,
            after,
        }
    }
}

fn one(cluster: &Cluster, change: &Change) -> Changed {
    let of = |group: u32| cluster.epoch(group).0;
    let told = |record, epoch, before, after| Changed {
        record,
        epoch,
        before,
        after,
    };
    match change {
        Change::PutSlot(slot) => Run::one(cluster, slot).told(),
        Change::PutGroup(group) => told(
            format!("group-[{}]", group.id),
            of(group.id),
            value(cluster.group(group.id).ok()),
            value(Some(group)),
        ),
        Change::DeleteGroup(id) => told(
            format!("group-[{id}]"),
            of(*id),
            value(cluster.group(*id).ok()),
            Value::Null,
        ),
        Change::PutProxy(proxy) => told(
            format!("proxy-[{}]", proxy.token),
            0,
            value(cluster.proxy(&proxy.token).ok()),
            value(Some(proxy)),
        ),
        Change::DeleteProxy(token) => told(
            format!("proxy-[{token}]"),
            0,
            value(cluster.proxy(token).ok()),
            Value::Null,
        ),
        Change::PutSentinel(sentinel) => {
            let before = value(Some(cluster.sentinel()));
            told("sentinel".to_owned(), 0, before, value(Some(sentinel)))
        }
        Change::PutLeaving(leaving) => {
            let before = value(Some(cluster.leaving()));
            let record = "ha sentinel-leaving".to_owned();
            told(record, 0, before, value(Some(leaving)))
        }
        Change::PutLeavingProxies(leaving) => {
            let before = value(Some(cluster.leaving_proxies()));
            let record = "ha proxy-leaving".to_owned();
            told(record, 0, before, value(Some(leaving)))
        }
        Change::PutTopology(topology) => told(
            format!("ha group-[{}]", topology.group_id),
            topology.epoch.0,
            value(cluster.topology(topology.group_id)),
            value(Some(topology)),
        ),
        Change::PutSlotActions(actions) => {
            let before = value(Some(cluster.slot_actions()));
            told("ha slot-action".to_owned(), 0, before, value(Some(actions)))
        }
        Change::Hold { slot, held } => {
            let before = json!({ "held": cluster.is_held(*slot) });
            told(format!("slot-[{slot}]"), 0, before, json!({ "held": held }))
        }
        Change::Lock { group, locked } => told(
            format!("group-[{group}]"),
            of(*group),
            json!({ "locked": cluster.is_locked(*group) }),
            json!({ "locked": locked }),
        ),
    }
}

fn value<T: Serialize>(record: Option<&T>) -> Value {
    record.map_or(Value::Null, |record| {
        serde_json::to_value(record).unwrap_or_default()
    })
}
