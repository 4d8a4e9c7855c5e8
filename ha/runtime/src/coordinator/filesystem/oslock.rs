//! `flock(2)`: the one kind of lock that a dead process cannot keep.
//!
//! The lock belongs to the open file, and the kernel closes that when the process dies, however it
//! dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
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
        let file = open(file)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
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

    /// Waits in the queue of the kernel for as long as it takes.
    pub fn queue(file: &Path) -> io::Result<Self> {
        let file = open(file)?;
        loop {
            match file.lock() {
                Ok(()) => return Ok(Self { file }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Says who holds the lock, instead of what was said before.
    pub fn sign(&mut self, note: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(note)
    }
}

impl Drop for OsLock {
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
    }
}

fn open(file: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(file)
}
