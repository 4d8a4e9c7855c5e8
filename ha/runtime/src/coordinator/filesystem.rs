//! A directory as the store, in the layout of the original:
//!
//! ```text
//! {root}/data/<path>   one file for each record
//! {root}/temp/         records being written
//! {root}/data.lck      flock(LOCK_EX) by whoever reads or writes, original or not
//! {root}/locks/        one file for each lock that a process of Codis HA holds or held
//! ```
//!
//! Two things are done better than there. Somebody else's use of `data.lck` is waited for, up to
//! [`BUSY_WAIT_MAX`], where the original fails at once. And a record is on disk before an
//! operation reports success: file synced, renamed into place, directory synced.
//!
//! All of it blocks, so it runs on blocking threads, one operation at a time for each store.

mod oslock;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::task;

use super::error::changed;
use super::hold::Held;
use super::watch::Teller;
use super::{
    Coordinator, Ephemeral, Error, Expected, Guard, Lock, LockError, SESSION, Takeover, Watch,
    Write, check_commit, check_value, path,
};
use oslock::OsLock;
use tree::Tree;

/// How long an operation waits for another process to leave the store.
pub const BUSY_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long an operation waits for those before it in its own process.
const TURN_WAIT_MAX: Duration = Duration::from_secs(60);
/// How often a watched path is looked at: a directory tells nobody of changes.
const WATCH_PERIOD: Duration = Duration::from_millis(500);
/// How long a destructor waits for it: it may run on a thread that others need.
const ABANDON_WAIT_MAX: Duration = Duration::from_millis(500);

/// A store in a directory. Clones share it.
#[derive(Clone, Debug)]
pub struct FileSystem {
    tree: Arc<Tree>,
    /// Keeps the operations of one process off the blocking threads until it is their turn.
    turn: Arc<Mutex<()>>,
}

/// A lock on a path: an flock for as long as this lives.
struct FileLock {
    store: FileSystem,
    path: String,
    value: Vec<u8>,
    /// Closed, and so unlocked, last.
    _os: OsLock,
}

impl FileSystem {
    /// Opens the store in `root`, which is made when missing.
    ///
    /// # Errors
    /// The directories cannot be made.
    pub async fn open(root: impl AsRef<Path>) -> Result<Self, Error> {
        let root = root.as_ref().to_owned();
        let tree = blocking(move || Tree::open(&root)).await?;
        Ok(Self {
            tree: Arc::new(tree),
            turn: Arc::default(),
        })
    }

    /// Runs `operation` on a blocking thread while nobody else uses the store.
    async fn with_store<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Tree) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = tokio::time::timeout(TURN_WAIT_MAX, self.turn.clone().lock_owned()).await;
        let Ok(turn) = turn else {
            return Err(self.tree.busy(TURN_WAIT_MAX));
        };
        let tree = self.tree.clone();
        blocking(move || {
            let _turn = turn;
            let _store = tree.enter(BUSY_WAIT_MAX)?;
            operation(&tree)
        })
        .await
    }
}

#[async_trait]
impl Coordinator for FileSystem {
    async fn create(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        path::check(path)?;
        check_value(path, value)?;
        let (path, value) = (path.to_owned(), value.to_vec());
        self.with_store(move |tree| {
            if tree.exists(&path)? {
                return Err(Error::Exists { path });
            }
            tree.write("create", &path, &value)
        })
        .await
    }

    async fn update(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        path::check(path)?;
        check_value(path, value)?;
        let (path, value) = (path.to_owned(), value.to_vec());
        self.with_store(move |tree| tree.write("update", &path, &value))
            .await
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        path::check(path)?;
        let path = path.to_owned();
        self.with_store(move |tree| tree.remove(&path)).await
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        path::check(path)?;
        let path = path.to_owned();
        self.with_store(move |tree| tree.read(&path)).await
    }

    async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        path::check(path)?;
        let path = path.to_owned();
        self.with_store(move |tree| tree.list(&path)).await
    }

    async fn lock(&self, path: &str, value: &[u8], takeover: Takeover) -> Result<Lock, LockError> {
        path::check(path)?;
        check_value(path, value)?;
        let (name, value) = (path.to_owned(), value.to_vec());
        let store = self.clone();
        let taken = self
            .with_store(move |tree| Ok(take(store, tree, name, value, takeover)))
            .await?;
        Ok(Lock::new(path, taken?))
    }

    async fn read_dir(&self, path: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        path::check(path)?;
        let path = path.to_owned();
        self.with_store(move |tree| tree.read_dir(&path)).await
    }

    async fn commit(&self, writes: &[Write<'_>], guards: &[Guard<'_>]) -> Result<(), Error> {
        check_commit(writes, guards)?;
        let commit = Commit::of(writes, guards);
        self.with_store(move |tree| commit.run(tree)).await
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

/// A commit that owns what it was asked for.
struct Commit {
    writes: Vec<Owned>,
    guards: Vec<(String, Vec<u8>)>,
}

struct Owned {
    path: String,
    expected: Before,
    value: Option<Vec<u8>>,
}

enum Before {
    Anything,
    Missing,
    Value(Vec<u8>),
}

impl Commit {
    fn of(writes: &[Write<'_>], guards: &[Guard<'_>]) -> Self {
        let owned = |write: &Write<'_>| Owned {
            path: write.path.to_owned(),
            expected: match write.expected {
                Expected::Anything => Before::Anything,
                Expected::Missing => Before::Missing,
                Expected::Value(value) => Before::Value(value.to_vec()),
            },
            value: write.value.map(<[u8]>::to_vec),
        };
        let guard = |guard: &Guard<'_>| (guard.path.to_owned(), guard.value.to_vec());
        Self {
            writes: writes.iter().map(owned).collect(),
            guards: guards.iter().map(guard).collect(),
        }
    }

    fn run(&self, tree: &Tree) -> Result<(), Error> {
        for (path, wanted) in &self.guards {
            if tree.read(path)?.as_ref() != Some(wanted) {
                return Err(changed(path));
            }
        }
        for Owned { path, expected, .. } in &self.writes {
            match expected {
                Before::Value(wanted) if tree.read(path)?.as_ref() != Some(wanted) => {
                    return Err(changed(path));
                }
                Before::Missing if tree.exists(path)? => {
                    let path = path.clone();
                    return Err(Error::Exists { path });
                }
                _ => {}
            }
        }
        for Owned { path, value, .. } in &self.writes {
            match value {
                Some(_) => tree.check_put("commit", path)?,
                None => tree.check_remove("commit", path)?,
            }
        }
        for Owned { path, value, .. } in &self.writes {
            match value {
                Some(value) => tree.write("commit", path, value)?,
                None => tree.remove(path)?,
            }
        }
        Ok(())
    }
}

/// A record, or the children of a directory.
#[derive(PartialEq, Eq)]
enum Look {
    Record(Option<Vec<u8>>),
    Directory(Vec<String>),
}

impl FileSystem {
    async fn look(&self, path: &str) -> Result<Look, Error> {
        let path = path.to_owned();
        self.with_store(move |tree| match tree.read(&path) {
            Err(Error::Kind { .. }) => tree.list(&path).map(Look::Directory),
            record => record.map(Look::Record),
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

/// Takes the flock of `path`, then looks at the record, then replaces it.
fn take(
    store: FileSystem,
    tree: &Tree,
    path: String,
    value: Vec<u8>,
    takeover: Takeover,
) -> Result<FileLock, LockError> {
    let file = tree.lock_file(&path);
    let os = OsLock::try_acquire(&file).map_err(|source| Error::Io {
        operation: "lock",
        file,
        source,
    })?;
    let record = tree.read(&path)?;
    let Some(os) = os else {
        return Err(LockError::Held { path, record });
    };
    if let (Some(record), Takeover::Refuse) = (record, takeover) {
        return Err(LockError::Stale { path, record });
    }
    tree.write("lock", &path, &value)?;
    Ok(FileLock {
        store,
        path,
        value,
        _os: os,
    })
}

impl FileLock {
    fn delete_own_record(&self, tree: &Tree) -> Result<(), Error> {
        if tree.read(&self.path)?.as_ref() == Some(&self.value) {
            tree.remove(&self.path)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Held for FileLock {
    async fn release(self: Box<Self>) -> Result<(), Error> {
        let store = self.store.clone();
        store
            .with_store(move |tree| self.delete_own_record(tree))
            .await
    }

    fn abandon(self: Box<Self>) {
        let tree = &self.store.tree;
        let done = tree
            .enter(ABANDON_WAIT_MAX)
            .and_then(|_store| self.delete_own_record(tree));
        if let Err(error) = done {
            tracing::warn!(path = self.path, %error, "a dropped lock leaves its record behind");
        }
    }

    /// The operating system never takes it from a living process.
    async fn lost(&self) -> String {
        std::future::pending().await
    }

    fn valid_until(&self) -> Instant {
        Instant::now() + SESSION
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
