//! The topology record: what `SENTINEL TOPOLOGY` answers and `+topology` publishes, as JSON.
//!
//! One record tells all that a peer needs to follow a group: who is master, at which epoch, and who
//! could follow it. A record with a lower epoch than the one held is never applied; one with an
//! equal epoch refreshes flags and replicas but cannot move the master.

use serde::{Deserialize, Serialize};

use crate::addr::Addr;
use crate::epoch::Epoch;

/// The channel that carries records on every change.
pub const CHANNEL: &str = "+topology";

/// A monitored master as one sentinel knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// The monitored name, `{product}-{gid}` for a Codis group.
    pub name: String,
    /// The config epoch of `master`.
    pub epoch: Epoch,
    /// The current master: the promoted replica from the moment it is known to be master.
    pub master: Addr,
    /// The master's run id, empty while unknown.
    #[serde(default)]
    pub run_id: String,
    /// The flags of `SENTINEL MASTER`: `master`, `s_down`, `o_down`, `failover_in_progress`, ...
    #[serde(default)]
    pub flags: Vec<String>,
    /// The replicas of `master`, the old master among them.
    #[serde(default)]
    pub replicas: Vec<Replica>,
    /// One of the failover states of `SENTINEL MASTER`, `none` when idle.
    #[serde(default)]
    pub failover_state: String,
    /// The highest epoch at which this sentinel fences the name (it voted at that epoch).
    #[serde(default)]
    pub fence_epoch: Epoch,
    /// The id of the sentinel that speaks.
    pub sentinel: String,
    /// Candidates that were refused in the last failover, with the reason.
    #[serde(default)]
    pub refused: Vec<Refusal>,
}

/// A replica as one sentinel knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Its address.
    pub addr: Addr,
    /// Its run id, empty while unknown.
    #[serde(default)]
    pub run_id: String,
    /// Replication offset in bytes, from its last INFO.
    #[serde(default)]
    pub offset: u64,
    /// Whether its link to its master is up.
    #[serde(default)]
    pub link_up: bool,
    /// `replica-priority`; 0 is never promoted.
    #[serde(default)]
    pub priority: u32,
    /// Age in milliseconds of the INFO that this was read from; absent when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info_age_ms: Option<u64>,
    /// The flags of `SENTINEL REPLICAS`.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// Why a replica was not promoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The replica.
    pub addr: Addr,
    /// The rule that ruled it out, in words.
    pub reason: String,
}
