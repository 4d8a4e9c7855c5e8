//! Stalls of this process, and TILT.
//!
//! A process that did not run (stopped, starved, paused with its machine) heard nothing, and must
//! not hold that against others. The sign is a call that comes later than the deadline it was due
//! at. The time lost is taken out of *awake time*, the clock on which silence is measured, so
//! S_DOWN waits as much longer. A stall beyond two seconds is TILT as the original reports it: no
//! judgement and no failover step until each link that was open has answered a PING, or the longest
//! down-after has passed. The original waits 30 s, because it cannot tell a stall from a wall clock
//! that jumped.

use std::collections::BTreeSet;
use std::time::Duration;

use codis_core::time::Time;

use crate::ids::LinkId;

/// Lateness below this is the normal jitter of timers.
const STALL_MIN: Duration = Duration::from_millis(20);
/// The machine wants to be called this often: a stall is noticed from the first call that it
/// misses, and while all answers are late there may be no other deadline for long.
const PULSE: Duration = Duration::from_millis(100);

/// What is known about our own stalls.
#[derive(Default, Debug)]
pub(crate) struct Stall {
    /// All the time lost so far.
    pub(crate) lost: Duration,
    called: Time,
    tilt: Option<Tilt>,
}

#[derive(Debug)]
struct Tilt {
    until: Time,
    /// Links that have not yet answered a PING sent since.
    unheard: BTreeSet<LinkId>,
}

impl Stall {
    /// A call came at `now` while `deadline` was due. True when the stall is longer than
    /// `trigger`, and so worth a TILT.
    pub(crate) fn called(&mut self, now: Time, deadline: Option<Time>, trigger: Duration) -> bool {
        let expected = deadline.map_or(now, |at| at.max(self.called));
        self.called = now;
        let late = now.since(expected);
        if late > STALL_MIN {
            self.lost += late;
        }
        late > trigger
    }

    /// When the machine is called at the latest.
    pub(crate) fn pulse(&self) -> Time {
        self.called + PULSE
    }

    /// Enters TILT, or starts it again.
    pub(crate) fn enter_tilt(&mut self, until: Time, unheard: BTreeSet<LinkId>) {
        self.tilt = Some(Tilt { until, unheard });
    }

    /// Ends a present TILT at `latest`, if not before.
    pub(crate) fn tilt_no_later(&mut self, latest: Time) {
        if let Some(tilt) = &mut self.tilt {
            tilt.until = tilt.until.min(latest);
        }
    }

    /// A link has answered, or is gone.
    pub(crate) fn heard(&mut self, link: LinkId) {
        if let Some(tilt) = &mut self.tilt {
            tilt.unheard.remove(&link);
        }
    }

    pub(crate) const fn is_tilt(&self) -> bool {
        self.tilt.is_some()
    }

    /// When TILT ends at the latest.
    pub(crate) fn tilt_until(&self) -> Option<Time> {
        self.tilt.as_ref().map(|tilt| tilt.until)
    }

    /// Leaves TILT when there is no more reason for it; true when it just ended.
    pub(crate) fn leave_tilt(&mut self, now: Time) -> bool {
        let over = self
            .tilt
            .as_ref()
            .is_some_and(|tilt| tilt.unheard.is_empty() || now >= tilt.until);
        if over {
            self.tilt = None;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    const TRIGGER: Duration = Duration::from_secs(2);

    #[test]
    fn only_time_past_a_deadline_is_lost_and_only_once() {
        let mut stall = Stall::default();
        assert!(!stall.called(ms(100), Some(ms(95)), TRIGGER), "jitter");
        assert_eq!(stall.lost, Duration::ZERO);
        assert!(!stall.called(ms(600), Some(ms(150)), TRIGGER), "short");
        assert_eq!(stall.lost, Duration::from_millis(450));
        assert!(
            !stall.called(ms(601), Some(ms(150)), TRIGGER),
            "the same deadline, still due"
        );
        assert_eq!(stall.lost, Duration::from_millis(450));
        assert!(stall.called(ms(3000), Some(ms(700)), TRIGGER), "long");
    }
}
