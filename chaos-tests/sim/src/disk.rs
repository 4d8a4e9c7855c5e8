//! A sentinel's disk: one write at a time, of the newest snapshot asked for.
//!
//! A snapshot is there as a whole or not at all (write, sync, rename). While a write is under way
//! a crash leaves the old one or the new one. A write that fails may have reached the disk all the
//! same, when only the last sync failed.

use codis_sentinel_proto::ids::PersistId;
use codis_sentinel_proto::persist::Snapshot;

use crate::fault::Loss;
use crate::moment::Moment;

/// One disk. It outlives its sentinel's process.
#[derive(Debug)]
pub struct Disk {
    /// What a start would read now.
    pub held: Snapshot,
    /// The version before that.
    before: Snapshot,
    /// What the operator wrote.
    said: Snapshot,
    /// What the disk confirmed last: all that may be relied on.
    pub confirmed: Snapshot,
    /// Its name in this life of the process; zero before the first.
    pub confirmed_id: PersistId,
    /// The write under way.
    pub writing: Option<(PersistId, Snapshot)>,
    /// The next one.
    pub waiting: Option<(PersistId, Snapshot)>,
    /// It fails all writes that end before then.
    pub refuses_until: Moment,
    /// Each write that starts before then takes `extra` longer.
    pub slow_until: Moment,
    /// See `slow_until`.
    pub extra: std::time::Duration,
}

impl Disk {
    /// A disk that holds a snapshot.
    pub fn new(snapshot: Snapshot) -> Self {
        Self {
            held: snapshot.clone(),
            before: snapshot.clone(),
            said: snapshot.clone(),
            confirmed: snapshot,
            confirmed_id: PersistId(0),
            writing: None,
            waiting: None,
            refuses_until: Moment::default(),
            slow_until: Moment::default(),
            extra: std::time::Duration::ZERO,
        }
    }

    /// Takes an order to write. Tells whether a write starts now.
    pub fn order(&mut self, id: PersistId, snapshot: Snapshot) -> bool {
        if self.writing.is_some() {
            self.waiting = Some((id, snapshot));
            return false;
        }
        self.writing = Some((id, snapshot));
        true
    }

    /// Ends the write under way: its id and whether it is durable. `lands` says whether one that
    /// fails reached the disk nevertheless.
    pub fn finish(&mut self, now: Moment, lands: bool) -> Option<(PersistId, bool)> {
        let (id, snapshot) = self.writing.take()?;
        let ok = now >= self.refuses_until;
        if ok {
            self.land(snapshot.clone());
            self.confirmed = snapshot;
            self.confirmed_id = id;
        } else if lands {
            self.land(snapshot);
        }
        Some((id, ok))
    }

    /// Writes at once, as a process does that waits for its disk. One that is refused changes
    /// nothing.
    pub fn write_now(&mut self, now: Moment, id: PersistId, snapshot: Snapshot) {
        if now >= self.refuses_until {
            self.land(snapshot.clone());
            self.confirmed = snapshot;
            self.confirmed_id = id;
        }
    }

    fn land(&mut self, snapshot: Snapshot) {
        self.before = std::mem::replace(&mut self.held, snapshot);
    }

    /// Loses what it held. A start sees that, unless it is not `marked`.
    pub fn lose(&mut self, loss: Loss, marked: bool) {
        self.held = match loss {
            Loss::Last => self.before.clone(),
            Loss::All => self.said.clone(),
        };
        if loss == Loss::All {
            for master in self.held.masters.values_mut() {
                master.sentinels.clear();
            }
        }
        self.held.rejoining |= marked;
        self.confirmed = self.held.clone();
        self.before = self.held.clone();
    }

    /// Starts the waiting write. Tells whether there is one.
    pub fn next(&mut self) -> bool {
        if self.writing.is_none() {
            self.writing = self.waiting.take();
        }
        self.writing.is_some()
    }

    /// The process dies. `lands` says whether the write under way reached the disk.
    pub fn crash(&mut self, lands: bool) {
        if let Some((_, snapshot)) = self.writing.take()
            && lands
        {
            self.land(snapshot);
        }
        self.waiting = None;
        self.confirmed = self.held.clone();
        self.confirmed_id = PersistId(0);
    }
}
