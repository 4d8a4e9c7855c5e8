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
    /// It stands still between these.
    stop: Option<(u64, u64)>,
}

impl Clock {
    /// A clock that reads `origin` at `born` and runs at `rate_ppm` millionths of true speed.
    pub fn new(born: Moment, origin: Duration, rate_ppm: u64) -> Self {
        assert!(rate_ppm > 0, "a clock moves");
        Self {
            born: born.0,
            origin,
            rate_ppm,
            stop: None,
        }
    }

    /// From now on it reads `span` more.
    pub fn jump(&mut self, span: Duration) {
        self.origin += span;
    }

    /// It stands still for `span`, unless it does already.
    pub fn stop(&mut self, now: Moment, span: Duration) {
        if let Some((from, until)) = self.stop {
            if now.0 < until {
                return;
            }
            self.born += until - from;
        }
        self.stop = Some((now.0, (now + span).0));
    }

    /// If it stands still, it goes on now.
    pub fn go_on(&mut self, now: Moment) {
        if let Some((from, until)) = &mut self.stop {
            *until = now.0.clamp(*from, *until);
        }
    }

    /// What it reads at a moment.
    pub fn local(&self, at: Moment) -> Time {
        let stood = self
            .stop
            .map_or(0, |(from, until)| at.0.clamp(from, until) - from);
        let micros = u128::from(at.0.saturating_sub(self.born).saturating_sub(stood));
        let nanos = micros * u128::from(self.rate_ppm) / 1000;
        Time::from_origin(self.origin + Duration::from_nanos(nanos as u64))
    }

    /// The first moment at which it reads `time` or more.
    pub fn global(&self, time: Time) -> Moment {
        let nanos = time.since_origin().saturating_sub(self.origin).as_nanos();
        let micros = (nanos * 1000).div_ceil(u128::from(self.rate_ppm));
        let micros = u64::try_from(micros).unwrap_or(u64::MAX / 2);
        let at = self.born.saturating_add(micros);
        match self.stop {
            Some((from, until)) if at > from => Moment(at + (until - from)),
            Some(_) | None => Moment(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_stood_still_goes_on_from_where_it_was() {
        let mut clock = Clock::new(Moment(0), Duration::ZERO, 1_000_000);
        clock.stop(Moment(1_000), Duration::from_millis(5));
        assert_eq!(clock.local(Moment(900)), clock.local(Moment(900)));
        assert_eq!(clock.local(Moment(1_000)), clock.local(Moment(6_000)));
        assert_eq!(clock.local(Moment(8_000)), Time::from_millis(3));
        assert_eq!(clock.global(Time::from_millis(3)), Moment(8_000));
        clock.stop(Moment(8_000), Duration::from_millis(5));
        assert_eq!(clock.local(Moment(14_000)), Time::from_millis(4));
        clock.jump(Duration::from_millis(9));
        assert_eq!(clock.local(Moment(14_000)), Time::from_millis(13));
    }

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
