//! What Codis HA stores beside the records of Codis, under `/codis3/{product}/ha/`: the adopted
//! topology of each group in `group-%04d`, and how slot actions are carried out in `slot-action`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::epoch::Epoch;

/// The newest topology of a group that the dashboard has adopted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupTopology {
    /// The group.
    pub group_id: u32,
    /// The config epoch of `master`; never falls.
    pub epoch: Epoch,
    /// `host:port` of the master at `epoch`, as written in the group's record.
    pub master: String,
    /// The master's run id when known, else empty.
    pub run_id: String,
    /// The sentinel that told of it (its id), or `dashboard` without sentinels.
    pub source: String,
    /// RFC 3339 time of adoption, for people.
    pub adopted_at: String,
    /// Replica priorities to give back, by address: a promotion through stock sentinels is under
    /// way, or was cut short.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub priorities: BTreeMap<String, u32>,
}

/// How slot actions are carried out. The original forgets the first two at each restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlotActions {
    /// Microseconds between two migrate commands of a slot, `0..=1_000_000`.
    pub interval: u32,
    /// No pending action is started, and no key is moved.
    pub disabled: bool,
    /// Slots whose started action is to be turned round, each with the group that it goes to: the
    /// wish has no meaning for an action with another target.
    pub cancelled: BTreeMap<u16, u32>,
}
