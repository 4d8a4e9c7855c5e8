//! What will happen, in order of time; of things due at the same moment, the one asked for first
//! comes first.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::moment::Moment;

/// A queue of future happenings.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Entry<T>>,
    next: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Moment,
    seq: u64,
    what: T,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            next: 0,
        }
    }

    /// Adds a happening.
    pub fn push(&mut self, at: Moment, what: T) {
        self.heap.push(Entry {
            at,
            seq: self.next,
            what,
        });
        self.next += 1;
    }

    /// Takes the next one.
    pub fn pop(&mut self) -> Option<(Moment, T)> {
        self.heap.pop().map(|entry| (entry.at, entry.what))
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives its greatest first: the earliest must be the greatest.
        (other.at, other.seq).cmp(&(self.at, self.seq))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}
