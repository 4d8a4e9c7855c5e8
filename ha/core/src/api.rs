//! Bodies of the HTTP APIs, as Codis 3.2 sends and reads them.

mod dashboard;
mod digest;
mod proxy;

pub use dashboard::{
    GroupSection, MasterFields, Overview, Progress, ProxyReport, ProxySection, SentinelMonitored,
    SentinelSection, SentinelStats, ServerStats, SlotActionSection, SlotProgress, SlotRange, Stats,
};
pub use digest::slots_digest;
pub use proxy::{
    Backend, CommandStats, Ops, OpsRedis, ProxyOverview, ProxySentinels, ProxyStats, Runtime,
    RuntimeGc, RuntimeGeneral, RuntimeHeap, Rusage, RusageRaw, Sessions, Slot,
};

use serde::{Deserialize, Serialize};

/// HTTP status of an application error.
pub const STATUS_ERROR: u16 = 800;
/// An older form of [`STATUS_ERROR`]; clients treat it alike.
pub const STATUS_ERROR_LEGACY: u16 = 1500;

/// The body of an application error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RemoteError {
    /// The text for people.
    #[serde(rename = "Cause", alias = "cause")]
    pub cause: String,
    /// Always `null` from us; the original puts call frames here.
    #[serde(rename = "Stack", alias = "stack")]
    pub stack: Option<serde_json::Value>,
}

impl RemoteError {
    /// An error that says `cause`.
    pub fn new(cause: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            stack: None,
        }
    }
}
