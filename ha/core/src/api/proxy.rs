//! Bodies of the proxy's admin API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::epoch::Epoch;
use crate::model;

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One slot as a proxy routes it: an element of `fillslots` and of `GET /proxy/slots`.
///
/// The two epochs are an extension; the original ignores them, and a body without them comes from
/// an original dashboard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Slot {
    /// 0..=1023.
    pub id: u16,
    /// Requests wait.
    #[serde(skip_serializing_if = "is_zero")]
    pub locked: bool,
    /// The owner, or the target of a migration; empty means offline.
    #[serde(skip_serializing_if = "is_zero")]
    pub backend_addr: String,
    /// The owner's group.
    #[serde(skip_serializing_if = "is_zero")]
    pub backend_addr_group_id: u32,
    /// The config epoch of `backend_addr`.
    #[serde(skip_serializing_if = "is_zero")]
    pub backend_addr_epoch: Epoch,
    /// The source of a migration; not empty while migrating.
    #[serde(skip_serializing_if = "is_zero")]
    pub migrate_from: String,
    /// The source's group.
    #[serde(skip_serializing_if = "is_zero")]
    pub migrate_from_group_id: u32,
    /// The config epoch of `migrate_from`.
    #[serde(skip_serializing_if = "is_zero")]
    pub migrate_from_epoch: Epoch,
    /// 0 sync, 1 semi-async.
    #[serde(skip_serializing_if = "is_zero")]
    pub forward_method: u8,
    /// Read candidates by priority.
    #[serde(skip_serializing_if = "is_zero")]
    pub replica_groups: Vec<Vec<String>>,
}

/// `GET /proxy/stats`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyStats {
    /// Started by a dashboard.
    pub online: bool,
    /// Shut down.
    pub closed: bool,
    /// What it learned from sentinels.
    pub sentinels: ProxySentinels,
    /// Request counters.
    pub ops: Ops,
    /// Client sessions.
    pub sessions: Sessions,
    /// Resource use.
    pub rusage: Rusage,
    /// Backend settings.
    pub backend: Backend,
    /// Ours: after its process was stopped it holds its clients until a dashboard has spoken.
    #[serde(skip_serializing_if = "is_zero")]
    pub stall_fence: bool,
    /// Ours: how often one of its workers was stopped.
    #[serde(skip_serializing_if = "is_zero")]
    pub stalls: u64,
    /// The language's runtime; only with flag 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
}

/// The runtime in the shape of the original's. There is no garbage collector and there are no
/// counts of allocations here: those members are always 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Runtime {
    /// Memory as a whole.
    pub general: RuntimeGeneral,
    /// Memory of the heap.
    pub heap: RuntimeHeap,
    /// Garbage collection.
    pub gc: RuntimeGc,
    /// Worker threads.
    pub num_procs: u64,
    /// Sessions and tasks of all workers.
    pub num_goroutines: u64,
    /// Always 0.
    pub num_cgo_call: u64,
    /// Always 0: no buffer is hidden from a collector.
    pub mem_offheap: u64,
}

/// Memory as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuntimeGeneral {
    /// Bytes in RAM that no file stands behind.
    pub alloc: u64,
    /// Bytes reserved for it.
    pub sys: u64,
    /// Always 0.
    pub lookups: u64,
    /// Always 0: not counted.
    pub mallocs: u64,
    /// Always 0: not counted.
    pub frees: u64,
}

/// Memory of the heap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuntimeHeap {
    /// As [`RuntimeGeneral::alloc`].
    pub alloc: u64,
    /// As [`RuntimeGeneral::sys`].
    pub sys: u64,
    /// Reserved and not in RAM.
    pub idle: u64,
    /// In RAM.
    pub inuse: u64,
    /// Always 0: not counted.
    pub objects: u64,
}

/// Garbage collection, which there is none of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuntimeGc {
    /// Always 0.
    pub num: u64,
    /// Always 0.
    pub cpu_fraction: f64,
    /// Always 0.
    pub total_pausems: u64,
}

/// The sentinel part of a proxy's stats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxySentinels {
    /// The watched sentinels.
    #[serde(skip_serializing_if = "is_zero")]
    pub servers: Vec<String>,
    /// Group id, in decimal, to master address.
    #[serde(skip_serializing_if = "is_zero")]
    pub masters: BTreeMap<String, String>,
    /// Extension: group id, in decimal, to the config epoch held.
    #[serde(skip_serializing_if = "is_zero")]
    pub epochs: BTreeMap<String, Epoch>,
    /// At least one slot was last filled by a sentinel and not by the dashboard.
    #[serde(skip_serializing_if = "is_zero")]
    pub switched: bool,
}

/// Request counters since start or reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ops {
    /// Decoded requests.
    pub total: u64,
    /// Requests and sessions that the proxy failed.
    pub fails: u64,
    /// Error replies.
    pub redis: OpsRedis,
    /// Requests in the last second.
    pub qps: u64,
    /// Per command, sorted by name; only with flag 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub cmd: Vec<CommandStats>,
}

/// Error replies delivered to clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpsRedis {
    /// Made by the proxy or by a backend.
    pub errors: u64,
}

/// Counters of one command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CommandStats {
    /// Upper-case name.
    pub opstr: String,
    /// Requests.
    pub calls: u64,
    /// Microseconds from decode to flush, summed.
    pub usecs: u64,
    /// `usecs / calls`.
    pub usecs_percall: u64,
    /// Requests that the proxy failed.
    pub fails: u64,
    /// Error replies.
    pub redis_errtype: u64,
}

/// Client sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sessions {
    /// Accepted since start or reset.
    pub total: u64,
    /// Open now.
    pub alive: u64,
}

/// Resource use of the process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rusage {
    /// When it was sampled; free text.
    pub now: String,
    /// Cores in use over the last second.
    pub cpu: f64,
    /// Resident bytes.
    pub mem: u64,
    /// The raw figures.
    pub raw: RusageRaw,
}

/// Raw resource figures; times in nanoseconds, sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are those of getrusage(2)")]
pub struct RusageRaw {
    pub utime: u64,
    pub stime: u64,
    pub cutime: u64,
    pub cstime: u64,
    pub num_threads: u64,
    pub vm_size: u64,
    pub vm_rss: u64,
}

/// Backend settings shown in stats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backend {
    /// Replicas are never read.
    pub primary_only: bool,
}

/// `GET /proxy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyOverview {
    /// Version text.
    pub version: String,
    /// How it was built.
    pub compile: String,
    /// Settings by their name in the file, without passwords.
    pub config: serde_json::Value,
    /// Who it is.
    pub model: model::Proxy,
    /// All figures.
    pub stats: ProxyStats,
    /// All slots; left out of reports.
    #[serde(skip_serializing_if = "is_zero")]
    pub slots: Vec<Slot>,
}
