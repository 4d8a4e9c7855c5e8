//! What Codis HA stores beside the records of Codis: the adopted topology of each group, under
//! `/codis3/{product}/ha/group-%04d`.

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
}
