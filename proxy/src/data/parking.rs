//! What waits for a slot, and its limits in time and memory.
//!
//! Requests of a held slot are parked until another table opens it. They and the requests of
//! migrating slots ([`super::migrate`]) have one limit of memory, `slot_wait_max_bytes` shared out
//! among the workers, and one of time, `slot_wait_timeout`. A request beyond the first is refused
//! rather than kept out: its session goes on with requests for other slots.

use std::collections::VecDeque;

use bytes::Bytes;

use super::raw::Raw;
use super::reply::{self, Reply};
use super::request::{Outcome, Request};
use super::worker::Worker;
use crate::route::Table;

/// What keeping a request takes beside its bytes: itself, its place in a queue and in its session.
const OVERHEAD_BYTES: usize = 256;

/// A request of this size has most of its buffer for itself.
const SHARED_BYTES_MIN: usize = 64 * 1024;

/// What a request of so many bytes takes while it waits.
pub const fn weight(len: usize) -> usize {
    len + OVERHEAD_BYTES
}

/// The parked requests of a worker.
#[derive(Debug, Default)]
pub struct Parking {
    all: VecDeque<Request>,
    bytes: usize,
}

impl Parking {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Worker {
    /// Whether one more request of `len` bytes may wait for a slot. Counts it if not.
    pub fn admits(&self, len: usize) -> bool {
        let (_, bytes) = self.slot_waiting();
        let workers = self.shared.started().count().max(1);
        let limit = self.settings().slot_wait_max_bytes.as_usize() / workers;
        let fits = bytes + weight(len) <= limit;
        if !fits {
            self.local.counters().slot_refusals.add(1);
        }
        fits
    }

    /// Requests that wait for a slot, and what they take.
    pub(super) fn slot_waiting(&self) -> (usize, usize) {
        let (parked, lines) = (self.parked.borrow(), self.lines.borrow());
        (parked.len() + lines.len(), parked.bytes + lines.bytes())
    }

    /// Keeps a request until its slot is open.
    pub fn park(&self, mut request: Request) {
        // A small request shares a buffer with others; the buffer must not wait with it.
        if request.raw.len() < SHARED_BYTES_MIN {
            request.raw = Raw::from(Bytes::copy_from_slice(&request.raw));
        }
        let mut parked = self.parked.borrow_mut();
        parked.bytes += weight(request.raw.len());
        parked.all.push_back(request);
    }

    /// Takes out what `test` names, in order.
    fn take_parked(&self, test: impl Fn(&Request) -> bool) -> Vec<Request> {
        let mut parked = self.parked.borrow_mut();
        if !parked.all.iter().any(&test) {
            return Vec::new();
        }
        let all = std::mem::take(&mut parked.all).into_iter();
        let (taken, kept): (Vec<_>, Vec<_>) = all.partition(test);
        parked.bytes = kept.iter().map(|request| weight(request.raw.len())).sum();
        parked.all = kept.into();
        taken
    }

    /// Takes out what does not wait any more for all of its slots.
    pub(super) fn take_opened(&self, table: &Table) -> Vec<Request> {
        self.take_parked(|request| request.any_slot(|slot| !table.route(slot).hold.is_held()))
    }

    /// Whether a request that waits since then has waited for too long.
    pub(super) fn is_late(&self, since: u64) -> bool {
        let limit = self.settings().slot_wait_timeout.duration().as_micros() as u64;
        self.local.now().saturating_sub(since) > limit
    }

    pub(super) fn sweep_parked(&self) {
        drop(self.take_parked(Request::is_moot));
        for request in self.take_parked(|request| self.is_late(request.since)) {
            self.local.counters().slot_timeouts.add(1);
            request.finish(Reply::Shared(reply::SLOT_LOCKED), Outcome::Failed);
        }
    }
}
