//! The slow log over HTTP.

use serde::Serialize;

use super::Control;
use crate::data::slow::{self, Entry};

/// An entry as the admin API shows it. Bytes that are no UTF-8 are replaced.
#[derive(Debug, Serialize)]
pub struct Shown {
    id: u64,
    /// Seconds since 1970.
    time: u64,
    usecs: u64,
    args: Vec<String>,
    client: String,
    name: String,
    /// Empty when the proxy answered.
    backend: String,
}

impl From<&Entry> for Shown {
    fn from(entry: &Entry) -> Self {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        Self {
            id: entry.id,
            time: entry.time,
            usecs: entry.micros,
            args: entry.args.iter().map(text).collect(),
            client: entry.client.clone(),
            name: text(&entry.name),
            backend: entry.backend.clone(),
        }
    }
}

impl Control {
    /// The latest slow requests, newest first.
    pub fn slow_log(&self, max: usize) -> Vec<Shown> {
        let entries = slow::latest(self.shared.slow(), max);
        entries.iter().map(|entry| Shown::from(&**entry)).collect()
    }

    /// Forgets the slow requests.
    pub fn reset_slow_log(&self) {
        slow::reset(self.shared.slow());
    }
}
