//! What a process writes into the lock files that it holds, for people and for those who wait.

use std::process;
use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Whoever is inside the store. Originals write the first two members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Visitor {
    pub now: String,
    pub pid: u32,
    /// The host since it was started.
    pub boot: String,
    /// Where what it stages lies; empty for one that only reads.
    pub desk: String,
    /// Tells this entry from every other.
    pub entry: String,
}

impl Visitor {
    /// This process, in the entry of that name.
    pub fn new(desk: &str, entry: String) -> Self {
        Self {
            now: crate::host::now_rfc3339(),
            pid: process::id(),
            boot: BOOT.clone(),
            desk: desk.to_owned(),
            entry,
        }
    }

    /// Who wrote the note, if it is one of ours and on this host: of another host neither the
    /// process nor what it wrote a moment ago can be seen.
    pub fn of_this_host(note: &[u8]) -> Option<Self> {
        let visitor: Self = serde_json::from_slice(note).ok()?;
        let is_here = !visitor.entry.is_empty() && !BOOT.is_empty() && visitor.boot == *BOOT;
        is_here.then_some(visitor)
    }

    pub fn text(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }
}

/// What Linux calls this run of this host; empty when it does not say.
static BOOT: LazyLock<String> = LazyLock::new(|| {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
});

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

/// A note on one line of an error text, with the next step when the process that wrote it sleeps.
pub fn shown(note: &[u8]) -> String {
    let visitor: Visitor = serde_json::from_slice(note).unwrap_or_default();
    let pid = visitor.pid;
    if pid == 0 {
        let text = String::from_utf8_lossy(note);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        return if line.is_empty() {
            "another process".to_owned()
        } else {
            line
        };
    }
    let since = visitor.now;
    match is_stopped(pid) {
        true => {
            format!("process {pid} since {since} (on this host it is stopped: kill -CONT {pid})")
        }
        false => format!("process {pid} since {since}"),
    }
}

/// Whether a signal stopped the process, as Linux tells.
pub fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|state| state.starts_with(['T', 't']))
}
