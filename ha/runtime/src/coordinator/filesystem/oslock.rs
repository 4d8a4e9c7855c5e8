//! `flock(2)`: the one kind of lock that a dead process cannot keep.
//!
//! The lock belongs to the open file, and the kernel closes that when the process dies, however it
//! dies. Another file may be put in the place of a locked one: then the lock keeps nobody out.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How often who waits in the queue of the kernel looks up.
const LOOK_PERIOD: Duration = Duration::from_millis(50);

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

    /// Whether somebody has the lock on `file`.
    pub fn is_held(file: &Path) -> io::Result<bool> {
        match open(file)?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Waits in the queue of the kernel for as long as `waits` says, which is asked now and then.
    /// `None` when it says no more.
    pub fn queue(file: &Path, mut waits: impl FnMut() -> bool) -> io::Result<Option<Self>> {
        if let Some(held) = Self::try_acquire(file)? {
            return Ok(Some(held));
        }
        // The kernel cannot be told for how long to wait: a thread does, and may be left behind.
        let (tell, told) = mpsc::sync_channel(1);
        let file = open(file)?;
        thread::Builder::new()
            .name("store-queue".to_owned())
            .spawn(move || tell.send(lock(&file).map(|()| Self { file })))?;
        loop {
            match told.recv_timeout(LOOK_PERIOD) {
                Ok(held) => return held.map(Some),
                Err(RecvTimeoutError::Timeout) if waits() => {}
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::other("the thread that waits broke"));
                }
            }
        }
    }

    /// Says who holds the lock, instead of what was said before. What is not written whole is not
    /// written at all.
    pub fn sign(&self, note: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all_at(note, 0).inspect_err(|_| {
            let _ = self.file.set_len(0);
        })
    }

    /// Whether the locked file is the one at `path`.
    pub fn is_at(&self, path: &Path) -> io::Result<bool> {
        let own = self.file.metadata()?;
        match fs::metadata(path) {
            Ok(there) => Ok((own.dev(), own.ino()) == (there.dev(), there.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for OsLock {
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
    }
}

fn lock(file: &File) -> io::Result<()> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
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
