//! The files of a store. Every function blocks, and expects that its caller is inside
//! [`Tree::enter`], but for those that say otherwise.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::error::{DIRECTORY, DIRECTORY_NOT_EMPTY, PARENT_IS_RECORD, RECORD, kind};
use super::oslock::OsLock;
use super::{BUSY_WAIT_MAX, Error, commit, io_error, note, path, sync_dir};

/// No write takes that long, so an older staged file has no writer any more.
const STAGED_AGE_MAX: Duration = Duration::from_secs(3600);

/// Files that are brought to the disk at the same time.
const SYNCS_MAX: usize = 8;

/// The directories of one store.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    data: PathBuf,
    temp: PathBuf,
    locks: PathBuf,
    lock_file: PathBuf,
    queue_file: PathBuf,
    written: AtomicU64,
}

/// The right to read and write, until this is dropped.
pub struct Entered {
    /// Left first: an original may wait for it.
    _data: OsLock,
    _queue: OsLock,
}

/// A value on the disk that is not a record yet; it is removed unless it becomes one.
#[derive(Debug)]
pub struct Staged {
    file: PathBuf,
    kept: bool,
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

impl Staged {
    /// Whether it is still there: nobody sweeps it away while its writer is awake.
    pub fn check(&self) -> Result<(), Error> {
        fs::symlink_metadata(&self.file)
            .map(drop)
            .map_err(io_error("look up", &self.file))
    }

    /// The name of the file in `temp/`.
    pub fn name(&self) -> String {
        let name = self.file.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Puts it in the place of `target`.
    pub fn rename(mut self, target: &Path) -> Result<(), Error> {
        fs::rename(&self.file, target).map_err(io_error("rename", target))?;
        self.kept = true;
        Ok(())
    }

    /// Leaves it to whoever carries out the journal.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.file);
        }
    }
}

impl Tree {
    /// Makes the directories. Nobody is waited for.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let tree = Self {
            root: root.to_owned(),
            data: root.join("data"),
            temp: root.join("temp"),
            locks: root.join("locks"),
            lock_file: root.join("data.lck"),
            queue_file: root.join("queue.lck"),
            written: AtomicU64::new(0),
        };
        for dir in [&tree.data, &tree.temp, &tree.locks] {
            fs::create_dir_all(dir).map_err(io_error("make directory", dir))?;
        }
        let free = OsLock::try_acquire(&tree.lock_file);
        if let Some(_inside) = free.map_err(io_error("lock", &tree.lock_file))? {
            commit::roll_forward(&tree)?;
            tree.sweep();
        }
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

    /// Keeps every other process out until the result is dropped, and leaves no commit half made.
    pub fn enter(&self) -> Result<Entered, Error> {
        let queue = OsLock::queue(&self.queue_file).map_err(io_error("lock", &self.queue_file))?;
        let mut data = OsLock::acquire(&self.lock_file, BUSY_WAIT_MAX)
            .map_err(io_error("lock", &self.lock_file))?
            .ok_or_else(|| self.busy(BUSY_WAIT_MAX))?;
        // For people; a lock without the note is as good.
        let _ = data.sign(&note::of_visitor());
        commit::roll_forward(self)?;
        Ok(Entered {
            _data: data,
            _queue: queue,
        })
    }

    /// Needs no entry.
    pub fn busy(&self, waited: Duration) -> Error {
        let note = fs::read(&self.lock_file).unwrap_or_default();
        Error::Busy {
            file: self.lock_file.clone(),
            waited,
            holder: note::shown(&note),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn lock_file(&self, path: &str) -> PathBuf {
        self.locks.join(format!("{}.lock", path::flat_name(path)))
    }

    /// A file of no name that anybody looks for.
    pub fn temp_file(&self) -> PathBuf {
        self.temp.join(self.temp_name())
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

    /// Brings `value` to the disk, to become a record later. Needs no entry.
    pub fn stage(&self, value: &[u8]) -> Result<Staged, Error> {
        let (staged, file) = self.stage_unsynced(value)?;
        self.sync_staged(&[file])?;
        Ok(staged)
    }

    /// The same but for the disk.
    pub fn stage_unsynced(&self, value: &[u8]) -> Result<(Staged, File), Error> {
        let staged = Staged {
            file: self.temp_file(),
            kept: false,
        };
        let written = write(&staged.file, value).map_err(io_error("write", &staged.file))?;
        Ok((staged, written))
    }

    /// Brings what was staged to the disk. A file system joins what several ask of it at the same
    /// time: 32 files take ext4 a tenth of the time that they take one after the other.
    pub fn sync_staged(&self, files: &[File]) -> Result<(), Error> {
        let sync = |files: &[File]| files.iter().try_for_each(File::sync_all);
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
        synced.map_err(io_error("sync", &self.temp))
    }

    /// Makes the record in one step: a reader without a lock sees the old value or the new one.
    pub fn place(&self, staged: Staged, path: &str) -> Result<(), Error> {
        staged.rename(&self.file(path))?;
        sync_dir(&self.parent(path))
    }

    /// The same for a file of a journal, which may be in its place already.
    pub fn place_unless_done(&self, staged: &str, path: &str) -> Result<(), Error> {
        let target = self.file(path);
        match fs::rename(self.temp.join(staged), &target) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done.map_err(io_error("rename", &target)),
        }
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

    /// Removes a record, or a directory that is empty.
    pub fn remove(&self, path: &str) -> Result<(), Error> {
        match self.remove_unsynced(path)? {
            true => sync_dir(&self.parent(path)),
            false => Ok(()),
        }
    }

    /// The same, to be synced with others; says whether there was anything.
    pub fn remove_unsynced(&self, path: &str) -> Result<bool, Error> {
        let target = self.file(path);
        let removed = match fs::symlink_metadata(&target) {
            Ok(found) if found.is_dir() => fs::remove_dir(&target),
            Ok(_) => fs::remove_file(&target),
            Err(error) => Err(error),
        };
        match removed {
            Ok(()) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {
                Err(kind("delete", path, DIRECTORY_NOT_EMPTY))
            }
            Err(error) => Err(io_error("delete", &target)(error)),
        }
    }

    /// Makes the missing directories above a record, each one durable in the one above it.
    pub fn make_parents(&self, operation: &'static str, path: &str) -> Result<(), Error> {
        let parent = self.parent(path);
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

    pub fn temp_name(&self) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let count = self.written.fetch_add(1, Ordering::Relaxed);
        let (seconds, nanos, pid) = (now.as_secs(), now.subsec_nanos(), process::id());
        format!("{seconds}.{pid}-{nanos}-{count}")
    }
}

fn broken() -> io::Error {
    io::Error::other("the thread that syncs broke")
}

fn write(staged: &Path, value: &[u8]) -> io::Result<File> {
    let mut file = File::create_new(staged)?;
    file.write_all(value)?;
    Ok(file)
}

/// A file where a directory was expected leaves nothing to be found below it.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
