//! What can go wrong with a store, told so that an operator knows where to look.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{COMMIT_GUARDS_MAX, COMMIT_WRITES_MAX, InvalidAuth, VALUE_BYTES_MAX};

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The record to create is there.
    #[error("create {path}: it already exists")]
    Exists {
        /// The record.
        path: String,
    },
    /// A record does not hold what a conditional write expects.
    #[error("{path} holds another value than expected: somebody else changed it")]
    Changed {
        /// The record.
        path: String,
    },
    /// The text is not a path of a record.
    #[error("invalid path `{path}`: {reason}")]
    Path {
        /// The text.
        path: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The path names a directory where a record is needed, or the other way round.
    #[error("{operation} {path}: {reason}")]
    Kind {
        /// What was asked for.
        operation: &'static str,
        /// The path.
        path: String,
        /// What stands in the way.
        reason: &'static str,
    },
    /// The value, or those of a commit together, are larger than [`VALUE_BYTES_MAX`].
    #[error("{path}: a value of {len} bytes is over the limit of {VALUE_BYTES_MAX}")]
    TooLarge {
        /// The record.
        path: String,
        /// The size of the value.
        len: usize,
    },
    /// More was asked for in one commit than every store can do.
    #[error(
        "a commit of {writes} writes and {guards} guards is over the limit of \
         {COMMIT_WRITES_MAX} and {COMMIT_GUARDS_MAX}"
    )]
    TooMany {
        /// The records to change.
        writes: usize,
        /// The others to check.
        guards: usize,
    },
    /// Another process kept the store to itself for too long.
    #[error(
        "{} is in use for {waited:?} by {holder}: try again, or stop that process",
        .file.display()
    )]
    Busy {
        /// The lock file of the store.
        file: PathBuf,
        /// How long was waited.
        waited: Duration,
        /// What the holder wrote about itself.
        holder: String,
    },
    /// This process did not move while it had the store to itself, for so long that another one
    /// took it. Nothing was changed.
    #[error(
        "another process took {} from this one, which was stopped or hung inside: nothing was \
         changed, try again",
        .store.display()
    )]
    Taken {
        /// The directory of the store.
        store: PathBuf,
    },
    /// The operating system refused.
    #[error("{operation} {}: {source}", .file.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// The file in question.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No server was reached, so nothing was done.
    #[error("{at}: cannot reach it: {reason}")]
    Unreachable {
        /// What was asked of whom.
        at: At,
        /// What the last try ended with.
        reason: String,
    },
    /// A server was asked, and its answer did not come.
    #[error("{at}: no answer: {reason}; a change may or may not have been made")]
    Unanswered {
        /// What was asked of whom.
        at: At,
        /// How the wait ended.
        reason: String,
    },
    /// The server answered that it will not: rights, quotas, its version.
    #[error("{at}: it refused: {reason}")]
    Refused {
        /// What was asked of whom.
        at: At,
        /// What the server said.
        reason: String,
    },
    /// This kind of store cannot do it.
    #[error("{operation} {path}: a directory cannot do that, use `etcd` or `zookeeper`")]
    Unsupported {
        /// What was asked for.
        operation: &'static str,
        /// The record.
        path: String,
    },
}

/// What was asked of which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The verb.
    pub operation: &'static str,
    /// The record.
    pub path: String,
    /// The kind of store and its addresses.
    pub store: String,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} at {}", self.operation, self.path, self.store)
    }
}

/// Why no coordinator was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No store has this name.
    #[error("invalid coordinator name = {0}")]
    Name(String),
    /// The address does not lead to a store of that kind.
    #[error("invalid address `{addr}` of coordinator `{name}`: {reason}")]
    Address {
        /// The kind of store.
        name: String,
        /// The text.
        addr: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The credentials are not `user:password`.
    #[error(transparent)]
    Auth(#[from] InvalidAuth),
    /// The store is there and cannot be used.
    #[error("open coordinator: {0}")]
    Store(#[from] Error),
}

impl OpenError {
    pub(super) fn address(name: &str, addr: &str, reason: impl Into<String>) -> Self {
        Self::Address {
            name: name.to_owned(),
            addr: addr.to_owned(),
            reason: reason.into(),
        }
    }
}

pub(super) fn kind(operation: &'static str, path: &str, reason: &'static str) -> Error {
    let path = path.to_owned();
    Error::Kind {
        operation,
        path,
        reason,
    }
}

pub(super) fn changed(path: &str) -> Error {
    let path = path.to_owned();
    Error::Changed { path }
}

/// Reasons of [`Error::Kind`], the same for every store.
pub(super) const DIRECTORY: &str = "it is a directory";
pub(super) const DIRECTORY_NOT_EMPTY: &str = "it is a directory that is not empty";
pub(super) const PARENT_IS_RECORD: &str = "a parent is a record, not a directory";
pub(super) const RECORD: &str = "it is a record, not a directory";
