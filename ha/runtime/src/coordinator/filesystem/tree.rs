//! The files of a store. Every function blocks, and expects that its caller is inside
//! [`Tree::enter`].

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::error::{DIRECTORY, DIRECTORY_NOT_EMPTY, PARENT_IS_RECORD, RECORD, kind};
use super::oslock::OsLock;
use super::{Error, io_error, path, sync_dir};

/// No write takes that long, so an older staged file has no writer any more.
const STAGED_AGE_MAX: Duration = Duration::from_secs(3600);

/// The directories of one store.
#[derive(Debug)]
pub struct Tree {
    data: PathBuf,
    temp: PathBuf,
    locks: PathBuf,
    lock_file: PathBuf,
    written: AtomicU64,
}

impl Tree {
    pub fn open(root: &Path) -> Result<Self, Error> {
        let tree = Self {
            data: root.join("data"),
            temp: root.join("temp"),
            locks: root.join("locks"),
            lock_file: root.join("data.lck"),
            written: AtomicU64::new(0),
        };
        for dir in [&tree.data, &tree.temp, &tree.locks] {
            fs::create_dir_all(dir).map_err(io_error("make directory", dir))?;
        }
        tree.sweep();
        Ok(tree)
    }

    /// Removes what dead writers left in `temp`; failing to is no reason not to open the store.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.temp).into_iter().flatten().flatten() {
            let modified = entry.metadata().and_then(|found| found.modified());
            let age = modified.ok().and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > STAGED_AGE_MAX) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Keeps every other process out until the result is dropped.
    pub fn enter(&self, wait_max: Duration) -> Result<OsLock, Error> {
        OsLock::acquire(&self.lock_file, wait_max)
            .map_err(io_error("lock", &self.lock_file))?
            .ok_or_else(|| self.busy(wait_max))
    }

    pub fn busy(&self, waited: Duration) -> Error {
        let note = fs::read_to_string(&self.lock_file).unwrap_or_default();
        let holder = match note.split_whitespace().collect::<Vec<_>>().join(" ") {
            empty if empty.is_empty() => "another process".to_owned(),
            note => note,
        };
        Error::Busy {
            file: self.lock_file.clone(),
            waited,
            holder,
        }
    }

    pub fn lock_file(&self, path: &str) -> PathBuf {
        self.locks.join(format!("{}.lock", path::flat_name(path)))
    }

    fn file(&self, path: &str) -> PathBuf {
        self.data.join(path.trim_start_matches('/'))
    }

    pub fn exists(&self, path: &str) -> Result<bool, Error> {
        let file = self.file(path);
        match fs::symlink_metadata(&file) {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(io_error("look up", &file)(error)),
        }
    }

    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let file = self.file(path);
        match fs::read(&file) {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) if error.kind() == ErrorKind::IsADirectory => {
                Err(kind("read", path, DIRECTORY))
            }
            Err(error) => Err(io_error("read", &file)(error)),
        }
    }

    pub fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        let dir = self.file(path);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                // A file on the way down means that the directory itself is missing.
                return match self.exists(path)? {
                    true => Err(kind("list", path, RECORD)),
                    false => Ok(Vec::new()),
                };
            }
            Err(error) => return Err(io_error("list", &dir)(error)),
        };
        let mut children = Vec::new();
        for entry in entries {
            let name = entry.map_err(io_error("list", &dir))?.file_name();
            if let Some(name) = name.to_str() {
                children.push(format!("{path}/{name}"));
            }
        }
        children.sort();
        Ok(children)
    }

    /// The records of a directory; one whose parent is missing has none.
    pub fn read_dir(&self, path: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut records = Vec::new();
        for child in self.list(path)? {
            match self.read(&child) {
                Ok(Some(value)) => records.push((child, value)),
                // A directory holds no record of its own.
                Ok(None) | Err(Error::Kind { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(records)
    }

    /// Puts `value` in place in one step: a reader sees the old value or the new one.
    pub fn write(&self, operation: &'static str, path: &str, value: &[u8]) -> Result<(), Error> {
        let target = self.file(path);
        let parent = target.parent().unwrap_or(&self.data);
        self.make_parents(operation, path, parent)?;
        if target.is_dir() {
            return Err(kind(operation, path, DIRECTORY));
        }
        let staged = self.temp.join(self.temp_name());
        let written = write_synced(&staged, value)
            .map_err(io_error("write", &staged))
            .and_then(|()| fs::rename(&staged, &target).map_err(io_error("rename", &target)));
        if written.is_err() {
            let _ = fs::remove_file(&staged);
        }
        written?;
        sync_dir(parent)
    }

    /// Whether a record can lie at `path`: it is no directory, and no record is above it.
    pub fn check_put(&self, operation: &'static str, path: &str) -> Result<(), Error> {
        if self.file(path).is_dir() {
            return Err(kind(operation, path, DIRECTORY));
        }
        match path::ancestors(path).any(|above| self.file(above).is_file()) {
            true => Err(kind(operation, path, PARENT_IS_RECORD)),
            false => Ok(()),
        }
    }

    /// Whether `path` can be removed: it is no directory with something in it.
    pub fn check_remove(&self, operation: &'static str, path: &str) -> Result<(), Error> {
        let below = fs::read_dir(self.file(path)).map(|mut below| below.next().is_some());
        match below {
            Ok(true) => Err(kind(operation, path, DIRECTORY_NOT_EMPTY)),
            _ => Ok(()),
        }
    }

    /// Removes a record, or a directory that is empty.
    pub fn remove(&self, path: &str) -> Result<(), Error> {
        let target = self.file(path);
        let removed = match fs::symlink_metadata(&target) {
            Ok(found) if found.is_dir() => fs::remove_dir(&target),
            Ok(_) => fs::remove_file(&target),
            Err(error) => Err(error),
        };
        match removed {
            Ok(()) => sync_dir(target.parent().unwrap_or(&self.data)),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {
                Err(kind("delete", path, DIRECTORY_NOT_EMPTY))
            }
            Err(error) => Err(io_error("delete", &target)(error)),
        }
    }

    /// Makes the missing directories down to `parent`, each one durable in the one above it.
    fn make_parents(
        &self,
        operation: &'static str,
        path: &str,
        parent: &Path,
    ) -> Result<(), Error> {
        let in_store = parent.ancestors().take_while(|dir| *dir != self.data);
        let missing: Vec<&Path> = in_store.take_while(|dir| !dir.is_dir()).collect();
        for dir in missing.into_iter().rev() {
            match fs::create_dir(dir) {
                Ok(()) => sync_dir(dir.parent().unwrap_or(&self.data))?,
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::AlreadyExists | ErrorKind::NotADirectory
                    ) =>
                {
                    return Err(kind(operation, path, PARENT_IS_RECORD));
                }
                Err(error) => return Err(io_error("make directory", dir)(error)),
            }
        }
        Ok(())
    }

    fn temp_name(&self) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let count = self.written.fetch_add(1, Ordering::Relaxed);
        let (seconds, nanos, pid) = (now.as_secs(), now.subsec_nanos(), process::id());
        format!("{seconds}.{pid}-{nanos}-{count}")
    }
}

fn write_synced(staged: &Path, value: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(staged)?;
    file.write_all(value)?;
    file.sync_all()
}

/// A file where a directory was expected leaves nothing to be found below it.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
