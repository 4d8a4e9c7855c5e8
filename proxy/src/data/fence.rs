//! The stall fence: what a worker that stood still does before it goes on.
//!
//! A process that was stopped for seconds goes on with the routes of then. Meanwhile the dashboard
//! may have moved slots without waiting for it, so a write by those routes would go to a server
//! that the key has left. A worker therefore looks at its own clock on each wake-up. After a gap
//! that only a stop explains it takes nothing from the queues of its links, until a dashboard says
//! that the routes are current, or `ha_hold` passes, so that a proxy whose dashboard is gone
//! serves on. What is queued meanwhile follows each new table as always.
//!
//! A word that was sent before the stop, and lay in a buffer since, must not count:
//! it names how many stalls it knows of, and lifts the fence for those alone. The fence is armed by
//! the first such word, for a dashboard that never sends one waits for every proxy anyway.
//!
//! The cost is one comparison for each reading of the clock and one flag for each gathering. What
//! is left open: bytes that were gathered for one write before the stop leave after it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::worker::Worker;

/// A gap between two readings of a worker's clock that shows a stop. An idle worker wakes up once a
/// second; a dashboard counts a proxy as stopped after 3 s without an answer.
pub const STALL_MIN: Duration = Duration::from_millis(2500);
/// With a shorter `ha_hold` there is no fence: the dashboard's word would come too late.
pub const HOLD_MIN: Duration = Duration::from_secs(2);

/// The fence of a process.
#[derive(Debug, Default)]
pub struct Fence {
    armed: AtomicBool,
    stalls: AtomicU64,
    lifted: AtomicU64,
    raised: AtomicU64,
    expired: AtomicU64,
    held_micros: AtomicU64,
}

impl Fence {
    /// How often a worker stood still.
    pub fn stalls(&self) -> u64 {
        self.stalls.load(Ordering::Acquire)
    }

    /// How often the fence went up before a worker.
    pub fn raised(&self) -> u64 {
        self.raised.load(Ordering::Relaxed)
    }

    /// How often it fell before a worker without the word of a dashboard.
    pub fn expired(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    /// For how long it was up before workers, summed; that of one where it is up comes at the end.
    pub fn held(&self) -> Duration {
        Duration::from_micros(self.held_micros.load(Ordering::Relaxed))
    }

    /// A dashboard that knew of so many stalls says that the routes are current.
    pub fn lift(&self, stalls: u64) {
        if !self.armed.swap(true, Ordering::AcqRel) {
            tracing::info!("stall fence armed by a dashboard");
        }
        self.lifted.fetch_max(stalls, Ordering::AcqRel);
    }

    fn is_lifted(&self, stall: u64) -> bool {
        self.lifted.load(Ordering::Acquire) >= stall
    }
}

/// The fence before one worker.
#[derive(Debug, Default)]
pub struct Held {
    up: Cell<bool>,
    /// The number of the stall, and the microsecond at which the fence falls by itself.
    stall: Cell<(u64, u64)>,
    /// The microsecond at which it went up.
    since: Cell<u64>,
}

impl Held {
    /// Whether nothing may leave.
    pub fn is_up(&self) -> bool {
        self.up.get()
    }

    /// The worker stood still until `now`.
    #[cold]
    pub fn raise(&self, fence: &Fence, gap: u64, now: u64, hold: Duration) {
        let stall = fence.stalls.fetch_add(1, Ordering::AcqRel) + 1;
        let fences = fence.armed.load(Ordering::Acquire) && hold >= HOLD_MIN;
        tracing::warn!(
            stood_still_ms = gap / 1000,
            stall,
            fences,
            "a worker was stopped; with `fences` its requests wait for the dashboard's word"
        );
        if fences {
            self.stall.set((stall, now + hold.as_micros() as u64));
            if !self.up.replace(true) {
                self.since.set(now);
                fence.raised.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Ends it when it is due; tells of which stall it was, and whether by a dashboard's word.
    fn fall(&self, fence: &Fence, now: u64) -> Option<(u64, bool)> {
        let (stall, until) = self.stall.get();
        let lifted = fence.is_lifted(stall);
        if !lifted && now < until {
            return None;
        }
        self.up.set(false);
        let held = now.saturating_sub(self.since.get());
        fence.held_micros.fetch_add(held, Ordering::Relaxed);
        if !lifted {
            fence.expired.fetch_add(1, Ordering::Relaxed);
        }
        Some((stall, lifted))
    }
}

impl Worker {
    /// Lets requests leave again once a dashboard has spoken, or has not for too long.
    pub(super) fn check_fence(self: &Rc<Self>) {
        let held = &self.local.held;
        if !held.is_up() {
            return;
        }
        let Some((stall, lifted)) = held.fall(&self.shared.fence, self.local.now()) else {
            return;
        };
        if lifted {
            tracing::info!(stall, "the dashboard says that the routes are current");
        } else {
            tracing::warn!(stall, "no word of a dashboard within ha_hold: serving on");
        }
        for conn in self.conns() {
            conn.state.borrow_mut().go_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_word_that_knows_of_the_stall_lifts_it() {
        let (fence, held) = (Fence::default(), Held::default());
        let hold = Duration::from_secs(3);
        held.raise(&fence, 3_000_000, 10, hold);
        assert!(!held.is_up(), "no dashboard has armed it");
        fence.lift(fence.stalls());
        held.raise(&fence, 3_000_000, 10, hold);
        assert!(held.is_up());
        assert_eq!((fence.stalls(), held.stall.get()), (2, (2, 3_000_010)));
        fence.lift(1);
        assert!(!fence.is_lifted(2), "that word was sent before the stop");
        fence.lift(2);
        assert!(fence.is_lifted(2));
        fence.lift(1);
        assert!(fence.is_lifted(2));
    }

    #[test]
    fn what_it_held_is_counted() {
        let (fence, held) = (Fence::default(), Held::default());
        fence.lift(0);
        let hold = Duration::from_secs(3);
        held.raise(&fence, 3_000_000, 10, hold);
        assert_eq!(held.fall(&fence, 500), None);
        held.raise(&fence, 3_000_000, 1_000_010, hold);
        assert_eq!(fence.raised(), 1, "it was up already");
        fence.lift(2);
        assert_eq!(held.fall(&fence, 1_500_010), Some((2, true)));
        assert!(!held.is_up());
        assert_eq!(
            (fence.held(), fence.expired()),
            (Duration::from_millis(1500), 0)
        );
        held.raise(&fence, 3_000_000, 2_000_000, hold);
        assert_eq!(held.fall(&fence, 5_000_000), Some((3, false)));
        assert_eq!((fence.raised(), fence.expired()), (2, 1));
        assert_eq!(fence.held(), Duration::from_millis(4500));
    }

    #[test]
    fn without_time_for_a_word_there_is_no_fence() {
        let (fence, held) = (Fence::default(), Held::default());
        fence.lift(0);
        held.raise(&fence, 3_000_000, 0, Duration::from_secs(1));
        assert!(!held.is_up());
    }
}
