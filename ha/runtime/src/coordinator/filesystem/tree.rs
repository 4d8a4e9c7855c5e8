//! The files of a store: where they are and what they hold. Every function blocks; who is not
//! inside the store may see a part of a commit.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::super::error::{DIRECTORY, DIRECTORY_NOT_EMPTY, PARENT_IS_RECORD, RECORD, kind};
use super::desk::Desk;
use super::oslock::OsLock;
use super::{Error, commit, io_error, note, path};

/// Files that are brought to the disk at the same time.
const SYNCS_MAX: usize = 8;

/// The directories of one store.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    data: PathBuf,
    locks: PathBuf,
    /// `data.lck`: whoever is inside.
    pub lock_file: PathBuf,
    /// `queue.lck`: the next one of ours.
    pub queue_file: PathBuf,
    /// `takeover.lck`: who takes the store from a process that does not move.
    pub takeover_file: PathBuf,
    /// Where this process stages.
    pub desk: Desk,
    /// How long locks outlive a process that hangs.
    pub lease: Duration,
}

/// What tells one value of a record from another without reading it: each is a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    inode: u64,
    modified: (i64, i64),
    len: u64,
}

/// What a path is, to be compared with what it is later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    Missing,
    Record(Fingerprint),
    Directory(Vec<String>),
}

impl Tree {
    /// Makes the directories. Nobody is waited for.
    pub fn open(root: &Path, lease: Duration) -> Result<Self, Error> {
        let temp = root.join("temp");
        let tree = Self {
            root: root.to_owned(),
            data: root.join("data"),
            locks: root.join("locks"),
            lock_file: root.join("data.lck"),
            queue_file: root.join("queue.lck"),
            takeover_file: root.join("takeover.lck"),
            desk: Desk::new(&temp),
            lease,
        };
        for dir in [&tree.data, &temp, &tree.locks] {
            fs::create_dir_all(dir).map_err(io_error("make directory", dir))?;
        }
        if let Some(inside) = tree.try_enter()? {
            commit::roll_forward(&inside)?;
            tree.desk.sweep();
        }
        Ok(tree)
    }

    /// The directory of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of the records.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The lock of a path.
    pub fn lock_of(&self, path: &str) -> PathBuf {
        self.locks.join(format!("{}.lock", path::flat_name(path)))
    }

    /// The store was not free for so long.
    pub fn busy(&self, waited: Duration) -> Error {
        let file = match OsLock::is_held(&self.takeover_file) {
            Ok(true) => &self.takeover_file,
            _ => &self.lock_file,
        };
        Error::Busy {
            file: file.clone(),
            waited,
            holder: note::shown(&fs::read(file).unwrap_or_default()),
        }
    }

    /// What `path` is now. Needs no entry, and so may see a part of a commit.
    pub fn look(&self, path: &str) -> io::Result<Look> {
        let file = self.file(path);
        match fs::symlink_metadata(&file) {
            Ok(found) if found.is_dir() => {
                let mut names = Vec::new();
                for entry in fs::read_dir(&file)? {
                    names.push(entry?.file_name().to_string_lossy().into_owned());
                }
                names.sort();
                Ok(Look::Directory(names))
            }
            Ok(found) => Ok(Look::Record(Fingerprint {
                inode: found.ino(),
                modified: (found.mtime(), found.mtime_nsec()),
                len: found.len(),
            })),
            Err(error) if is_missing(&error) => Ok(Look::Missing),
            Err(error) => Err(error),
        }
    }

    /// The file of a record.
    pub fn file(&self, path: &str) -> PathBuf {
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

    /// Brings what was staged to the disk. A file system joins what several ask of it at the same
    /// time: 32 files take ext4 a tenth of the time that they take one after the other.
    pub fn sync_staged(&self, files: &[fs::File]) -> Result<(), Error> {
        let sync = |files: &[fs::File]| files.iter().try_for_each(fs::File::sync_all);
        let each = files.len().div_ceil(SYNCS_MAX).max(1);
        let mut parts = files.chunks(each);
        let own = parts.next().unwrap_or_default();
        let synced = thread::scope(|scope| {
            let others: Vec<_> = parts
                .map(|part| {
                    let thread = thread::Builder::new().spawn_scoped(scope, move || sync(part));
                    thread.map_err(|_| part)
                })
                .collect();
            let mut synced = sync(own);
            for other in others {
                synced = synced.and(match other {
                    Ok(thread) => thread.join().unwrap_or_else(|_| Err(broken())),
                    // A machine without a thread to spare has time.
                    Err(part) => sync(part),
                });
            }
            synced
        });
        synced.map_err(io_error("sync", self.desk.temp()))
    }

    /// The directory that a record is in.
    pub fn parent(&self, path: &str) -> PathBuf {
        let file = self.file(path);
        file.parent().unwrap_or(&self.data).to_owned()
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
}

fn broken() -> io::Error {
    io::Error::other("the thread that syncs broke")
}

/// A file where a directory was expected leaves nothing to be found below it.
pub fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
