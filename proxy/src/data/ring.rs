//! Keeps the replies of one session in the order of its requests.
//!
//! Requests of a pipeline run on several backends and end in any order; a client must see their
//! replies in the order it asked. Each request takes the next place in a ring; its reply is put
//! there when it comes; what is complete at the head leaves. A reply that comes for the head
//! itself needs no storage at all, which is the common case and the reason for [`Ring::is_head`].
//!
//! The ring also counts the bytes of the requests that wait and of the replies that are kept for
//! them, so that the session knows when to stop reading, and when it keeps too much.

use std::collections::VecDeque;

use bytes::Bytes;

/// Places whose memory an empty ring keeps.
const KEPT_MAX: usize = 256;

/// What a place remembers for the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Index of the command's counters.
    pub command: u16,
    /// Size of the request.
    pub bytes: u32,
    /// When the request was decoded, in microseconds of the worker's clock.
    pub born: u64,
}

/// A finished reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The wire form.
    pub reply: Bytes,
    /// The session closes after this reply.
    pub last: bool,
}

#[derive(Debug)]
struct Place {
    meta: Meta,
    done: Option<Done>,
}

/// The places of one session, oldest first.
#[derive(Debug, Default)]
pub struct Ring {
    head: u64,
    bytes: usize,
    done_bytes: usize,
    places: VecDeque<Place>,
}

impl Ring {
    /// Makes an empty ring give its next place the number `head`.
    pub fn start_at(&mut self, head: u64) {
        debug_assert!(self.places.is_empty(), "a ring in use");
        self.head = head;
    }

    /// Gives back the memory of a long pipeline.
    pub fn trim(&mut self) {
        self.places.shrink_to(KEPT_MAX);
    }

    /// Takes the next place and returns its number.
    pub fn push(&mut self, meta: Meta) -> u64 {
        let number = self.head + self.places.len() as u64;
        self.bytes += meta.bytes as usize;
        self.places.push_back(Place { meta, done: None });
        number
    }

    /// Whether `number` is the oldest place.
    pub fn is_head(&self, number: u64) -> bool {
        number == self.head && !self.places.is_empty()
    }

    /// Puts a reply into its place, and gives what the place remembers. A second reply for one
    /// place, or one for a place that has left, is dropped: the first answer stands.
    pub fn complete(&mut self, number: u64, done: Done) -> Option<Meta> {
        let index = usize::try_from(number.checked_sub(self.head)?).ok()?;
        let place = self.places.get_mut(index)?;
        if place.done.is_some() {
            return None;
        }
        self.done_bytes += done.reply.len();
        place.done = Some(done);
        Some(place.meta)
    }

    /// What a place remembers, as long as its request waits.
    pub fn meta(&self, number: u64) -> Option<Meta> {
        let index = usize::try_from(number.checked_sub(self.head)?).ok()?;
        Some(self.places.get(index)?.meta)
    }

    /// Removes the head whose reply the caller delivers by itself.
    pub fn take_head(&mut self) -> Option<Meta> {
        let place = self.places.pop_front()?;
        self.head += 1;
        self.bytes -= place.meta.bytes as usize;
        Some(place.meta)
    }

    /// Removes the head if its reply is there.
    pub fn pop_done(&mut self) -> Option<(Meta, Done)> {
        let done = self.places.front_mut()?.done.take()?;
        self.done_bytes -= done.reply.len();
        let meta = self.take_head()?;
        Some((meta, done))
    }

    /// How many requests wait.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no request waits.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The bytes of the requests that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes of the replies that wait for others before them.
    pub fn done_bytes(&self) -> usize {
        self.done_bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn meta(bytes: u32) -> Meta {
        Meta {
            command: 0,
            bytes,
            born: 0,
        }
    }

    fn done(n: u64) -> Done {
        Done {
            reply: Bytes::from(n.to_string()),
            last: false,
        }
    }

    proptest! {
        /// Whatever the order in which replies come, they leave in the order of the requests.
        #[test]
        fn replies_leave_in_request_order(
            order in Just((0..50u64).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut ring = Ring::default();
            for n in 0..50 {
                prop_assert_eq!(ring.push(meta(3)), n);
            }
            let mut left = Vec::new();
            for n in order {
                let kept = |done: &Option<Done>| done.as_ref().map_or(0, |d| d.reply.len());
                let kept: usize = ring.places.iter().map(|place| kept(&place.done)).sum();
                prop_assert_eq!(ring.done_bytes(), kept);
                if ring.is_head(n) {
                    ring.take_head();
                    left.push(n.to_string());
                } else {
                    ring.complete(n, done(n));
                }
                while let Some((_, done)) = ring.pop_done() {
                    left.push(String::from_utf8(done.reply.to_vec()).unwrap());
                }
            }
            prop_assert!(ring.is_empty());
            prop_assert_eq!(ring.bytes(), 0);
            prop_assert_eq!(ring.done_bytes(), 0);
            prop_assert_eq!(left, (0..50).map(|n: u64| n.to_string()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_answer_stands() {
        let mut ring = Ring::default();
        let n = ring.push(meta(1));
        ring.complete(n, done(7));
        ring.complete(n, done(8888));
        assert_eq!(ring.done_bytes(), 1, "what is dropped is not counted");
        assert_eq!(ring.pop_done().map(|(_, d)| d), Some(done(7)));
        ring.complete(n, done(9));
        ring.complete(n + 5, done(9));
        assert_eq!(ring.done_bytes(), 0);
        assert!(ring.pop_done().is_none());
    }
}
