//! Virtual time, and the clocks that the simulated processes read instead of it.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use codis_core::time::Time;

/// A point of virtual time in microseconds from the start of the run. No machine ever sees one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// How long after `earlier` this is; zero when it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0 + span.as_micros() as u64)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>4}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The monotonic clock of one process: its own origin, its own rate.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    born: u64,
    origin: Duration,
    rate_ppm: u64,
}

impl Clock {
    /// A clock that reads `origin` at `born` and runs at `rate_ppm` millionths of true speed.
    pub fn new(born: Moment, origin: Duration, rate_ppm: u64) -> Self {
        assert!(rate_ppm > 0, "a clock moves");
        Self {
            born: born.0,
            origin,
            rate_ppm,
        }
    }

    /// What it reads at a moment.
    pub fn local(&self, at: Moment) -> Time {
        let micros = u128::from(at.0.saturating_sub(self.born));
        let nanos = micros * u128::from(self.rate_ppm) / 1000;
        Time::from_origin(self.origin + Duration::from_nanos(nanos as u64))
    }

    /// The first moment at which it reads `time` or more.
    pub fn global(&self, time: Time) -> Moment {
        let nanos = time.since_origin().saturating_sub(self.origin).as_nanos();
        let micros = (nanos * 1000).div_ceil(u128::from(self.rate_ppm));
        Moment(
            self.born
                .saturating_add(u64::try_from(micros).unwrap_or(u64::MAX / 2)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_at_the_moment_given_for_it() {
        for rate in [950_000, 1_000_000, 1_050_000] {
            let clock = Clock::new(Moment(77), Duration::from_secs(5), rate);
            for millis in [5000, 5001, 6789, 100_000] {
                let time = Time::from_millis(millis);
                let at = clock.global(time);
                assert!(clock.local(at) >= time);
                assert!(at.0 == 77 || clock.local(Moment(at.0 - 1)) < time);
            }
        }
    }
}
