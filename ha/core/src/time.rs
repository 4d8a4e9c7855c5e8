//! Time as the machines see it: a point on one process's monotonic clock.
//!
//! A machine never asks what time it is; its shell tells it with every input. [`Time`] counts from
//! an origin of the shell's choosing, so a wall clock that jumps changes nothing.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::time::Duration;

/// A point on a monotonic clock, as the distance from the shell's origin.
///
/// Values from two processes cannot be compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(Duration);

impl Time {
    /// The origin of the clock.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// A point `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// A point `offset` after the origin.
    pub const fn from_origin(offset: Duration) -> Self {
        Self(offset)
    }

    /// The distance from the origin.
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// Whole milliseconds from the origin.
    pub const fn as_millis(self) -> u64 {
        self.0.as_millis() as u64
    }

    /// How long after `earlier` this point is; zero when it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The point `span` before this one, or the origin when that lies before it.
    pub const fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t+{:.3}ms", self.0.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_never_go_below_zero() {
        let (early, late) = (Time::from_millis(5), Time::from_millis(9));
        assert_eq!(late.since(early), Duration::from_millis(4));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early.before(Duration::from_secs(1)), Time::ZERO);
    }
}
