//! The coordinator: where the records of a product are kept.
//!
//! Codis keeps a small tree of records in a store of the operator's choice. Every store answers
//! the same few questions through [`Coordinator`], and one contract test suite says what the
//! answers mean, so that a daemon never asks which store it talks to.
//!
//! Paths are absolute (`/codis3/demo/topom`); a value is any sequence of bytes up to
//! [`VALUE_BYTES_MAX`]. Parents come into being on demand and are not records. `update` and
//! `delete` are unconditional, because the original's are; [`Coordinator::commit`] is for those
//! who do not trust that they are alone, and for changes of several records that belong together.
//!
//! A store across the network is opened without being asked anything: the first call connects, and
//! so does each call after a failure. No exchange with a server takes longer than [`CALL_MAX`]; an
//! operation is one of them or a few.

mod backend;
mod credentials;
mod error;
mod etcd;
#[cfg(debug_assertions)]
mod faulty;
mod filesystem;
mod hold;
mod lock;
mod memory;
mod path;
mod watch;
mod zookeeper;

pub use backend::{BACKENDS, Backend, backend};
pub use credentials::{Credentials, InvalidAuth};
pub use error::{At, Error, OpenError};
pub use etcd::Etcd;
pub use filesystem::FileSystem;
pub use hold::Ephemeral;
pub use lock::{Lock, LockError, Takeover};
pub use memory::Memory;
pub use watch::Watch;
pub use zookeeper::ZooKeeper;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

/// The largest value that a store accepts: what ZooKeeper takes by default.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024 - 1024;
/// How long an exchange with a store across the network may take, connecting included. A directory
/// has limits of its own.
pub const CALL_MAX: Duration = Duration::from_secs(5);
/// How long locks and ephemeral records outlive a process that dies, when nothing else is asked
/// for.
pub const SESSION: Duration = Duration::from_secs(10);

/// The most records that one [`Coordinator::commit`] changes. etcd counts what a transaction checks
/// and does, 128 of each with its default settings.
pub const COMMIT_WRITES_MAX: usize = 32;
/// The most records that one [`Coordinator::commit`] checks beside those that it changes.
pub const COMMIT_GUARDS_MAX: usize = 8;

/// A coordinator that many tasks use.
pub type Shared = Arc<dyn Coordinator>;

/// What a record must hold for [`Coordinator::commit`] to change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected<'a> {
    /// Whatever it holds, or nothing.
    Anything,
    /// It must not be there.
    Missing,
    /// It must hold these bytes.
    Value(&'a [u8]),
}

/// One change of a [`Coordinator::commit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write<'a> {
    /// The record.
    pub path: &'a str,
    /// What it must hold before.
    pub expected: Expected<'a>,
    /// What it holds afterwards; `None` deletes it.
    pub value: Option<&'a [u8]>,
}

/// Another record that must hold certain bytes for [`Coordinator::commit`] to change any.
///
/// A fence must be a record that is never deleted. ZooKeeper counts the versions of a record from
/// its creation, so one that is deleted and made again in the middle of a commit can look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard<'a> {
    /// The other record, such as the one that names the leader.
    pub path: &'a str,
    /// What it must hold.
    pub value: &'a [u8],
}

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

    /// The children of a directory that hold a record, with their values, sorted by their full
    /// paths; none when the directory is missing.
    ///
    /// etcd, a directory and memory show one moment. ZooKeeper is read record by record: each value
    /// is whole, and a record that goes meanwhile is left out.
    async fn read_dir(&self, path: &str) -> Result<Vec<(String, Vec<u8>)>, Error>;

    /// Makes all `writes` in one step, or none, if every record holds what is expected and all
    /// `guards` hold too; that is so even when this process or the store is killed on the way.
    ///
    /// [`Error::Changed`] names a record that holds something else; one that must be missing and is
    /// there gives [`Error::Exists`]. After [`Error::Unanswered`] all or none were made, and the
    /// records must be read to know. At most [`COMMIT_WRITES_MAX`] writes, each of its own record
    /// and none below another, with values of [`VALUE_BYTES_MAX`] together. Guards without writes
    /// are a question: do they hold?
    async fn commit(&self, writes: &[Write<'_>], guards: &[Guard<'_>]) -> Result<(), Error>;

    /// A commit of one write.
    async fn write_if(
        &self,
        path: &str,
        expected: Expected<'_>,
        value: Option<&[u8]>,
        guards: &[Guard<'_>],
    ) -> Result<(), Error> {
        let write = Write {
            path,
            expected,
            value,
        };
        self.commit(&[write], guards).await
    }

    /// Stores a record that goes away with this process: at once when the [`Ephemeral`] is removed
    /// or dropped, within the session time of the store when the process dies.
    ///
    /// The record must be missing, or hold `replacing` when that is given: then it is replaced,
    /// whoever made it.
    async fn create_ephemeral(
        &self,
        path: &str,
        value: &[u8],
        replacing: Option<&[u8]>,
    ) -> Result<Ephemeral, Error>;

    /// Tells of changes of a record, and of children that come and go when `path` is a directory.
    async fn watch(&self, path: &str) -> Result<Watch, Error>;
}

/// Opens the store that the settings `coordinator_name`, `_addr` and `_auth` name, with sessions
/// of [`SESSION`].
///
/// The credentials are for stores with users; a directory has none and ignores them.
///
/// # Errors
/// As [`open_with`].
pub async fn open(name: &str, addr: &str, auth: &str) -> Result<Shared, OpenError> {
    open_with(name, addr, auth, SESSION).await
}

/// Opens a store whose locks and ephemeral records outlive a dead process by `session`. What the
/// server accepts limits that: ZooKeeper to 2 to 20 of its ticks, etcd to whole seconds from 2.
///
/// # Errors
/// The name is unknown, the address or the credentials are not valid, or a directory cannot be
/// opened. A server that cannot be reached is no error here.
pub async fn open_with(
    name: &str,
    addr: &str,
    auth: &str,
    session: Duration,
) -> Result<Shared, OpenError> {
    let kind = backend(name).ok_or_else(|| OpenError::Name(name.to_owned()))?;
    let store = (kind.open)(addr, auth, session).await?;
    #[cfg(debug_assertions)]
    if crate::fault::is_armed() {
        return Ok(Arc::new(faulty::Faulty(store)));
    }
    Ok(store)
}

/// Refuses a value that some store could not keep.
fn check_value(path: &str, value: &[u8]) -> Result<(), Error> {
    if value.len() > VALUE_BYTES_MAX {
        let (path, len) = (path.to_owned(), value.len());
        return Err(Error::TooLarge { path, len });
    }
    Ok(())
}

/// Refuses what [`Coordinator::commit`] must not be asked.
fn check_commit(writes: &[Write<'_>], guards: &[Guard<'_>]) -> Result<(), Error> {
    if writes.len() > COMMIT_WRITES_MAX || guards.len() > COMMIT_GUARDS_MAX {
        let (writes, guards) = (writes.len(), guards.len());
        return Err(Error::TooMany { writes, guards });
    }
    for path in writes.iter().map(|write| write.path) {
        path::check(path)?;
    }
    for guard in guards {
        path::check(guard.path)?;
    }
    let mut bytes = 0;
    for write in writes {
        bytes += write.value.map_or(0, <[u8]>::len);
        if bytes > VALUE_BYTES_MAX {
            let (path, len) = (write.path.to_owned(), bytes);
            return Err(Error::TooLarge { path, len });
        }
    }
    check_apart(writes)
}

/// Refuses two writes of one record, and a write below another: stores differ in what comes first.
fn check_apart(writes: &[Write<'_>]) -> Result<(), Error> {
    let refuse = |path: &str, reason| {
        let path = path.to_owned();
        Err(Error::Path { path, reason })
    };
    let mut paths = BTreeSet::new();
    for write in writes {
        if !paths.insert(write.path) {
            return refuse(write.path, "the same commit writes it twice");
        }
    }
    for write in writes {
        if path::ancestors(write.path).any(|above| paths.contains(above)) {
            return refuse(write.path, "the same commit writes a record above it");
        }
    }
    Ok(())
}
