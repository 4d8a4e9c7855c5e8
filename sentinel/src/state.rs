//! The durable state: written whole, so that a crash leaves the old file or the new one.
//!
//! The event loop hands over snapshots and goes on; a task writes the newest on a thread that may
//! block, and reports which snapshot is on disk. A snapshot that was overtaken is never written:
//! the newer one contains it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use codis_sentinel_proto::ids::PersistId;
use tokio::sync::{mpsc, watch};

use crate::conf::merge::merge;
use crate::conf::rewrite::{Form, Line};
use crate::random;

pub mod lock;
pub mod seal;

use lock::{Lock, Refused};

/// The file of a state directory.
pub const STATE_FILE: &str = "sentinel-state.conf";

/// Permissions of a new file, before the umask.
const MODE_NEW: u32 = 0o644;

/// Where the state is kept.
#[derive(Clone, Debug)]
pub struct Store {
    /// The file.
    pub path: PathBuf,
    /// Whose file it is.
    pub form: Form,
    /// Keep other sentinels away from it. There are two while the file is replaced.
    locks: Arc<Mutex<Vec<Lock>>>,
}

impl Store {
    /// Opens the operator's file, which is rewritten.
    ///
    /// # Errors
    /// It does not exist, or is in use.
    pub fn of_operator(path: &Path) -> Result<Self, Refused> {
        Self::new(path.to_owned(), Form::Operator, path)
    }

    /// Opens a state directory; it is made when it does not exist.
    ///
    /// # Errors
    /// It cannot be made, or is in use.
    pub fn in_dir(dir: &Path) -> Result<Self, Refused> {
        fs::create_dir_all(dir)?;
        Self::new(dir.join(STATE_FILE), Form::State, dir)
    }

    fn new(path: PathBuf, form: Form, locked: &Path) -> Result<Self, Refused> {
        let locks = Arc::new(Mutex::new(vec![Lock::take(locked)?]));
        Ok(Self { path, form, locks })
    }

    /// Puts the lines into the file, so that they are on disk when this returns.
    pub fn write(&self, lines: &[Line]) -> io::Result<()> {
        match self.form {
            Form::State => {
                let text = seal::seal(&merge("", lines, Form::State));
                replace_with(&self.path, text.as_bytes(), |_| keep_previous(&self.path))
            }
            Form::Operator => {
                let text = merge(&present(&self.path)?, lines, Form::Operator);
                let locks = || self.locks.lock().unwrap_or_else(PoisonError::into_inner);
                let written = replace_with(&self.path, text.as_bytes(), |new| {
                    locks().push(Lock::of_new(new)?);
                    Ok(())
                });
                lock::keep_present(&mut locks(), &self.path);
                written
            }
        }
    }

    /// Whether the file can be written; an error says why not.
    pub fn check(&self) -> io::Result<()> {
        match self.form {
            Form::Operator => OpenOptions::new().append(true).open(&self.path).map(drop),
            Form::State => {
                let probe = self.path.with_extension("probe");
                fs::write(&probe, "")?;
                fs::remove_file(probe)
            }
        }
    }
}

/// The text of the operator's file; empty when it was deleted.
fn present(path: &Path) -> io::Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// Gives a whole state file a second name, under which it stays when the first goes to another.
fn keep_previous(path: &Path) -> io::Result<()> {
    let is_whole = present(path).is_ok_and(|text| seal::open(&text).is_some());
    if !is_whole {
        return Ok(());
    }
    let previous = seal::previous_path(path);
    let link = previous.with_extension("link");
    // It is left over from a crash, or does not exist.
    let _ = fs::remove_file(&link);
    fs::hard_link(path, &link)?;
    fs::rename(link, previous)
}

/// Replaces a file by new content, durably.
///
/// # Errors
/// The system refuses; the file is as it was.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_with(path, content, |_| Ok(()))
}

/// The same; the new file is prepared before it takes the name.
fn replace_with(
    path: &Path,
    content: &[u8],
    prepare: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = parent.unwrap_or_else(|| Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = dir.join(format!("{name}.{}", random::hex(3)?));
    let mode = fs::metadata(path).ok().map(|m| m.permissions().mode());
    let written = write_new(&temporary, content, mode).and_then(|()| {
        prepare(&temporary)?;
        fs::rename(&temporary, path)?;
        File::open(dir)?.sync_all()
    });
    if written.is_err() {
        // The file may not exist; the first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(path: &Path, content: &[u8], mode: Option<u32>) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE_NEW)
        .open(path)?;
    if let Some(mode) = mode {
        file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
    }
    file.write_all(content)?;
    file.sync_all()
}

/// The result of a write.
#[derive(Debug)]
pub struct Persisted {
    /// The snapshot.
    pub id: PersistId,
    /// Why it is not on disk, if it is not.
    pub result: io::Result<()>,
}

/// Hands snapshots to the writing task.
#[derive(Debug)]
pub struct Writer {
    newest: watch::Sender<Option<(PersistId, Vec<Line>)>>,
}

impl Writer {
    /// Starts the writing task; results come back on the receiver.
    pub fn start(store: Store) -> (Self, mpsc::Receiver<Persisted>) {
        let (newest, jobs) = watch::channel(None);
        // One result at a time: the task waits until it is taken.
        let (results, receiver) = mpsc::channel(1);
        tokio::spawn(write_newest(store, jobs, results));
        (Self { newest }, receiver)
    }

    /// Asks for a snapshot to be written; it replaces one that still waits.
    pub fn write(&self, id: PersistId, lines: Vec<Line>) {
        self.newest.send_replace(Some((id, lines)));
    }
}

async fn write_newest(
    store: Store,
    mut jobs: watch::Receiver<Option<(PersistId, Vec<Line>)>>,
    results: mpsc::Sender<Persisted>,
) {
    while jobs.changed().await.is_ok() {
        let Some((id, lines)) = jobs.borrow_and_update().clone() else {
            continue;
        };
        let store = store.clone();
        let written = tokio::task::spawn_blocking(move || store.write(&lines)).await;
        let result = written.unwrap_or_else(|error| Err(io::Error::other(error)));
        if results.send(Persisted { id, result }).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.conf");
        fs::write(&path, "port 1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        replace(&path, b"port 2\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "port 2\n");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing").join("s.conf");
        assert!(replace(&path, b"x").is_err());
        assert!(!path.exists());
    }
}
