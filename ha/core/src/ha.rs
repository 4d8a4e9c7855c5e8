//! What Codis HA stores beside the records of Codis, under `/codis3/{product}/ha/`: the adopted
//! topology of each group in `group-%04d`, whose turn it is to lead in `leader`, how slot actions
//! are carried out in `slot-action`, which sentinels are still to forget the product in
//! `sentinel-leaving`, and which proxies are being removed in `proxy-leaving`.

use std::collections::BTreeMap;
use std::fmt;

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
    /// Servers that are not of the group and follow its master all the same, with the replica
    /// priority to give back: theirs is 0, so that no sentinel promotes them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub strays: BTreeMap<String, u32>,
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

/// Sentinels that were dropped from the record of Codis and have not been made to forget the
/// product yet. One that nobody remembers would go on watching, and vote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeavingSentinels {
    /// Their addresses.
    pub servers: Vec<String>,
}

/// Proxies that are being removed: they are told to end before their records go, and one that has
/// ended must not stay on record because its dashboard died in between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeavingProxies {
    /// Their tokens, each with whether the record goes although the proxy does not answer.
    pub proxies: BTreeMap<String, bool>,
}

/// The header of a call to a proxy that says under which [`Term`] its dashboard leads.
pub const TERM_HEADER: &str = "x-codis-term";

/// Which leadership of a product this is, counted from 1. Each leader has a higher one than all
/// before it; whoever was told of a term takes no order under a lower one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Term(pub u64);

impl Term {
    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who leads, or led last. The record is never deleted: the next leader changes it from one term to
/// the next, and each commit of a leader requires that it still holds the leader's own bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaderRecord {
    /// The term.
    pub term: Term,
    /// The dashboard's token.
    pub token: String,
    /// Where it serves.
    pub admin_addr: String,
    /// RFC 3339 time at which it took over, for people.
    pub since: String,
    /// Its process id.
    pub pid: u32,
    /// When it was started, as in its lock: with token and process id it tells one run of a
    /// dashboard from all others.
    pub start_time: String,
}
