//! A directory as the store, in the layout of the original:
//!
//! ```text
//! {root}/data/<path>   one file for each record
//! {root}/temp/         a directory for each process that writes, with records being written
//! {root}/data.lck      flock(LOCK_EX) by whoever reads or writes, original or not
//! {root}/queue.lck     flock(LOCK_EX) by processes of Codis HA that wait for data.lck
//! {root}/takeover.lck  flock(LOCK_EX) by who takes the store from a process that sleeps inside
//! {root}/journal       the commit of several records that is being carried out
//! {root}/locks/        one file for each lock that a process of Codis HA holds or held
//! ```
//!
//! Three things are done better than there. Others that use the store are waited for, in a queue,
//! where the original fails at once. A record is on disk before an operation reports success: file
//! synced, renamed into place, directory synced. And a lock ends with its process, or with its
//! lease when the process hangs. Who hangs inside is waited for a few seconds, and can change
//! nothing after that.
//!
//! All of it blocks, so it runs on other threads: one for each store, which enters it for one
//! operation after another, and those that bring values to the disk before that.

mod commit;
mod desk;
mod entry;
mod inside;
mod lease;
mod note;
mod oslock;
mod tree;
mod turns;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task;

use super::watch::Teller;
use super::{
    Backend, Coordinator, Ephemeral, Error, Expected, Guard, Lock, LockError, OpenError, SESSION,
    Shared, Takeover, Watch, Write, check_commit, check_value, path,
};
use commit::Request;
use inside::Inside;
use lease::Sightings;
use tree::{Look, Tree};
use turns::Turns;

/// What settings call it.
pub(super) const BACKEND: Backend = Backend {
    names: &["filesystem", "fs"],
    has_users: false,
    has_sessions: false,
    open: |addr, _auth, lease| {
        Box::pin(async move {
            if addr.is_empty() {
                let reason = "the root directory of the store is needed";
                return Err(OpenError::address("filesystem", addr, reason));
            }
            let store = FileSystem::open_with(addr, lease).await?;
            Ok(Arc::new(store) as Shared)
        })
    },
};

/// How long an operation whose turn it is waits for an original to leave the store.
pub const BUSY_WAIT_MAX: Duration = Duration::from_secs(20);
/// How often a watched path is looked at: a directory tells nobody of changes.
const WATCH_PERIOD: Duration = Duration::from_millis(500);
/// How long a destructor waits for its turn: it may run on a thread that others need.
const ABANDON_WAIT_MAX: Duration = Duration::from_millis(500);

/// A store in a directory. Clones share it.
#[derive(Clone, Debug)]
pub struct FileSystem {
    turns: Arc<Turns>,
    sightings: Arc<Sightings>,
    lease: Duration,
}

impl FileSystem {
    /// Opens the store in `root`, which is made when missing, with locks that outlive a process
    /// that hangs by [`SESSION`].
    ///
    /// # Errors
    /// The directories cannot be made, or a commit that a dead process left cannot be finished.
    pub async fn open(root: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(root, SESSION).await
    }

    /// The same with locks that outlive a process that hangs by `lease`.
    ///
    /// # Errors
    /// As [`FileSystem::open`].
    pub async fn open_with(root: impl AsRef<Path>, lease: Duration) -> Result<Self, Error> {
        let root = root.as_ref().to_owned();
        let start = move || {
            let tree = Tree::open(&root, lease)?;
            Turns::start(tree).map_err(io_error("start a thread for", &root))
        };
        Ok(Self {
            turns: Arc::new(blocking(start).await?),
            sightings: Arc::default(),
            lease,
        })
    }

    /// Runs `operation` while nobody else uses the store.
    async fn inside<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Inside<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.turns.run(operation).await
    }

    /// The same for what must have been seen at one moment.
    async fn read_inside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Tree) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.inside(move |inside| {
            let seen = read(inside)?;
            inside.check()?;
            Ok(seen)
        })
        .await
    }

    async fn change(
        &self,
        operation: &'static str,
        writes: &[Write<'_>],
        guards: &[Guard<'_>],
    ) -> Result<(), Error> {
        check_commit(writes, guards)?;
        let request = Request::of(operation, writes, guards);
        let tree = self.turns.tree().clone();
        let commit = blocking(move || request.stage(&tree)).await?;
        self.inside(move |inside| commit.run(inside)).await
    }

    async fn change_one(
        &self,
        operation: &'static str,
        path: &str,
        expected: Expected<'_>,
        value: Option<&[u8]>,
    ) -> Result<(), Error> {
        let write = Write {
            path,
            expected,
            value,
        };
        self.change(operation, &[write], &[]).await
    }
}

#[async_trait]
impl Coordinator for FileSystem {
    async fn create(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        self.change_one("create", path, Expected::Missing, Some(value))
            .await
    }

    async fn update(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        self.change_one("update", path, Expected::Anything, Some(value))
            .await
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        self.change_one("delete", path, Expected::Anything, None)
            .await
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        path::check(path)?;
        let path = path.to_owned();
        self.read_inside(move |tree| tree.read(&path)).await
    }

    async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        path::check(path)?;
        let path = path.to_owned();
        self.read_inside(move |tree| tree.list(&path)).await
    }

    async fn read_dir(&self, path: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        path::check(path)?;
        let path = path.to_owned();
        self.read_inside(move |tree| tree.read_dir(&path)).await
    }

    async fn commit(&self, writes: &[Write<'_>], guards: &[Guard<'_>]) -> Result<(), Error> {
        self.change("commit", writes, guards).await
    }

    async fn lock(&self, path: &str, value: &[u8], takeover: Takeover) -> Result<Lock, LockError> {
        path::check(path)?;
        check_value(path, value)?;
        let (name, value) = (path.to_owned(), value.to_vec());
        let store = self.clone();
        self.prepare(path).await?;
        let taken = self
            .inside(move |inside| Ok(lease::take(store, inside, name, value, takeover)))
            .await?;
        Ok(Lock::new(path, taken?.keep()))
    }

    /// Nobody would clean up after a process that was killed.
    async fn create_ephemeral(
        &self,
        path: &str,
        _value: &[u8],
        _replacing: Option<&[u8]>,
    ) -> Result<Ephemeral, Error> {
        path::check(path)?;
        Err(Error::Unsupported {
            operation: "create ephemeral",
            path: path.to_owned(),
        })
    }

    async fn watch(&self, path: &str) -> Result<Watch, Error> {
        path::check(path)?;
        let (store, path) = (self.clone(), path.to_owned());
        let seen = store.look(&path).await?;
        Ok(Watch::spawn(|teller| store.compare(path, seen, teller)))
    }
}

impl FileSystem {
    /// What is done for a lock before the store is entered, where who is inside may be waited for:
    /// makes the desk, and looks at who holds the lock.
    async fn prepare(&self, path: &str) -> Result<(), Error> {
        let (store, path) = (self.clone(), path.to_owned());
        blocking(move || {
            let tree = store.turns.tree();
            tree.desk.prepare()?;
            store.sightings.look(tree, &path);
            Ok(())
        })
        .await
    }

    /// What a path is now. Nobody is waited for.
    async fn look(&self, path: &str) -> Result<Look, Error> {
        let (tree, path) = (self.turns.tree().clone(), path.to_owned());
        blocking(move || {
            let looked = tree.look(&path);
            looked.map_err(io_error("look up", Path::new(&path)))
        })
        .await
    }

    /// Looks again and again, and tells when it differs. A store that cannot be read now is read
    /// later.
    async fn compare(self, path: String, mut seen: Look, teller: Teller) {
        loop {
            tokio::time::sleep(WATCH_PERIOD).await;
            if let Ok(now) = self.look(&path).await
                && now != seen
            {
                seen = now;
                teller.tell();
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failed) => Err(Error::Io {
            operation: "run",
            file: PathBuf::new(),
            source: std::io::Error::other(failed),
        }),
    }
}

/// The thread of the store has ended, which it does only with the process.
fn gone() -> Error {
    Error::Io {
        operation: "enter",
        file: PathBuf::new(),
        source: std::io::Error::other("the thread of the store has ended"),
    }
}

fn io_error<'a>(
    operation: &'static str,
    file: &'a Path,
) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |source| Error::Io {
        operation,
        file: file.to_owned(),
        source,
    }
}

/// Makes what was renamed, made or removed in `dir` survive a power cut.
fn sync_dir(dir: &Path) -> Result<(), Error> {
    fs::File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(io_error("sync", dir))
}
