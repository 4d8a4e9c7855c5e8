//! Keeps the replies of one session in the order of its requests.
//!
//! Requests of a pipeline run on several backends and end in any order; a client must see their
//! replies in the order it asked. Each request takes the next place in a ring; its reply is put
//! there when it comes; what is complete at the head leaves. A reply that comes for the head
//! itself needs no storage at all, which is the common case and the reason for [`Ring::is_head`].
//! One that comes too early is copied to where others like it are, if it is small: replies of one
//! server are early by the dozen whenever another one is slower.
//!
//! The ring also counts the bytes of the requests that wait and of the replies that are kept for
//! them, so that the session knows when to stop reading, and when it keeps too much.

use std::collections::VecDeque;

use bytes::Bytes;

use super::reply::Reply;

/// Places whose memory an empty ring keeps.
const KEPT_MAX: usize = 256;

/// A reply that is shorter is copied when it has to wait.
const COPY_BYTES_MAX: usize = 1024;
/// Bytes of copied replies that one ring keeps; what comes beyond them is kept by itself.
const EARLY_BYTES_MAX: usize = 64 * 1024;
/// Memory for copied replies that an empty ring keeps.
const EARLY_KEPT_MAX: usize = 4096;

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
#[derive(Debug)]
pub struct Done<'a> {
    /// The wire form.
    pub reply: Reply<'a>,
    /// The session closes after this reply.
    pub last: bool,
}

/// A finished reply that waits.
#[derive(Debug)]
struct Early {
    kept: Kept,
    last: bool,
}

#[derive(Debug)]
enum Kept {
    /// In [`Ring::early`], from there on, so many bytes.
    Copied(u32, u32),
    Shared(Bytes),
}

impl Kept {
    fn len(&self) -> usize {
        match self {
            Kept::Copied(_, len) => *len as usize,
            Kept::Shared(bytes) => bytes.len(),
        }
    }
}

#[derive(Debug)]
struct Place {
    meta: Meta,
    done: Option<Early>,
}

/// The places of one session, oldest first.
#[derive(Debug, Default)]
pub struct Ring {
    head: u64,
    bytes: usize,
    done_bytes: usize,
    /// Small replies that wait, as long as any does.
    early: Vec<u8>,
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
        self.early.clear();
        self.early.shrink_to(EARLY_KEPT_MAX);
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
    pub fn complete(&mut self, number: u64, done: Done<'_>) -> Option<Meta> {
        let index = usize::try_from(number.checked_sub(self.head)?).ok()?;
        let place = self.places.get_mut(index)?;
        if place.done.is_some() {
            return None;
        }
        if self.done_bytes == 0 {
            self.early.clear();
        }
        let kept = match done.reply {
            Reply::Slice(slice)
                if slice.len() <= COPY_BYTES_MAX
                    && self.early.len() + slice.len() <= EARLY_BYTES_MAX =>
            {
                let at = self.early.len() as u32;
                self.early.extend_from_slice(slice);
                Kept::Copied(at, slice.len() as u32)
            }
            reply => Kept::Shared(reply.into_bytes()),
        };
        self.done_bytes += kept.len();
        place.done = Some(Early {
            kept,
            last: done.last,
        });
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
    pub fn pop_done(&mut self) -> Option<(Meta, Done<'_>)> {
        let Early { kept, last } = self.places.front_mut()?.done.take()?;
        self.done_bytes -= kept.len();
        let meta = self.take_head()?;
        let reply = match kept {
            Kept::Copied(at, len) => {
                let at = at as usize;
                Reply::Slice(&self.early[at..at + len as usize])
            }
            Kept::Shared(bytes) => Reply::Shared(bytes),
        };
        Some((meta, Done { reply, last }))
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

    /// A reply that is copied, or with odd numbers one that is shared.
    fn done(text: &str) -> Done<'_> {
        let reply = match text.ends_with(['1', '3', '5', '7', '9']) {
            true => Reply::Shared(Bytes::copy_from_slice(text.as_bytes())),
            false => Reply::Slice(text.as_bytes()),
        };
        Done { reply, last: false }
    }

    fn pop(ring: &mut Ring) -> Option<String> {
        let (_, done) = ring.pop_done()?;
        Some(String::from_utf8(done.reply.bytes().to_vec()).unwrap())
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
                let kept = |done: &Option<Early>| done.as_ref().map_or(0, |d| d.kept.len());
                let kept: usize = ring.places.iter().map(|place| kept(&place.done)).sum();
                prop_assert_eq!(ring.done_bytes(), kept);
                if ring.is_head(n) {
                    ring.take_head();
                    left.push(n.to_string());
                } else {
                    ring.complete(n, done(&n.to_string()));
                }
                while let Some(reply) = pop(&mut ring) {
                    left.push(reply);
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
        ring.complete(n, done("7"));
        ring.complete(n, done("8888"));
        assert_eq!(ring.done_bytes(), 1, "what is dropped is not counted");
        assert_eq!(pop(&mut ring).as_deref(), Some("7"));
        ring.complete(n, done("9"));
        ring.complete(n + 5, done("9"));
        assert_eq!(ring.done_bytes(), 0);
        assert!(ring.pop_done().is_none());
    }

    #[test]
    fn copies_of_early_replies_are_bounded_and_their_memory_is_used_again() {
        let mut ring = Ring::default();
        let reply = [b'x'; COPY_BYTES_MAX];
        let slice = || Done {
            reply: Reply::Slice(&reply),
            last: false,
        };
        let first = ring.push(meta(1));
        for _ in 0..200 {
            let n = ring.push(meta(1));
            ring.complete(n, slice());
        }
        assert_eq!(ring.early.len(), EARLY_BYTES_MAX);
        assert_eq!(ring.done_bytes(), 200 * COPY_BYTES_MAX);
        assert!(ring.is_head(first) && ring.take_head().is_some());
        while let Some((_, done)) = ring.pop_done() {
            assert_eq!(done.reply.bytes(), reply);
        }
        let (_, n) = (ring.push(meta(1)), ring.push(meta(1)));
        ring.complete(n, slice());
        assert_eq!(ring.early.len(), COPY_BYTES_MAX);
    }
}
