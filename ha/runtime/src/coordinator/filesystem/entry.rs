//! How a process gets into the store, and past one that is inside and does not move.
//!
//! Processes queue for `queue.lck`, the first of them takes `data.lck` and signs it: with its desk,
//! and with a name of this one entry. Who waits and sees the same entry for too long takes the
//! store. It holds `takeover.lck` from before it looks for the last time whether it is still that
//! entry, until its own locked file is in the place of `data.lck`. Who comes in looks after signing
//! whether that lock is free, and then whether its file is still in its place: either the one who
//! takes the store sees another entry and lets it be, or the one who comes sees the takeover, or
//! what it left, and steps back. Meanwhile the desk of the sleeper is moved away (see
//! [`desk`](super::desk)). `model` looks at every interleaving of that.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::inside::Inside;
use super::note::{self, Visitor};
use super::oslock::OsLock;
use super::tree::Tree;
use super::{BUSY_WAIT_MAX, Error, commit, io_error};

#[cfg(test)]
mod model;

const POLL_MIN: Duration = Duration::from_micros(200);
const POLL_MAX: Duration = Duration::from_millis(10);

/// Nobody is waited for longer who is stopped by a signal. Less when leases are short: the lock of
/// a leader that is stopped inside cannot be taken before.
const STOPPED_WAIT_MAX: Duration = Duration::from_secs(5);
/// The same for who is not, and hangs for another reason, perhaps the disk.
const SILENT_WAIT_MAX: Duration = Duration::from_secs(15);

/// What a process that waits sees of the one inside.
struct Watch<'t> {
    tree: &'t Tree,
    seen: Option<Sight>,
    since: Instant,
}

/// One entry of one process, as its note tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sight {
    inode: u64,
    note: Vec<u8>,
}

impl Sight {
    fn of(tree: &Tree) -> Result<Self, Error> {
        let file = &tree.lock_file;
        let look = || -> io::Result<Self> {
            let inode = fs::metadata(file)?.ino();
            let note = fs::read(file)?;
            Ok(Self { inode, note })
        };
        match look() {
            // Nobody has ever been inside.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            seen => seen.map_err(io_error("read", file)),
        }
    }
}

impl<'t> Watch<'t> {
    fn new(tree: &'t Tree) -> Self {
        Self {
            tree,
            seen: None,
            since: Instant::now(),
        }
    }

    /// For how long what is seen now has been the same.
    fn look(&mut self) -> Result<Duration, Error> {
        let now = Sight::of(self.tree)?;
        if self.seen.as_ref() != Some(&now) {
            self.seen = Some(now);
            self.since = Instant::now();
        }
        Ok(self.since.elapsed())
    }

    /// Who has been inside for too long, if it can be told and helped.
    fn sleeper(&mut self) -> Result<Option<(Sight, Visitor)>, Error> {
        let same = self.look()?;
        // Nobody is waited for less.
        if same <= stopped_wait(self.tree) {
            return Ok(None);
        }
        let Some(seen) = self.seen.clone() else {
            return Ok(None);
        };
        let Some(visitor) = Visitor::of_this_host(&seen.note) else {
            return Ok(None);
        };
        let silent_wait = SILENT_WAIT_MAX.min(self.tree.lease.mul_f64(1.5));
        let is_due = same > silent_wait || note::is_stopped(visitor.pid);
        Ok(is_due.then_some((seen, visitor)))
    }
}

fn stopped_wait(tree: &Tree) -> Duration {
    STOPPED_WAIT_MAX.min(tree.lease / 2)
}

impl Tree {
    /// Keeps every other process out until the result is dropped, and leaves no commit half made.
    pub fn enter(&self) -> Result<Inside<'_>, Error> {
        let mut watch = Watch::new(self);
        let queue = self.queue(&mut watch)?;
        let deadline = Instant::now() + BUSY_WAIT_MAX;
        let mut pause = POLL_MIN;
        let (data, desk) = loop {
            if let Some(entered) = self.try_data()? {
                break entered;
            }
            if let Some(entered) = self.take_over(&mut watch)? {
                break entered;
            }
            if Instant::now() >= deadline {
                return Err(self.busy(BUSY_WAIT_MAX));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(POLL_MAX);
        };
        let inside = Inside::new(self, desk, data, queue);
        commit::roll_forward(&inside)?;
        Ok(inside)
    }

    /// The same for who does not wait, and looks after a commit that is half made itself.
    pub fn try_enter(&self) -> Result<Option<Inside<'_>>, Error> {
        let entered = self.try_data()?;
        Ok(entered.map(|(data, desk)| Inside::new(self, desk, data, None)))
    }

    /// A place in the queue. It is for fairness alone, so one where nothing moves is left, for a
    /// new one.
    fn queue(&self, watch: &mut Watch<'_>) -> Result<Option<OsLock>, Error> {
        let file = &self.queue_file;
        let wait = stopped_wait(self);
        let waits = || watch.look().is_ok_and(|same| same <= wait);
        let place = OsLock::queue(file, waits).map_err(io_error("lock", file))?;
        match place {
            Some(place) => Ok(Some(place)),
            None => self.locked_at(file, b""),
        }
    }

    /// The lock of the store, signed.
    fn try_data(&self) -> Result<Option<(OsLock, Option<String>)>, Error> {
        let file = &self.lock_file;
        let Some(data) = OsLock::try_acquire(file).map_err(io_error("lock", file))? else {
            return Ok(None);
        };
        let desk = self.desk.prepared()?;
        if data.sign(&self.note(desk.as_deref())).is_err() {
            // A full disk can be read. From an entry without a note nothing is taken.
            data.sign(b"").map_err(io_error("write", file))?;
        }
        // In this order: a takeover that is over by now has put another file in the place of ours.
        let takeover = &self.takeover_file;
        let is_ours = !OsLock::is_held(takeover).map_err(io_error("lock", takeover))?
            && data.is_at(file).map_err(io_error("look up", file))?;
        Ok(is_ours.then_some((data, desk)))
    }

    fn note(&self, desk: Option<&str>) -> Vec<u8> {
        Visitor::new(desk.unwrap_or_default(), self.desk.fresh_name()).text()
    }

    /// The lock of a store in which somebody sleeps, signed; `None` while nobody does.
    fn take_over(&self, watch: &mut Watch<'_>) -> Result<Option<(OsLock, Option<String>)>, Error> {
        let Some((seen, sleeper)) = watch.sleeper()? else {
            return Ok(None);
        };
        let file = &self.takeover_file;
        let Some(alone) = OsLock::try_acquire(file).map_err(io_error("lock", file))? else {
            return Ok(None);
        };
        let desk = self.desk.prepared()?;
        let note = self.note(desk.as_deref());
        alone.sign(&note).map_err(io_error("write", file))?;
        // Nobody comes in any more: it is still the same one, or it was there before us.
        if Sight::of(self)? != seen {
            return Ok(None);
        }
        let moved = self.desk.take_away(&sleeper.desk)?;
        let Some(data) = self.locked_at(&self.lock_file, &note)? else {
            return Ok(None);
        };
        let (pid, waited) = (sleeper.pid, watch.since.elapsed());
        tracing::warn!(
            pid,
            ?waited,
            "took the store from a process that does not move inside"
        );
        // What a journal names is still needed.
        if let Some(moved) = moved
            && !commit::is_named(self, &sleeper.desk)?
        {
            self.desk.clear(&moved)?;
        }
        Ok(Some((data, desk)))
    }

    /// A locked file of our own in the place of `file`, which another process has locked.
    fn locked_at(&self, file: &Path, note: &[u8]) -> Result<Option<OsLock>, Error> {
        let fresh = self.desk.dir(&self.desk.fresh_name());
        let held = OsLock::try_acquire(&fresh).map_err(io_error("lock", &fresh))?;
        let Some(held) = held else {
            return Ok(None);
        };
        held.sign(note).map_err(io_error("write", &fresh))?;
        fs::rename(&fresh, file).map_err(io_error("rename", file))?;
        Ok(Some(held))
    }
}
