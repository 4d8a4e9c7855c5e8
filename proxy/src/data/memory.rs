//! A limit on what all sessions together keep in memory.
//!
//! One session is limited by itself, but a thousand of them may each keep a large half of a
//! request. What a session keeps is counted in steps, so a session of ordinary size never touches
//! the counter that all share. At the limit it is the sessions with large requests or replies that
//! are stopped or ended; the others go on.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::worker::Shared;

/// The step in which sessions are counted. Below it they count nothing.
const STEP_BYTES: usize = 64 * 1024;

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
}
