//! A limit on what all sessions together keep in memory.
//!
//! One session is limited by itself, but a thousand of them may each keep a large half of a
//! request. What a session keeps is counted in steps, so a session of ordinary size never touches
//! the counter that all share. At the limit it is the sessions with large requests or replies that
//! are stopped or ended; the others go on.
//!
//! Replies are what can come without end: a client may have asked for a lot before the size of a
//! single reply was known, and it may not read, or the first of its replies may not come. So a
//! session that keeps more replies than its part of the memory is ended, the sooner the more the
//! sessions keep together. Somebody keeps more than the part as long as there is more than the
//! limit, so there is always one to end.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::request::{Origin, Request};
use super::session::Session;
use super::worker::{Shared, Worker};

/// The step in which sessions are counted. Below it they count nothing.
const STEP_BYTES: usize = 64 * 1024;

/// How long a session may keep more replies than its part: above the limit, from nine eighths of
/// it on, and from ten eighths on. Replies that leave in time are those of a client that reads.
const PATIENCE: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_millis(20),
    Duration::ZERO,
];

/// Whether a session that kept `before` and keeps `after` has to count itself again.
pub(super) const fn is_step(before: usize, after: usize) -> bool {
    before / STEP_BYTES != after / STEP_BYTES
}

/// What one session has told of itself.
#[derive(Debug)]
pub(super) struct Share {
    shared: Arc<Shared>,
    told: usize,
}

impl Share {
    /// The share of a session that keeps nothing yet.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, told: 0 }
    }

    /// Counts `bytes` for this session from now on.
    pub(super) fn set(&mut self, bytes: usize) {
        let now = bytes - bytes % STEP_BYTES;
        if now > self.told {
            let more = now - self.told;
            self.shared.buffered.fetch_add(more, Ordering::Relaxed);
        } else if now < self.told {
            let less = self.told - now;
            self.shared.buffered.fetch_sub(less, Ordering::Relaxed);
        }
        self.told = now;
    }

    /// Whether a session that keeps `bytes` is one of those that must not grow.
    pub(super) fn is_over(&self, bytes: usize) -> bool {
        bytes >= STEP_BYTES && self.shared.is_memory_full()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl Shared {
    /// Whether the sessions together keep more than `session_max_buffered`.
    pub fn is_memory_full(&self) -> bool {
        let max = self.settings.session_max_buffered.as_usize();
        max > 0 && self.buffered.load(Ordering::Relaxed) > max
    }

    /// How long a session may keep `bytes` of replies; `None` is for as long as it likes.
    pub(super) fn patience(&self, bytes: usize) -> Option<Duration> {
        let max = self.settings.session_max_buffered.as_usize();
        if max == 0 || bytes < STEP_BYTES {
            return None;
        }
        let part = max / self.alive.load(Ordering::Relaxed).max(1);
        let kept = self.buffered.load(Ordering::Relaxed);
        if bytes <= part || kept <= max {
            return None;
        }
        let eighths = (kept - max) / (max / 8).max(1);
        Some(PATIENCE[eighths.min(PATIENCE.len() - 1)])
    }
}

impl Worker {
    /// Drops what is kept of split commands of a session that has closed and whose other parts
    /// are still under way; a server that hangs would keep it alive.
    pub(super) fn forget_parts(&self, session: &Rc<Session>) {
        let forget = |request: &Request| {
            if let Origin::Part(command, _) = &request.origin
                && Rc::ptr_eq(&command.session, session)
            {
                command.split.borrow_mut().forget();
            }
        };
        for conn in self.conns() {
            let state = conn.state.borrow();
            state.queue.iter().for_each(forget);
            let in_flight = state.flight.iter().filter_map(|f| f.request.as_ref());
            in_flight.for_each(forget);
        }
    }
}

#[cfg(test)]
mod tests {
    use codis_core::units::ByteSize;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn small_sessions_are_not_counted_and_large_ones_are_until_they_end() {
        let settings = Settings {
            session_max_buffered: ByteSize::from_kib(128),
            ..Settings::default()
        };
        let shared = Arc::new(Shared::new(Arc::new(settings), 1));
        let counted = || shared.buffered.load(Ordering::Relaxed);
        let mut small = Share::new(shared.clone());
        small.set(STEP_BYTES - 1);
        assert_eq!(counted(), 0);
        let mut large = Share::new(shared.clone());
        large.set(3 * STEP_BYTES + 5);
        assert_eq!(counted(), 3 * STEP_BYTES);
        assert!(large.is_over(STEP_BYTES) && !small.is_over(100));
        large.set(2 * STEP_BYTES);
        assert!(!large.is_over(STEP_BYTES), "at the limit is not over it");
        drop(large);
        assert_eq!(counted(), 0);
    }

    #[test]
    fn patience_ends_the_sooner_the_more_is_kept_and_only_for_those_with_more_than_their_part() {
        const KIB: usize = 1024;
        let settings = Settings {
            session_max_buffered: ByteSize::from_kib(1024),
            ..Settings::default()
        };
        let shared = Shared::new(Arc::new(settings), 1);
        shared.alive.store(4, Ordering::Relaxed);
        let patience = |kept: usize, bytes: usize| {
            shared.buffered.store(kept * KIB, Ordering::Relaxed);
            shared.patience(bytes * KIB)
        };
        assert_eq!(patience(1024, 1024), None, "at the limit is not over it");
        assert_eq!(patience(1025, 257), Some(PATIENCE[0]));
        assert_eq!(patience(1152, 257), Some(PATIENCE[1]));
        assert_eq!(patience(1280, 257), Some(PATIENCE[2]));
        assert_eq!(patience(9999, 257), Some(PATIENCE[2]));
        assert_eq!(patience(9999, 256), None, "that is its part");
        shared.alive.store(1000, Ordering::Relaxed);
        assert_eq!(patience(9999, 63), None, "small sessions are not counted");
        assert_eq!(patience(9999, 64), Some(PATIENCE[2]));
    }

    #[test]
    fn without_a_limit_patience_has_no_end() {
        let settings = Settings {
            session_max_buffered: ByteSize::from_kib(0),
            ..Settings::default()
        };
        let shared = Shared::new(Arc::new(settings), 1);
        shared.buffered.store(usize::MAX, Ordering::Relaxed);
        assert_eq!(shared.patience(usize::MAX), None);
    }
}
