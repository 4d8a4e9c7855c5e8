//! The calls of one board that have no answer yet, and what each is for.

use std::collections::BTreeMap;
use std::time::Duration;

use codis_core::time::Time;
use codis_topom::forms::Wanted;

use crate::topom::wire::{Ask, Body, Node};

/// What a call is for.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// The lock.
    Lock { session: u64, sent: Time },
    /// The last term, after the lock was taken.
    LastTerm,
    /// The next term.
    Fence,
    /// The end of the lock.
    Release,
    /// The lease of the lock.
    Renew { session: u64, sent: Time },
    /// Records, to lead.
    Load,
    /// Records, after a store that failed.
    Reload,
    /// A change.
    Commit,
    /// A proxy's figures.
    Stats { proxy: usize },
    /// Whether a proxy's kernel takes connections: before the witness, or at the end of its time.
    Connect { proxy: usize, last: bool },
    /// The call that shows whether a proxy is stopped.
    Witness { proxy: usize, sent: Time },
    /// Whether a proxy holds what it should.
    Digest {
        proxy: usize,
        row: u64,
        id: u64,
        expected: Wanted,
    },
    /// What a proxy holds.
    Slots { proxy: usize, row: u64, id: u64 },
    /// Slots for a proxy.
    Fill { proxy: usize, row: u64, id: u64 },
    /// The word that the routes are current.
    Lift { proxy: usize, stalls: u64 },
    /// The word that a proxy may serve.
    Start { proxy: usize },
    /// Keys on their way.
    Migrate { slot: u16 },
    /// A source without a command.
    Quiesce { slot: u16 },
    /// A promotion, of a server.
    Promote { group: u32, to: Node },
    /// An order to follow.
    Sync { server: Node },
}

impl Purpose {
    /// Whether it belongs to a term, and ends with it.
    const fn is_of_term(&self) -> bool {
        !matches!(
            self,
            Self::Lock { .. } | Self::LastTerm | Self::Fence | Self::Release | Self::Renew { .. }
        )
    }
}

/// The open calls.
#[derive(Debug, Default)]
pub struct Calls {
    next: u64,
    open: BTreeMap<u64, Purpose>,
    out: Vec<Ask>,
}

impl Calls {
    /// Makes a call.
    pub fn ask(&mut self, purpose: Purpose, limit: Duration, body: Body) -> u64 {
        self.next += 1;
        self.open.insert(self.next, purpose);
        self.out.push(Ask {
            call: self.next,
            limit,
            body,
        });
        self.next
    }

    /// The purpose of a call that is answered for the first time.
    pub fn answered(&mut self, call: u64) -> Option<Purpose> {
        self.open.remove(&call)
    }

    /// Nobody waits for this one any more.
    pub fn forget(&mut self, call: u64) {
        self.open.remove(&call);
    }

    /// Nobody waits any more for what belongs to a term.
    pub fn end_term(&mut self) {
        self.open.retain(|_, purpose| !purpose.is_of_term());
    }

    /// What leaves now.
    pub fn take(&mut self) -> Vec<Ask> {
        std::mem::take(&mut self.out)
    }
}
