//! The record of every change: when, from where, what, before, after, epoch, how long, outcome.
//!
//! Three kinds of entries tell the whole story. A *change* is written where records are stored, the
//! moment that the store has taken them or has not, so that a crash hides none. A *call* is written
//! when somebody's request ends, with what it was answered; it also tells of requests that changed
//! nothing, because a rule or the secret stood against them. An *order* is written when a server,
//! a sentinel or a proxy has answered what it was told to do, or has not (`order`). All carry the
//! same origin and words, by which a call, its changes and its orders are found together.
//!
//! The newest entries are kept in memory for the API; all go to a file, if there is one, through a
//! thread of its own ([`file`]): a disk that hangs holds up no change. Memory is bounded by count
//! and by bytes, the queue of the file by count; what does not fit is counted and told.

mod entry;
mod file;
mod order;
mod records;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use codis_runtime::host;
use codis_runtime::metrics::Metrics;
use prometheus_client::metrics::counter::Counter;

use crate::state::Audit;
pub use entry::{Changed, Entry, Kind, Ordered, Origin, Outcome};
pub use order::Fault;

/// Entries that are kept in memory.
pub const RECENT_MAX: usize = 1000;
/// Bytes of entries that are kept in memory, by their length in the file.
const RECENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Records of one entry that go to the log of the daemon one by one.
const LOGGED_MAX: usize = 8;

/// The audit log. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct AuditLog {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    recent: Mutex<Recent>,
    /// Requests under way, with the changes that were recorded for each.
    calls: Mutex<BTreeMap<(Origin, String), usize>>,
    repeats: Mutex<order::Repeats>,
    file: Option<file::Writer>,
    entries: Counter,
    lost: Counter,
}

#[derive(Debug, Default)]
struct Recent {
    entries: VecDeque<(usize, Arc<Entry>)>,
    bytes: usize,
}

impl AuditLog {
    /// An audit log that also writes to the file at `path`, unless that is empty.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn open(path: &str, bytes_max: u64) -> std::io::Result<Self> {
        let lost = Counter::default();
        let file = match path {
            "" => None,
            path => Some(file::Writer::open(
                Path::new(path),
                bytes_max,
                lost.clone(),
            )?),
        };
        let inner = Inner {
            file,
            lost,
            ..Inner::default()
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Shows the counters of this log in `metrics`.
    pub fn register(&self, metrics: &Metrics) {
        let (entries, lost) = (self.inner.entries.clone(), self.inner.lost.clone());
        metrics.register(|registry| {
            registry.register("audit_entries", "Entries of the audit log", entries);
            let help = "Entries that the file of the audit log did not get";
            registry.register("audit_entries_lost", help, lost);
        });
    }

    /// Writes an entry.
    pub fn record(&self, entry: Entry) {
        log(&entry);
        self.inner.entries.inc();
        let line = serde_json::to_string(&entry).unwrap_or_default();
        let len = line.len();
        if let Some(file) = &self.inner.file {
            file.write(line);
        }
        held(&self.inner.recent).push(len, Arc::new(entry));
    }

    /// The newest `n` entries, the oldest of them first.
    pub fn recent(&self, n: usize) -> Vec<Arc<Entry>> {
        let recent = held(&self.inner.recent);
        let skipped = recent.entries.len().saturating_sub(n);
        let newest = recent.entries.iter().skip(skipped);
        newest.map(|(_, entry)| entry.clone()).collect()
    }

    /// Writes that `records` were changed, or were not for `failure`.
    pub fn changed(
        &self,
        audit: &Audit,
        records: Vec<Changed>,
        took: Duration,
        failure: Option<&str>,
    ) {
        let key = (audit.who.clone(), audit.what.clone());
        if let Some(count) = held(&self.inner.calls).get_mut(&key) {
            *count += 1;
        }
        self.record(Entry {
            kind: Kind::Change,
            records,
            ..ended(
                audit,
                took,
                failure.map_or(Outcome::Done, |cause| Outcome::Failed(cause.to_owned())),
            )
        });
    }

    /// Follows a request from here to [`Call::end`].
    pub fn begin(&self, audit: Audit) -> Call {
        let key = (audit.who.clone(), audit.what.clone());
        held(&self.inner.calls).insert(key, 0);
        Call {
            log: self.clone(),
            audit,
            begun: Instant::now(),
            ended: false,
        }
    }

    /// Waits, for a bounded time, until the file has everything.
    pub fn flush(&self) {
        if let Some(file) = &self.inner.file {
            file.flush();
        }
    }
}

impl Recent {
    fn push(&mut self, len: usize, entry: Arc<Entry>) {
        self.bytes += len;
        self.entries.push_back((len, entry));
        while self.entries.len() > RECENT_MAX
            || (self.bytes > RECENT_BYTES_MAX && self.entries.len() > 1)
        {
            let Some((len, _)) = self.entries.pop_front() else {
                return;
            };
            self.bytes -= len;
        }
    }
}

/// A request under way. One that is dropped without an end was given up by its caller: what it
/// began may still go on, and is recorded when it does.
#[derive(Debug)]
pub struct Call {
    log: AuditLog,
    audit: Audit,
    begun: Instant,
    ended: bool,
}

impl Call {
    /// Writes how the request ended: well, or for `cause` not. One that was answered an error
    /// before anything was stored was refused; after that, it failed.
    pub fn end(mut self, cause: Option<String>) {
        let changes = self.taken();
        self.write(match cause {
            None => Outcome::Done,
            Some(cause) if changes == 0 => Outcome::Refused(cause),
            Some(cause) => Outcome::Failed(cause),
        });
    }

    /// Forgets the request: there was nothing to be called.
    pub fn forget(mut self) {
        self.ended = true;
        self.taken();
    }

    fn write(&mut self, outcome: Outcome) {
        self.ended = true;
        let entry = ended(&self.audit, self.begun.elapsed(), outcome);
        self.log.record(entry);
    }

    /// How many changes were recorded for it; from here on none are counted.
    fn taken(&self) -> usize {
        let key = (self.audit.who.clone(), self.audit.what.clone());
        held(&self.log.inner.calls).remove(&key).unwrap_or_default()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            self.taken();
            let text = "the caller went away before the answer".to_owned();
            self.write(Outcome::Failed(text));
        }
    }
}

/// An entry without records.
fn ended(audit: &Audit, took: Duration, outcome: Outcome) -> Entry {
    Entry {
        at: host::now_rfc3339(),
        kind: Kind::Call,
        from: audit.who.clone(),
        what: audit.what.clone(),
        ordered: None,
        records: Vec::new(),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        outcome,
    }
}

/// The entry in the log of the daemon.
fn log(entry: &Entry) {
    let (peer, origin) = (
        entry.from.peer.as_str(),
        entry.from.forwarded.as_deref().unwrap_or_default(),
    );
    let (what, took_ms) = (entry.what.as_str(), entry.took_ms);
    for changed in entry.records.iter().take(LOGGED_MAX) {
        let (before, after) = (changed.before.to_string(), changed.after.to_string());
        let (record, epoch) = (changed.record.as_str(), changed.epoch);
        let outcome = entry.outcome.name();
        tracing::info!(
            peer, origin, what, record, epoch, before, after, took_ms, outcome, "changed"
        );
    }
    let more = entry.records.len().saturating_sub(LOGGED_MAX);
    if more > 0 {
        tracing::info!(peer, origin, what, more, took_ms, "changed more records");
    }
    if entry.kind == Kind::Change {
        return;
    }
    let (to, order) = match &entry.ordered {
        Some(Ordered { to, order }) => (Some(to.as_str()), Some(order.as_str())),
        None => (None, None),
    };
    match &entry.outcome {
        Outcome::Done => tracing::info!(peer, origin, what, to, order, took_ms, "done"),
        Outcome::Refused(cause) => {
            tracing::info!(peer, origin, what, to, order, took_ms, cause, "refused");
        }
        Outcome::Failed(cause) => {
            tracing::warn!(peer, origin, what, to, order, took_ms, cause, "failed");
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
