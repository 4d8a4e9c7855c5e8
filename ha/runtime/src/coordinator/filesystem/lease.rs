//! The lock of a path: an flock, and a lease beside it.
//!
//! The kernel takes an flock from a process that dies, and never from one that lives: one that is
//! stopped, or hangs in a dead file system, would keep it for ever. So the holder also writes a
//! new number into the locked file three times in its lease. Who finds the flock free takes the
//! lock at once. Who finds it taken, and by its own clock the same number for the lease and 5 %
//! more, takes it too: by putting a locked file of its own in the place of the other. All of that
//! happens inside the store, so it has an order. The one who slept finds another holder in the
//! file when it wakes, and a moment that has passed in [`Held::valid_until`] before that.
//!
//! The file is never removed: a lock on a removed file excludes nobody.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::time::{sleep, timeout_at};

use super::super::hold::{Held, Keeper, Validity};
use super::inside::Inside;
use super::note::Beat;
use super::oslock::OsLock;
use super::tree::{Fingerprint, Look, Tree};
use super::{ABANDON_WAIT_MAX, Error, FileSystem, LockError, Takeover, WATCH_PERIOD, io_error};

/// How much longer than its lease a holder is waited for: clocks differ.
const GRACE: f64 = 1.05;

/// What was last seen of locks that others hold.
#[derive(Debug, Default)]
pub struct Sightings(Mutex<BTreeMap<String, Sighting>>);

#[derive(Debug)]
struct Sighting {
    note: Vec<u8>,
    since: Instant,
}

impl Sightings {
    /// Whether the note has been the same for longer than its lease, `lease` if it does not say.
    fn is_expired(&self, path: &str, note: &[u8], lease: Duration) -> bool {
        let told = Beat::parse(note).map(|beat| Duration::from_millis(beat.lease_ms));
        self.see(path, note).elapsed() > told.unwrap_or(lease).mul_f64(GRACE)
    }

    /// Remembers the note from outside the store, as early as it can be seen.
    pub fn look(&self, tree: &Tree, path: &str) {
        let note = fs::read(tree.lock_of(path)).unwrap_or_default();
        if Beat::parse(&note).is_some() {
            self.see(path, &note);
        }
    }

    /// Since when the note has been the same.
    fn see(&self, path: &str, note: &[u8]) -> Instant {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get(path) {
            Some(seen) if seen.note == note => seen.since,
            _ => {
                let (note, since) = (note.to_vec(), Instant::now());
                all.insert(path.to_owned(), Sighting { note, since });
                since
            }
        }
    }

    fn forget(&self, path: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(path);
    }
}

/// A lock of this process.
pub struct FileLock {
    own: Own,
    keeper: Keeper,
    os: Arc<OsLock>,
}

/// What makes the lock ours.
#[derive(Clone)]
struct Own {
    store: FileSystem,
    path: String,
    value: Vec<u8>,
    beat: Beat,
    /// The locked file, whatever lies in its place now.
    os: Weak<OsLock>,
    /// Until when it is ours for certain.
    until: Instant,
}

/// A lock that was just taken, without anybody who keeps it yet.
pub struct Taken {
    own: Own,
    os: Arc<OsLock>,
}

/// Takes the lock, or says why not.
pub fn take(
    store: FileSystem,
    inside: &Inside<'_>,
    path: String,
    value: Vec<u8>,
    takeover: Takeover,
) -> Result<Taken, LockError> {
    let lease = store.lease;
    let file = inside.lock_of(&path);
    let free = OsLock::try_acquire(&file).map_err(io_error("lock", &file))?;
    let record = inside.read(&path)?;
    if free.is_none() {
        let note = fs::read(&file).map_err(io_error("read", &file))?;
        if !store.sightings.is_expired(&path, &note, lease) {
            return Err(LockError::Held { path, record });
        }
    }
    if let (Some(record), Takeover::Refuse) = (record, takeover) {
        return Err(LockError::Stale { path, record });
    }
    let os = match free {
        Some(os) => os,
        None => replace(inside, &file)?,
    };
    inside.check_put("lock", &path)?;
    inside.make_parents("lock", &path)?;
    inside.place(inside.stage(&value)?, &path)?;
    let sent = Instant::now();
    let beat = Beat::first(inside.desk.fresh_name(), lease);
    os.sign(&beat.text()).map_err(io_error("write", &file))?;
    store.sightings.forget(&path);
    let os = Arc::new(os);
    let own = Own {
        store,
        path,
        value,
        beat,
        os: Arc::downgrade(&os),
        until: sent + lease,
    };
    // Whoever waits for us counts from this note, or did not wait and has replaced the file.
    match own.holds(inside)? {
        true => Ok(Taken { own, os }),
        false => Err(inside.taken().into()),
    }
}

/// A locked file in the place of the one that a sleeping process has locked.
fn replace(inside: &Inside<'_>, file: &Path) -> Result<OsLock, Error> {
    let fresh = inside.stage(b"")?;
    let held = OsLock::try_acquire(fresh.file()).map_err(io_error("lock", fresh.file()))?;
    let Some(held) = held else {
        return Err(inside.busy(Duration::ZERO));
    };
    inside.put(fresh, file)?;
    tracing::warn!(file = %file.display(), "took a lock whose holder did not renew its lease");
    Ok(held)
}

impl Taken {
    pub fn keep(self) -> FileLock {
        let kept = self.own.clone();
        FileLock {
            keeper: Keeper::spawn(self.own.until, |validity| kept.kept(validity)),
            own: self.own,
            os: self.os,
        }
    }
}

impl Own {
    /// Renews the lease three times in its span, and looks at the record more often. Ends with the
    /// reason why the lock is lost.
    async fn kept(mut self, validity: Arc<Validity>) -> String {
        let period = self.store.lease / 3;
        let mut seen = None;
        let mut due = Instant::now() + period;
        loop {
            sleep(WATCH_PERIOD.min(period)).await;
            if Instant::now() < due && self.is_unchanged(&seen).await {
                continue;
            }
            match self.renew().await {
                Ok(Some(record)) => {
                    seen = Some(record);
                    due = Instant::now() + period;
                    validity.extend(self.until);
                }
                // Tried again at the next look.
                Ok(None) => {}
                Err(lost) => return lost,
            }
        }
    }

    async fn is_unchanged(&self, seen: &Option<Fingerprint>) -> bool {
        let looked = self.store.look(&self.path).await;
        matches!((looked, seen), (Ok(Look::Record(now)), Some(seen)) if now == *seen)
    }

    /// Waits no longer than the lease lives, except once for a lease that may have run out while
    /// this process slept: the file knows.
    async fn renew(&mut self) -> Result<Option<Fingerprint>, String> {
        let (own, sent) = (self.clone(), Instant::now());
        let beat = self.store.inside(move |inside| own.beat(inside));
        let renewed = if sent < self.until {
            timeout_at(self.until.into(), beat).await
        } else {
            Ok(beat.await)
        };
        let lease = self.store.lease;
        match renewed {
            Ok(Ok(Ok((beat, record)))) => {
                self.beat = beat;
                self.until = sent + lease;
                Ok(Some(record))
            }
            Ok(Ok(Err(lost))) => Err(lost),
            Ok(Err(error)) if Instant::now() >= self.until => {
                Err(format!("its lease of {lease:?} ran out: {error}"))
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "lease not renewed");
                Ok(None)
            }
            Err(_) => Err(format!("its lease of {lease:?} ran out")),
        }
    }

    /// One renewal, by somebody inside the store; the inner error says why the lock is lost.
    fn beat(&self, tree: &Tree) -> Result<Result<(Beat, Fingerprint), String>, Error> {
        if !self.holds(tree)? {
            return Ok(Err(self.replaced()));
        }
        match tree.read(&self.path)? {
            None => return Ok(Err("it was deleted".to_owned())),
            Some(value) if value != self.value => return Ok(Err("it was changed".to_owned())),
            Some(_) => {}
        }
        let file = tree.lock_of(&self.path);
        let Look::Record(record) = tree.look(&self.path).map_err(io_error("look up", &file))?
        else {
            return Ok(Err("it was deleted".to_owned()));
        };
        let Some(os) = self.os.upgrade() else {
            return Ok(Err("it was released".to_owned()));
        };
        let next = self.beat.next();
        os.sign(&next.text()).map_err(io_error("write", &file))?;
        // Only now: a process that slept before it wrote may have been replaced meanwhile.
        match self.holds(tree)? {
            true => Ok(Ok((next, record))),
            false => Ok(Err(self.replaced())),
        }
    }

    fn replaced(&self) -> String {
        let lease = self.store.lease;
        format!("another process took it, because its lease of {lease:?} was not renewed in time")
    }

    /// Whether the lock file is ours: nobody put another in its place.
    fn holds(&self, tree: &Tree) -> Result<bool, Error> {
        let file = tree.lock_of(&self.path);
        let note = fs::read(&file).map_err(io_error("read", &file))?;
        Ok(Beat::parse(&note).is_some_and(|beat| beat.holder == self.beat.holder))
    }

    fn delete_own_record(&self, inside: &Inside<'_>) -> Result<(), Error> {
        if self.holds(inside)? && inside.read(&self.path)?.as_ref() == Some(&self.value) {
            inside.remove(&self.path)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Held for FileLock {
    async fn release(self: Box<Self>) -> Result<(), Error> {
        let Self { own, keeper, os } = *self;
        drop(keeper);
        let store = own.store.clone();
        let release = move |inside: &Inside<'_>| {
            let deleted = own.delete_own_record(inside);
            drop(os);
            deleted
        };
        store.inside(release).await
    }

    fn abandon(self: Box<Self>) {
        let Self { own, keeper, os } = *self;
        drop(keeper);
        let turns = own.store.turns.clone();
        turns.run_soon(ABANDON_WAIT_MAX, move |inside| {
            if let Err(error) = own.delete_own_record(inside) {
                let path = &own.path;
                tracing::warn!(path, %error, "a dropped lock leaves its record behind");
            }
            drop(os);
        });
    }

    async fn lost(&self) -> String {
        self.keeper.lost().await
    }

    fn valid_until(&self) -> Instant {
        self.keeper.valid_until()
    }
}
