//! `flock(2)`: the one kind of lock that a dead process cannot keep.
//!
//! The lock belongs to the open file, and the kernel closes that when the process dies, however it
//! dies. The files are never deleted: a lock on a deleted file excludes nobody.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

const POLL_MIN: Duration = Duration::from_micros(200);
const POLL_MAX: Duration = Duration::from_millis(10);

/// A locked file. While it is held it tells who holds it; afterwards it is empty.
#[derive(Debug)]
pub struct OsLock {
    file: File,
}

impl OsLock {
    /// Takes the lock on `file`, or gives `None` when somebody has it.
    pub fn try_acquire(file: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(file)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut held = Self { file };
        held.sign();
        Ok(Some(held))
    }

    /// Takes the lock on `file`, waiting up to `wait_max` for it.
    pub fn acquire(file: &Path, wait_max: Duration) -> io::Result<Option<Self>> {
        let deadline = Instant::now() + wait_max;
        let mut pause = POLL_MIN;
        loop {
            if let Some(held) = Self::try_acquire(file)? {
                return Ok(Some(held));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(POLL_MAX);
        }
    }

    /// Notes the holder for people; a lock without the note is as good.
    fn sign(&mut self) {
        let (now, pid) = (crate::host::now_rfc3339(), process::id());
        let note = format!("{{\n    \"now\": \"{now}\",\n    \"pid\": {pid}\n}}");
        let _ = self.file.set_len(0);
        let _ = self.file.write_all(note.as_bytes());
    }
}

impl Drop for OsLock {
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
    }
}
