//! The coordinator: where the records of a product are kept.
//!
//! Codis keeps a small tree of records in a store of the operator's choice. Every store answers
//! the same few questions through [`Coordinator`], and one contract test suite says what the
//! answers mean, so that a daemon never asks which store it talks to.
//!
//! Paths are absolute (`/codis3/demo/topom`); a value is any sequence of bytes up to
//! [`VALUE_BYTES_MAX`]. Parents come into being on demand and are not records. Updates are
//! unconditional, because the original's are: whoever writes holds the product's [`Lock`].

mod filesystem;
mod lock;
mod memory;
mod path;

pub use filesystem::FileSystem;
pub use lock::{Lock, LockError, Takeover};
pub use memory::Memory;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

/// The largest value that a store accepts: what ZooKeeper takes by default.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024 - 1024;

/// A coordinator that many tasks use.
pub type Shared = Arc<dyn Coordinator>;

/// A store of records.
#[async_trait]
pub trait Coordinator: fmt::Debug + Send + Sync {
    /// Stores a record that does not exist yet; its parents are made on demand.
    async fn create(&self, path: &str, value: &[u8]) -> Result<(), Error>;

    /// Stores a record, whether it exists or not.
    async fn update(&self, path: &str, value: &[u8]) -> Result<(), Error>;

    /// Removes a record; one that is missing is no error. A directory goes only when empty.
    async fn delete(&self, path: &str) -> Result<(), Error>;

    /// The value of a record, or `None` when there is none.
    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error>;

    /// The full paths of the children of a directory, sorted; none when it is missing.
    async fn list(&self, path: &str) -> Result<Vec<String>, Error>;

    /// Takes the lock named by `path` and stores `value` there, or says at once who has it.
    ///
    /// The lock ends with the process, with [`Lock::release`], or when the [`Lock`] is dropped.
    async fn lock(&self, path: &str, value: &[u8], takeover: Takeover) -> Result<Lock, LockError>;
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The record to create is there.
    #[error("create {path}: it already exists")]
    Exists {
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
    /// The value is larger than [`VALUE_BYTES_MAX`].
    #[error("{path}: a value of {len} bytes is over the limit of {VALUE_BYTES_MAX}")]
    TooLarge {
        /// The record.
        path: String,
        /// The size of the value.
        len: usize,
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
}

/// Why no coordinator was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No store has this name.
    #[error("invalid coordinator name = {0}")]
    Name(String),
    /// The name is known, and this build cannot talk to such a store.
    #[error(
        "coordinator `{0}` is not supported by this build: use `filesystem` (or `fs`) with a \
         directory that every dashboard can reach"
    )]
    Unsupported(String),
    /// The address is empty.
    #[error("coordinator `{0}` needs an address: the root directory of the store")]
    Address(String),
    /// The store is there and cannot be used.
    #[error("open coordinator: {0}")]
    Store(#[from] Error),
}

/// Opens the store that the settings `coordinator_name`, `_addr` and `_auth` name.
///
/// The credentials are for stores with users; a directory has none and ignores them.
///
/// # Errors
/// The name is unknown or not supported by this build, or the store cannot be opened.
pub async fn open(name: &str, addr: &str, auth: &str) -> Result<Shared, OpenError> {
    let _ = auth;
    match name {
        "filesystem" | "fs" if addr.is_empty() => Err(OpenError::Address(name.to_owned())),
        "filesystem" | "fs" => Ok(Arc::new(FileSystem::open(addr).await?)),
        "zookeeper" | "zk" | "etcd" => Err(OpenError::Unsupported(name.to_owned())),
        _ => Err(OpenError::Name(name.to_owned())),
    }
}

/// Refuses a value that some store could not keep.
fn check_value(path: &str, value: &[u8]) -> Result<(), Error> {
    if value.len() > VALUE_BYTES_MAX {
        let (path, len) = (path.to_owned(), value.len());
        return Err(Error::TooLarge { path, len });
    }
    Ok(())
}
