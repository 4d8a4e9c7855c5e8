//! Locks that end with the process that holds them.
//!
//! The original's lock is a record that outlives a crash. Here a record is only the notice on the
//! door: the lock itself is something that the operating system (or, in other stores, a session)
//! takes away from a dead process. A record without a lock behind it is *stale*: the holder
//! crashed, or it is an original dashboard, which takes no such lock. Only the caller can tell
//! the two apart, by asking the address in the record.

use std::fmt;

use async_trait::async_trait;

use super::Error;

/// What to do with a stale record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// Give [`LockError::Stale`].
    Refuse,
    /// Replace it.
    Allow,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A living process holds it; waiting may help, taking over does not.
    #[error("{path} is locked by a running process: {}", shown(.record.as_deref()))]
    Held {
        /// The lock.
        path: String,
        /// What the holder stored about itself, when it got that far.
        record: Option<Vec<u8>>,
    },
    /// A record is there, and no process of Codis HA holds the lock.
    #[error("{path} holds a record that no running process locks: {}", shown(Some(.record)))]
    Stale {
        /// The lock.
        path: String,
        /// What the last holder stored about itself.
        record: Vec<u8>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// A lock that is held until it is released or dropped.
///
/// Either way the record is deleted if it is still the holder's own; one that somebody else wrote
/// in the meantime stays.
pub struct Lock {
    path: String,
    held: Option<Box<dyn Held>>,
}

/// The part of a lock that depends on the store.
#[async_trait]
pub(super) trait Held: Send + Sync {
    /// Deletes the record if it is still ours, then lets go.
    async fn release(self: Box<Self>) -> Result<(), Error>;

    /// The same from a destructor: without waiting long, and without a way to report.
    fn abandon(self: Box<Self>);
}

impl Lock {
    pub(super) fn new(path: &str, held: impl Held + 'static) -> Self {
        Self {
            path: path.to_owned(),
            held: Some(Box::new(held)),
        }
    }

    /// What is locked.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Deletes the record and lets go.
    ///
    /// # Errors
    /// The record could not be deleted. The lock is let go all the same, so what stays behind is a
    /// stale record.
    pub async fn release(mut self) -> Result<(), Error> {
        match self.held.take() {
            Some(held) => held.release().await,
            None => Ok(()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            held.abandon();
        }
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("path", &self.path).finish()
    }
}

/// A record on one line of an error message.
fn shown(record: Option<&[u8]>) -> String {
    const SHOWN_MAX: usize = 400;
    let Some(record) = record else {
        return "it has not said who it is".to_owned();
    };
    let text = String::from_utf8_lossy(record);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(SHOWN_MAX).collect()
}
