//! The one owner of the records: runs decisions one after the other, stores what comes out, applies
//! it and publishes, in the order of the dashboard's `state`.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use codis_core::backoff::Backoff;
use codis_core::ha::Term;
use codis_core::time::Time;
use codis_topom::edit::Edit;
use codis_topom::{Change, Cluster, Records};

use super::calls::{Calls, Purpose};
use super::load::{Batch, Loader, Step};
use crate::topom::wire::{Body, Node, StoreAnswer, StoreCall, TermRecord};

/// How long the client of the store waits.
pub const STORE_MAX: Duration = Duration::from_secs(5);
/// Pauses before records are read anew.
const RELOAD_MIN: Duration = Duration::from_millis(100);
/// The longest of them.
const RELOAD_MAX: Duration = Duration::from_secs(5);

/// Who waits for a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    /// The mover, for a slot.
    Mover(u16),
    /// The operator.
    Operator,
    /// A promotion of a group.
    Promotion(u32),
    /// The queue of orders to follow, for a server.
    Sync(Node),
    /// The poller of a proxy that started anew.
    Poll(usize),
}

/// What came of a change.
#[derive(Clone, Debug)]
pub struct Edited {
    /// Who asked.
    pub caller: Caller,
    /// The revision that has it, or why not.
    pub outcome: Result<u64, String>,
}

/// A function of the records.
pub type Decide = Box<dyn FnOnce(&Cluster) -> Edit + Send>;

enum Work {
    Idle,
    Reloading(Loader),
    Storing {
        batch: Batch,
        changes: Vec<Change>,
        caller: Caller,
    },
}

/// The owner.
pub struct Owner {
    guard: TermRecord,
    /// Grows with each change.
    pub revision: u64,
    /// The records.
    pub cluster: Arc<Cluster>,
    queue: VecDeque<(Caller, Decide)>,
    work: Work,
    dirty: bool,
    reload: Backoff,
    reload_at: Option<Time>,
    /// What ended, for those who wait.
    pub edited: VecDeque<Edited>,
    /// Another board leads.
    pub fenced: bool,
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Owner(revision {}, dirty {})", self.revision, self.dirty)
    }
}

impl Owner {
    /// The owner of what was read.
    pub fn new(guard: TermRecord, records: Records) -> Self {
        let Term(seed) = guard.term;
        Self {
            guard,
            revision: 1,
            cluster: Arc::new(Cluster::load(records)),
            queue: VecDeque::new(),
            work: Work::Idle,
            dirty: false,
            reload: Backoff::new(RELOAD_MIN, RELOAD_MAX, seed),
            reload_at: None,
            edited: VecDeque::new(),
            fenced: false,
        }
    }

    /// Queues a decision.
    pub fn edit(&mut self, caller: Caller, decide: Decide) {
        self.queue.push_back((caller, decide));
    }

    /// Whether nothing waits or is being stored.
    pub fn is_idle(&self) -> bool {
        matches!(self.work, Work::Idle) && self.queue.is_empty() && !self.dirty
    }

    /// When to call [`Owner::run`] again at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.reload_at.filter(|_| matches!(self.work, Work::Idle))
    }

    /// Goes on with what there is to do.
    pub fn run(&mut self, now: Time, calls: &mut Calls) {
        while matches!(self.work, Work::Idle) {
            let due = self.reload_at.is_some_and(|at| at <= now);
            if self.dirty && (due || !self.queue.is_empty()) {
                let (loader, first) = Loader::new(self.guard);
                self.work = Work::Reloading(loader);
                calls.ask(Purpose::Reload, STORE_MAX, Body::Store(first));
                return;
            }
            let Some((caller, decide)) = self.queue.pop_front() else {
                if self.dirty && self.reload_at.is_none() {
                    self.reload_at = Some(now + self.reload.next_delay());
                }
                return;
            };
            match decide(&self.cluster) {
                Err(refusal) => self.end(caller, Err(refusal.to_string())),
                Ok(changes) => self.store(caller, changes, calls),
            }
        }
    }

    fn store(&mut self, caller: Caller, changes: Vec<Change>, calls: &mut Calls) {
        let Some(mut batch) = Batch::new(self.guard, &changes) else {
            if !changes.is_empty() {
                self.apply(&changes);
            }
            return self.end(caller, Ok(self.revision));
        };
        if let Step::Ask(call) = batch.next() {
            calls.ask(Purpose::Commit, STORE_MAX, Body::Store(call));
        }
        self.work = Work::Storing {
            batch,
            changes,
            caller,
        };
    }

    /// The store has answered.
    pub fn handle(&mut self, answer: Option<StoreAnswer>, calls: &mut Calls) {
        match std::mem::replace(&mut self.work, Work::Idle) {
            Work::Idle => {}
            Work::Reloading(mut loader) => match loader.handle(answer) {
                Step::Ask(call) => {
                    calls.ask(Purpose::Reload, STORE_MAX, Body::Store(call));
                    self.work = Work::Reloading(loader);
                }
                Step::Done(records) => self.reloaded(records),
                Step::Fenced => self.not_reloaded(true),
                Step::Failed => self.not_reloaded(false),
            },
            Work::Storing {
                mut batch,
                changes,
                caller,
            } => match batch.handle(answer) {
                Step::Ask(call) => self.go_on(call, batch, changes, caller, calls),
                Step::Done(()) => {
                    self.apply(&changes);
                    self.end(caller, Ok(self.revision));
                }
                Step::Fenced => {
                    self.dirty = true;
                    self.fenced = true;
                    self.end(caller, Err("another dashboard leads".to_owned()));
                }
                Step::Failed => {
                    self.dirty = true;
                    self.end(caller, Err("store: update failed".to_owned()));
                }
            },
        }
    }

    fn go_on(
        &mut self,
        call: StoreCall,
        batch: Batch,
        changes: Vec<Change>,
        caller: Caller,
        calls: &mut Calls,
    ) {
        calls.ask(Purpose::Commit, STORE_MAX, Body::Store(call));
        self.work = Work::Storing {
            batch,
            changes,
            caller,
        };
    }

    fn reloaded(&mut self, records: Records) {
        let mut cluster = Cluster::load(records);
        cluster.keep_what_is_not_stored(&self.cluster);
        self.dirty = false;
        self.reload.reset();
        self.reload_at = None;
        if cluster != *self.cluster {
            self.cluster = Arc::new(cluster);
            self.revision += 1;
        }
    }

    /// Whoever waits first is told, and the next one tries again.
    fn not_reloaded(&mut self, fenced: bool) {
        self.fenced |= fenced;
        self.reload_at = None;
        if let Some((caller, _)) = self.queue.pop_front() {
            self.end(caller, Err("store: load records failed".to_owned()));
        }
    }

    fn apply(&mut self, changes: &[Change]) {
        let cluster = Arc::make_mut(&mut self.cluster);
        changes.iter().for_each(|change| cluster.apply(change));
        self.revision += 1;
    }

    fn end(&mut self, caller: Caller, outcome: Result<u64, String>) {
        self.edited.push_back(Edited { caller, outcome });
    }
}
