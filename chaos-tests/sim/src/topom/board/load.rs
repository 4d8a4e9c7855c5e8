//! Reading all records, and finishing the edit that another leader left half done, in the order of
//! the dashboard's store.

use std::collections::VecDeque;

use codis_topom::{Change, Records};

use crate::topom::store::take;
use crate::topom::wire::{Section, StoreAnswer, StoreCall, TermRecord, Write};

/// Writes of one commit: small, so that some edits need several.
pub const COMMIT_WRITES_MAX: usize = 4;

/// What comes next.
#[derive(Debug)]
pub enum Step<T> {
    /// This call.
    Ask(StoreCall),
    /// The end.
    Done(T),
    /// Another one leads.
    Fenced,
    /// The store did not do it.
    Failed,
}

/// A batch of writes that happens whole or not at all.
#[derive(Debug)]
pub struct Batch {
    guard: TermRecord,
    rest: VecDeque<Vec<Write>>,
}

impl Batch {
    /// The writes for `changes`; none when there is nothing to store.
    pub fn new(guard: TermRecord, changes: &[Change]) -> Option<Self> {
        let stored =
            |change: &&Change| !matches!(change, Change::Hold { .. } | Change::Lock { .. });
        let records: Vec<Change> = changes.iter().filter(stored).cloned().collect();
        if records.is_empty() {
            return None;
        }
        if records.len() <= COMMIT_WRITES_MAX {
            let all = records.into_iter().map(Box::new).map(Write::Record);
            let all = all.collect();
            let rest = VecDeque::from([all]);
            return Some(Self { guard, rest });
        }
        let mut batch = Self::carry_out(guard, records.clone());
        batch.rest.push_front(vec![Write::Edit(records)]);
        Some(batch)
    }

    /// The writes of an edit that is on record.
    pub fn carry_out(guard: TermRecord, changes: Vec<Change>) -> Self {
        let writes = changes.into_iter().map(Box::new).map(Write::Record);
        let writes: Vec<Write> = writes.chain([Write::ForgetEdit]).collect();
        let rest = writes.chunks(COMMIT_WRITES_MAX).map(<[Write]>::to_vec);
        let rest = rest.collect();
        Self { guard, rest }
    }

    /// The next commit, or the end.
    pub fn next(&mut self) -> Step<()> {
        match self.rest.pop_front() {
            Some(writes) => Step::Ask(StoreCall::Commit {
                guard: self.guard,
                writes,
            }),
            None => Step::Done(()),
        }
    }

    /// What comes after a commit.
    pub fn handle(&mut self, answer: Option<StoreAnswer>) -> Step<()> {
        match answer {
            Some(StoreAnswer::Done) => self.next(),
            Some(StoreAnswer::Changed) => Step::Fenced,
            Some(_) | None => Step::Failed,
        }
    }
}

/// A reading of all records.
#[derive(Debug)]
pub struct Loader {
    guard: TermRecord,
    finishing: Option<Batch>,
    section: usize,
    records: Records,
}

impl Loader {
    /// Begins.
    pub fn new(guard: TermRecord) -> (Self, StoreCall) {
        let loader = Self {
            guard,
            finishing: None,
            section: 0,
            records: Records::default(),
        };
        (loader, StoreCall::ReadEdit)
    }

    /// What comes after an answer.
    pub fn handle(&mut self, answer: Option<StoreAnswer>) -> Step<Records> {
        if let Some(batch) = &mut self.finishing {
            match batch.handle(answer) {
                Step::Ask(call) => return Step::Ask(call),
                Step::Fenced => return Step::Fenced,
                Step::Failed => return Step::Failed,
                Step::Done(()) => self.finishing = None,
            }
            return self.read();
        }
        match answer {
            Some(StoreAnswer::Edit(None)) => self.read(),
            Some(StoreAnswer::Edit(Some(changes))) => {
                let mut batch = Batch::carry_out(self.guard, changes);
                let first = batch.next();
                self.finishing = Some(batch);
                match first {
                    Step::Ask(call) => Step::Ask(call),
                    Step::Done(()) | Step::Fenced | Step::Failed => Step::Failed,
                }
            }
            Some(StoreAnswer::Records(found)) => {
                for change in found {
                    take(&mut self.records, change);
                }
                self.section += 1;
                self.read()
            }
            Some(_) | None => Step::Failed,
        }
    }

    fn read(&mut self) -> Step<Records> {
        match Section::ALL.get(self.section) {
            Some(section) => Step::Ask(StoreCall::Read(*section)),
            None => Step::Done(std::mem::take(&mut self.records)),
        }
    }
}
