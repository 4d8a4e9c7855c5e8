//! Figures for Prometheus, on a port of their own (`sentinel metrics-port`).
//!
//! A scrape asks the event loop for its [`Figures`] and waits a bounded time; the text is made
//! outside of the loop. Those who know the redis_exporter find its names (`exporter`); what only
//! this sentinel can tell starts with `codis_sentinel_` (`own`).

use std::collections::BTreeMap;
use std::time::Duration;

mod exporter;
mod families;
mod own;
pub mod serve;

/// What the event loop knows at the moment of a scrape.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// The monitored masters.
    pub masters: Vec<MasterFigures>,
    /// In TILT.
    pub tilt: bool,
    /// How often it went into TILT.
    pub tilts: u64,
    /// Scripts that run.
    pub scripts_running: usize,
    /// Scripts that run or wait.
    pub scripts_queued: usize,
    /// Failures to simulate, as INFO shows them.
    pub simulated: u8,
    /// The highest epoch seen.
    pub current_epoch: u64,
    /// Clients of the command port.
    pub clients: usize,
    /// Subscribers among them.
    pub subscribers: usize,
    /// Bytes of events that subscribers have not read.
    pub unread_bytes: usize,
    /// Requests.
    pub commands: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections refused for the limit.
    pub rejected: u64,
    /// Subscribers cut off for what they left unread.
    pub cut_off: u64,
    /// Events told, by name.
    pub events: BTreeMap<&'static str, u64>,
    /// Writes of the state that failed.
    pub persist_failures: u64,
    /// The last write of the state failed, so nothing is voted for.
    pub disk_refuses: bool,
}

/// What is known of one master.
#[derive(Clone, Debug, Default)]
pub struct MasterFigures {
    /// Its name.
    pub name: String,
    /// Its address, as `ip:port`.
    pub addr: String,
    /// S_DOWN.
    pub s_down: bool,
    /// O_DOWN.
    pub o_down: bool,
    /// A failover is under way.
    pub failing_over: bool,
    /// Replicas, and those of them that are not S_DOWN.
    pub replicas: [usize; 2],
    /// Sentinels with this one, and those of them that are not S_DOWN.
    pub sentinels: [usize; 2],
    /// Whether a failover could be agreed on, and the text of CKQUORUM.
    pub quorum_ok: (bool, String),
    /// Settings.
    pub quorum: u32,
    /// Settings.
    pub parallel_syncs: u32,
    /// Settings.
    pub failover_timeout: Duration,
    /// Settings.
    pub down_after: Duration,
    /// Age of the last acceptable reply to a PING.
    pub last_ok_ping: Duration,
    /// The epoch of its address.
    pub config_epoch: u64,
    /// The highest epoch at which this sentinel voted about it.
    pub fence_epoch: u64,
    /// The last failover that moved it.
    pub last_failover: Option<LastFailover>,
}

/// A failover that moved a master.
#[derive(Clone, Debug, Default)]
pub struct LastFailover {
    /// When it began, after 1970.
    pub start: Duration,
    /// When each stage was reached for the first time, after the beginning.
    pub stages: Vec<(String, Duration)>,
}
