//! The durable state: written whole, so that a crash leaves the old file or the new one.
//!
//! The event loop hands over snapshots and goes on; a task writes the newest on a thread that may
//! block, and reports which snapshot is on disk. A snapshot that was overtaken is never written:
//! the newer one contains it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use codis_sentinel_proto::ids::PersistId;
use tokio::sync::{mpsc, watch};

use crate::conf::merge::merge;
use crate::conf::rewrite::{Form, Line};
use crate::random;

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
}

impl Store {
    /// Puts the lines into the file, so that they are on disk when this returns.
    pub fn write(&self, lines: &[Line]) -> io::Result<()> {
        let present = match fs::read(&self.path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        replace(&self.path, merge(&present, lines, self.form).as_bytes())
    }

    /// Whether the file can be written; an error says why not.
    pub fn check(&self) -> io::Result<()> {
        OpenOptions::new()
            .append(true)
            .create(self.form == Form::State)
            .open(&self.path)
            .map(drop)
    }
}

/// Replaces a file by new content, durably.
///
/// # Errors
/// The system refuses; the file is as it was.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = parent.unwrap_or_else(|| Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = dir.join(format!("{name}.{}", random::hex(3)?));
    let mode = fs::metadata(path).ok().map(|m| m.permissions().mode());
    let written = write_new(&temporary, content, mode).and_then(|()| {
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
