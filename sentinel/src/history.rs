//! The last failovers, kept over restarts in a file of their own: one JSON object a line.
//!
//! The event loop holds the records and never waits for the file; a task appends to it and, when it
//! has grown too long, writes it anew. Nothing depends on it: a write that fails is logged, and its
//! record is known until the process ends. Lines that cannot be read, as the last one after a
//! crash, are passed over with a warning.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use codis_core::failover::Record;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::conf::rewrite::Form;
use crate::log::Log;
use crate::state::Store;

/// The file in a state directory.
const STATE_DIR_FILE: &str = "sentinel-history.jsonl";
/// What is added to the name of an operator's config file.
const SUFFIX: &str = ".history";
/// Records that are kept of one name, and of all.
const NAME_MAX: usize = 32;
const ALL_MAX: usize = 256;
/// Lines of the file beyond which it is written anew.
const LINES_MAX: usize = 2 * ALL_MAX;
/// Records that wait for the disk: as many masters may die at once.
const JOBS_MAX: usize = ALL_MAX;
/// How long the end of the process waits for the last write.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// Permissions of a new file, before the umask.
const MODE: u32 = 0o644;

/// The last failovers.
#[derive(Debug)]
pub struct History {
    /// Oldest first.
    records: VecDeque<Record>,
    /// Lines of the file.
    lines: usize,
    /// The file lacks a record or ends in the middle of a line.
    torn: bool,
    jobs: mpsc::Sender<Job>,
    task: JoinHandle<()>,
    log: Log,
}

#[derive(Debug)]
enum Job {
    Append(Box<Record>),
    Rewrite(Vec<Record>),
}

/// The file that belongs to a state file.
pub fn path_beside(store: &Store) -> PathBuf {
    match store.form {
        Form::State => store.path.with_file_name(STATE_DIR_FILE),
        Form::Operator => {
            let mut path = store.path.clone().into_os_string();
            path.push(SUFFIX);
            path.into()
        }
    }
}

impl History {
    /// Reads the file, if there is one, and starts the task that writes it. Within a runtime.
    pub fn start(path: PathBuf, log: &Log) -> Self {
        let (read, lines, torn) = read(&path, log);
        let (jobs, receiver) = mpsc::channel(JOBS_MAX);
        let task = tokio::spawn(write_all(path, receiver, log.clone()));
        let mut history = Self {
            records: VecDeque::new(),
            lines,
            torn,
            jobs,
            task,
            log: log.clone(),
        };
        for record in read {
            insert(&mut history.records, record);
        }
        history
    }

    /// Keeps a record.
    pub fn keep(&mut self, record: Record) {
        insert(&mut self.records, record.clone());
        let whole = self.torn || self.lines >= LINES_MAX;
        let job = if whole {
            Job::Rewrite(self.records.iter().cloned().collect())
        } else {
            Job::Append(Box::new(record))
        };
        let sent = self.jobs.try_send(job).is_ok();
        if !sent && !self.torn {
            let text = "The disk is too slow for the history of failovers: it is written later";
            self.log.warning(text);
        }
        self.torn = !sent;
        self.lines = if whole {
            self.records.len()
        } else {
            self.lines + 1
        };
    }

    /// The records, newest first; of one name or of all.
    pub fn newest<'a>(&'a self, name: Option<&'a str>) -> impl Iterator<Item = &'a Record> {
        let wanted = move |it: &&Record| name.is_none_or(|name| it.name == name);
        self.records.iter().rev().filter(wanted)
    }

    /// The last failover of a name that made another server master, as far as it is remembered.
    pub fn last_switch(&self, name: &str) -> Option<&Record> {
        let switched = |it: &&Record| it.outcome == "promoted" || it.outcome.starts_with("end");
        let mut named = self.records.iter().rev().filter(|it| it.name == name);
        named.find(switched)
    }

    /// Waits a moment for what is still to be written.
    pub async fn close(self) {
        let written = async {
            if self.torn {
                // Without a task there is nobody to write it.
                let _ = self.jobs.send(Job::Rewrite(self.records.into())).await;
            }
            drop(self.jobs);
            self.task.await
        };
        // A disk that takes longer loses the last records.
        let _ = timeout(LAST_WRITE_TIMEOUT, written).await;
    }
}

/// Adds a record, in the place of the one that it continues, and drops the oldest beyond the
/// limits.
fn insert(records: &mut VecDeque<Record>, record: Record) {
    records.retain(|old| !old.is_continued_by(&record));
    let same = |it: &Record| it.name == record.name;
    if records.iter().filter(|it| same(it)).count() >= NAME_MAX
        && let Some(oldest) = records.iter().position(same)
    {
        records.remove(oldest);
    }
    if records.len() >= ALL_MAX {
        records.pop_front();
    }
    records.push_back(record);
}

/// The records of a file, its lines, and whether it is in disorder.
fn read(path: &Path, log: &Log) -> (Vec<Record>, usize, bool) {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (Vec::new(), 0, false),
        Err(error) => {
            let path = path.display();
            log.warning(&format!(
                "Cannot read the history of failovers in {path}: {error}"
            ));
            return (Vec::new(), 0, true);
        }
    };
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let lines = lines.into_iter().filter(|line| !line.is_empty());
    let read: Vec<_> = lines.map(serde_json::from_slice::<Record>).collect();
    let (count, whole) = (read.len(), bytes.last().is_none_or(|byte| *byte == b'\n'));
    let records: Vec<Record> = read.into_iter().filter_map(Result::ok).collect();
    let bad = count - records.len();
    if bad > 0 {
        let path = path.display();
        log.warning(&format!(
            "Ignored {bad} broken lines of the history of failovers in {path}"
        ));
    }
    (records, count, bad > 0 || !whole)
}

async fn write_all(path: PathBuf, mut jobs: mpsc::Receiver<Job>, log: Log) {
    let mut failed = false;
    let mut waiting = Vec::new();
    while jobs.recv_many(&mut waiting, JOBS_MAX).await > 0 {
        let (path, batch) = (path.clone(), std::mem::take(&mut waiting));
        let mut broken = failed;
        let write = move || {
            batch
                .iter()
                .try_for_each(|job| write(&path, job, &mut broken))
        };
        let written = tokio::task::spawn_blocking(write).await;
        let result = written.unwrap_or_else(|error| Err(io::Error::other(error)));
        if let (Err(error), false) = (&result, failed) {
            log.warning(&format!("Cannot write the history of failovers: {error}"));
        }
        failed = result.is_err();
    }
}

/// Writes one job; `broken` says that the one before it failed.
fn write(path: &Path, job: &Job, broken: &mut bool) -> io::Result<()> {
    match job {
        Job::Append(record) => {
            // What was written of a line before a failure stands on a line of its own.
            let start = if std::mem::take(broken) { "\n" } else { "" };
            let mut text = start.to_owned();
            text.push_str(&line(record)?);
            let mut options = OpenOptions::new();
            let mut file = options.append(true).create(true).mode(MODE).open(path)?;
            file.write_all(text.as_bytes())
        }
        Job::Rewrite(records) => {
            let text: io::Result<String> = records.iter().map(line).collect();
            let mut beside = path.as_os_str().to_owned();
            beside.push(".new");
            fs::write(&beside, text?)?;
            fs::rename(&beside, path)
        }
    }
}

fn line(record: &Record) -> io::Result<String> {
    Ok(serde_json::to_string(record)? + "\n")
}

#[cfg(test)]
mod tests;
