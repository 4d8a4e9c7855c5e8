//! Bodies of the dashboard's API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ProxyStats, RemoteError};
use crate::model;

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `GET /topom`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overview {
    /// Version text.
    pub version: String,
    /// How it was built.
    pub compile: String,
    /// Settings by their name in the file, without passwords.
    pub config: serde_json::Value,
    /// Who it is.
    pub model: model::Topom,
    /// All figures.
    pub stats: Stats,
}

/// `GET /topom/stats`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Shut down.
    pub closed: bool,
    /// All 1024.
    pub slots: Vec<model::SlotMapping>,
    /// Groups and their servers.
    pub group: GroupSection,
    /// Proxies.
    pub proxy: ProxySection,
    /// Migration settings and progress.
    pub slot_action: SlotActionSection,
    /// Sentinels.
    pub sentinels: SentinelSection,
}

/// Groups and the last poll of each server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupSection {
    /// Sorted by id.
    pub models: Vec<model::Group>,
    /// By server address; an entry is missing until the first poll ends.
    pub stats: BTreeMap<String, ServerStats>,
}

/// The last poll of a server: figures, an error, or neither with `timeout`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerStats {
    /// INFO, all as text, with `maxmemory` and `master_addr` added.
    #[serde(skip_serializing_if = "is_zero")]
    pub stats: BTreeMap<String, String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RemoteError>,
    /// Seconds since 1970.
    pub unixtime: i64,
    /// It did not answer in time.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: bool,
    /// How long it has not answered; only while it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// Its last good answer; only while it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Box<ServerStats>>,
}

/// Proxies and the last poll of each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxySection {
    /// Sorted by id.
    pub models: Vec<model::Proxy>,
    /// By token.
    pub stats: BTreeMap<String, ProxyReport>,
}

/// The last poll of a proxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyReport {
    /// Its figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<ProxyStats>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RemoteError>,
    /// Seconds since 1970.
    pub unixtime: i64,
    /// It did not answer in time.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: bool,
    /// How long it has not answered; only while it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// Its last good answer; only while it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Box<ProxyReport>>,
}

/// Migration settings and progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlotActionSection {
    /// Microseconds between two migrate commands, 0..=1000000.
    pub interval: u32,
    /// No pending slot is started.
    pub disabled: bool,
    /// The last status text.
    pub progress: Progress,
    /// Migrate commands in flight.
    pub executor: u32,
    /// How far each slot is that is under way. The original has no such member.
    #[serde(skip_serializing_if = "is_zero")]
    pub slots: Vec<SlotProgress>,
}

/// How far a slot is that is under way; its state and its groups are in its mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlotProgress {
    /// The slot.
    pub id: u16,
    /// The database whose keys are moved.
    pub db: u32,
    /// Keys that were left there after the last migrate command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
    /// Tries in a row that failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// Why the last of them did, with the next step.
    #[serde(skip_serializing_if = "is_zero")]
    pub error: String,
}

/// One status text for all slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Empty, `[OK] ...` or `[ERROR] ...`.
    pub status: String,
}

/// Sentinels and what they say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SentinelSection {
    /// The stored record.
    pub model: model::Sentinel,
    /// By sentinel address.
    pub stats: BTreeMap<String, SentinelStats>,
    /// Group id, in decimal, to the master address that the sentinels agree on.
    pub masters: BTreeMap<String, String>,
}

/// The last poll of a sentinel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SentinelStats {
    /// INFO, all as text.
    #[serde(skip_serializing_if = "is_zero")]
    pub stats: BTreeMap<String, String>,
    /// By monitored name.
    #[serde(skip_serializing_if = "is_zero")]
    pub sentinel: BTreeMap<String, SentinelMonitored>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RemoteError>,
    /// Seconds since 1970.
    pub unixtime: i64,
    /// It did not answer in time.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: bool,
    /// How long it has not answered; only while it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// Its last good answer; only while it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Box<SentinelStats>>,
}

/// The fields of `SENTINEL MASTER` or of one replica, as text.
pub type MasterFields = BTreeMap<String, String>;

/// A monitored group: the fields of `SENTINEL MASTERS` and `SENTINEL SLAVES`, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SentinelMonitored {
    /// The master.
    pub master: MasterFields,
    /// Its replicas.
    pub slaves: Vec<MasterFields>,
}

/// One of `GET /topom/slots/ranges`: neighbours with the same group and action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlotRange {
    /// The first slot.
    pub begin: u16,
    /// The last slot.
    pub end: u16,
    /// 0 means offline.
    pub group_id: u32,
    /// The state of the migration; empty without one.
    #[serde(skip_serializing_if = "is_zero")]
    pub state: model::ActionState,
    /// The group that takes the slots over; 0 without a migration.
    #[serde(skip_serializing_if = "is_zero")]
    pub target_id: u32,
}
