//! What a process writes into the lock files that it holds, for people and for those who wait.

use std::process;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Whoever is inside the store. Originals write the first two members.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Visitor {
    now: String,
    pid: u32,
}

/// Whoever holds the lock of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Beat {
    pub now: String,
    pub pid: u32,
    /// Tells this holding of the lock from every other.
    pub holder: String,
    /// Counts renewals.
    pub beat: u64,
    /// How long the lock outlives the last renewal.
    pub lease_ms: u64,
}

impl Beat {
    pub fn first(holder: String, lease: Duration) -> Self {
        Self {
            now: crate::host::now_rfc3339(),
            pid: process::id(),
            holder,
            beat: 1,
            lease_ms: u64::try_from(lease.as_millis()).unwrap_or(u64::MAX),
        }
    }

    pub fn next(&self) -> Self {
        Self {
            now: crate::host::now_rfc3339(),
            beat: self.beat + 1,
            ..self.clone()
        }
    }

    /// `None` for a note of somebody else, or one that was not finished.
    pub fn parse(note: &[u8]) -> Option<Self> {
        let beat: Self = serde_json::from_slice(note).ok()?;
        (beat.lease_ms > 0).then_some(beat)
    }

    pub fn text(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }
}

/// The note of this process in `data.lck`, in the words of the original.
pub fn of_visitor() -> Vec<u8> {
    let (now, pid) = (crate::host::now_rfc3339(), process::id());
    format!("{{\n    \"now\": \"{now}\",\n    \"pid\": {pid}\n}}").into_bytes()
}

/// A note on one line of an error text, with the next step when the process that wrote it sleeps.
pub fn shown(note: &[u8]) -> String {
    let text = String::from_utf8_lossy(note);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let pid = serde_json::from_slice::<Visitor>(note).map_or(0, |visitor| visitor.pid);
    match line {
        empty if empty.is_empty() => "another process".to_owned(),
        line if is_stopped(pid) => {
            format!("{line} (a process {pid} of this host is stopped: kill -CONT {pid})")
        }
        line => line,
    }
}

/// Whether a signal stopped the process, as Linux tells.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|state| state.starts_with(['T', 't']))
}
