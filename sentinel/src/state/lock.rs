//! One sentinel at a time keeps its state in a file or a directory.
//!
//! The lock is on the file (or the directory) itself, so it leaves nothing behind and another
//! program that takes the file over finds nothing new in it. It is an advisory one: a stock
//! sentinel does not see it. A file that is replaced is locked before it takes the name, so the
//! name always leads to a locked file. The system releases the lock when the process ends.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How long a start waits for a predecessor that is just ending.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it tries meanwhile.
const POLL: Duration = Duration::from_millis(20);

/// Why the lock was not given.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Somebody else has it.
    #[error("{}", held_by(*.0))]
    Held(Option<u32>),
    /// The file cannot be opened.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
}

fn held_by(pid: Option<u32>) -> String {
    let holder = pid.map_or_else(
        || "a process that cannot be named".to_owned(),
        |pid| format!("process {pid}"),
    );
    format!("{holder} keeps its state there: stop it first, or give each sentinel its own")
}

/// A lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Locks a file or a directory that exists.
    ///
    /// # Errors
    /// Somebody else has the lock for longer than a process takes to end, or the file cannot be
    /// opened.
    pub fn take(path: &Path) -> Result<Self, Refused> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let file = File::open(path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_at(&file, path) => return Ok(Self { file }),
                // It was replaced in between: the lock is on a file without a name.
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) if Instant::now() >= deadline => {
                    return Err(Refused::Held(holder(&file)));
                }
                Err(Errno::WOULDBLOCK) => thread::sleep(POLL),
                // A file system without locks: nothing to be refused by.
                Err(_) => return Ok(Self { file }),
            }
        }
    }

    /// Locks a file that nobody else knows yet. The descriptor is for reading only: the disk must
    /// be free to become read-only.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn of_new(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // Without locks in the file system there is none to hold.
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        Ok(Self { file })
    }
}

/// Releases what is not the lock of the file that has the name now. The newest one stays if there
/// is no such file.
pub fn keep_present(locks: &mut Vec<Lock>, path: &Path) {
    let present = locks.iter().rposition(|lock| is_at(&lock.file, path));
    let Some(last) = locks.len().checked_sub(1) else {
        return;
    };
    let kept = locks.swap_remove(present.unwrap_or(last));
    *locks = vec![kept];
}

fn is_at(file: &File, path: &Path) -> bool {
    let same = |a: &fs::Metadata, b: &fs::Metadata| a.ino() == b.ino() && a.dev() == b.dev();
    matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if same(&a, &b))
}

/// The process that holds a lock on a file, as `/proc/locks` tells it.
fn holder(file: &File) -> Option<u32> {
    let inode = file.metadata().ok()?.ino().to_string();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, _, pid, place, ..] = words.as_slice() else {
            return None;
        };
        let is_it = place.rsplit(':').next() == Some(inode.as_str());
        is_it.then(|| pid.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_follows_thefile() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.conf");
        fs::write(&path, "1").unwrap();
        let lock = Lock::take(&path).unwrap();
        let refused = Lock::take(&path).unwrap_err().to_string();
        let me = format!("process {} keeps its state there", std::process::id());
        assert!(refused.starts_with(&me), "{refused}");
        let new = dir.path().join("new");
        fs::write(&new, "2").unwrap();
        let next = Lock::of_new(&new).unwrap();
        fs::rename(&new, &path).unwrap();
        drop(lock);
        assert!(matches!(Lock::take(&path), Err(Refused::Held(_))));
        drop(next);
        assert!(Lock::take(&path).is_ok());
        assert!(Lock::take(dir.path()).is_ok(), "a directory, too");
    }
}
