//! How often and how patiently a link is probed.

use std::time::Duration;

use crate::timing::Timing;

/// PING is sent this many times within down-after, so that the last proof of life is young when
/// the server dies.
const PINGS_IN_DOWN_AFTER: u32 = 10;
/// The shortest time between two PINGs, unless ping-period is even shorter.
const PING_PERIOD_MIN: Duration = Duration::from_millis(50);
/// Limits of the time that a connection may take to open.
pub(super) const CONNECT_TIMEOUT_MIN: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(5);
/// Limits of the time between two tries of a connection that was lost within the last down-after.
/// A server that starts again is seen before its replicas, which look once in a second.
const RETRY_GAP_MIN: Duration = Duration::from_millis(20);
const RETRY_GAP_MAX: Duration = Duration::from_millis(250);

/// How often and how patiently a link is probed: by the most demanding of its users.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pace {
    pub(super) ping_period: Duration,
    /// The down-after.
    pub(super) patience: Duration,
    /// A connection that is younger is not closed for its silence.
    pub(super) age_min: Duration,
    pub(super) pubsub_silence_max: Duration,
}

impl Pace {
    /// The pace for a down-after.
    pub(crate) fn of(down_after: Duration, timing: &Timing) -> Self {
        let period = (down_after / PINGS_IN_DOWN_AFTER).max(PING_PERIOD_MIN);
        Self {
            ping_period: period.min(timing.ping_period),
            patience: down_after,
            age_min: timing.min_link_reconnect_period,
            pubsub_silence_max: timing.pubsub_silence_max(),
        }
    }

    /// The more demanding of two.
    pub(crate) fn stricter(self, other: Self) -> Self {
        if other.patience < self.patience {
            other
        } else {
            self
        }
    }

    pub(super) fn connect_timeout(self) -> Duration {
        (self.patience / 2).clamp(CONNECT_TIMEOUT_MIN, CONNECT_TIMEOUT_MAX)
    }

    pub(super) fn command_age_min(self) -> Duration {
        self.age_min.min(self.patience * 4)
    }

    /// The time between two tries of a connection that has been down for `down`: a quarter of
    /// that within limits, and the pace of PING once down-after has passed.
    pub(super) fn retry_gap(self, down: Duration) -> Duration {
        if down >= self.patience {
            return self.ping_period;
        }
        let gap = (down / 4).clamp(RETRY_GAP_MIN, RETRY_GAP_MAX);
        gap.min(self.ping_period)
    }
}
