//! Locks that end with the process that holds them.
//!
//! The original's lock is a record that outlives a crash. Here a record is only the notice on the
//! door: the lock itself is something that the operating system (or, in other stores, a session)
//! takes away from a dead process. A record without a lock behind it is *stale*: the holder
//! crashed, or it is an original dashboard, which takes no such lock. Only the caller can tell
//! the two apart, by asking the address in the record.

use std::fmt;
use std::time::Instant;

use super::Error;
use super::hold::{Held, Hold};

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
/// in the meantime stays. A drop cannot wait: across the network the record goes soon after it.
pub struct Lock(Hold);

impl Lock {
    pub(super) fn new(path: &str, held: impl Held + 'static) -> Self {
        Self(Hold::new(path, held))
    }

    /// What is locked.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// Until when nobody else can have the lock, whatever happens: its lease, counted from when the
    /// last renewal that succeeded was *sent*. What must not be done by two at once is done before
    /// this, or guarded. A lock that is lost gives a moment that has passed.
    ///
    /// A process that was stopped learns from this that it slept too long, before anybody tells it.
    pub fn valid_until(&self) -> Instant {
        self.0.valid_until()
    }

    /// Waits until the store has given the lock up, and says why: the record was deleted or
    /// changed by somebody else, or the lease ran out because the store was out of reach, or this
    /// process asleep, for too long.
    pub async fn lost(&self) -> String {
        self.0.lost().await
    }

    /// Deletes the record and lets go.
    ///
    /// # Errors
    /// The record could not be deleted. The lock is let go all the same, so what stays behind is a
    /// stale record, for as long as the session lasts where there is one.
    pub async fn release(self) -> Result<(), Error> {
        self.0.release().await
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("path", &self.path()).finish()
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
