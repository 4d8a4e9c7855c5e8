//! Waiting longer after each failure, and not in step with others.

use std::time::Duration;

use crate::rng::SplitMix64;

/// Delays that double from `initial` to `max`, each shortened by a random part of up to a half.
///
/// The random part keeps many that failed together from trying again together.
#[derive(Clone, Debug)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    current: Duration,
    rng: SplitMix64,
}

impl Backoff {
    /// A backoff that stands at `initial`. An `initial` of nothing counts as a millisecond, so that
    /// no loop spins; a `max` below `initial` counts as `initial`.
    pub fn new(initial: Duration, max: Duration, seed: u64) -> Self {
        let initial = initial.max(Duration::from_millis(1));
        Self {
            initial,
            max: max.max(initial),
            current: initial,
            rng: SplitMix64::new(seed),
        }
    }

    /// How long to wait before the next try, between a half and the whole of the current delay,
    /// which then doubles.
    pub fn next_delay(&mut self) -> Duration {
        let whole = self.current;
        self.current = whole.saturating_mul(2).min(self.max);
        whole - self.rng.span_below(whole / 2)
    }

    /// Starts over at `initial`, after a success.
    pub const fn reset(&mut self) {
        self.current = self.initial;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn delays_double_up_to_the_limit_with_jitter() {
        let mut backoff = Backoff::new(ms(100), ms(700), 3);
        for whole in [100, 200, 400, 700, 700, 700] {
            let delay = backoff.next_delay();
            assert!(
                delay > ms(whole) / 2 && delay <= ms(whole),
                "{delay:?} of {whole} ms"
            );
        }
        backoff.reset();
        assert!(backoff.next_delay() <= ms(100));
    }

    #[test]
    fn the_same_seed_gives_the_same_delays_and_another_seed_others() {
        let delays = |seed| {
            let mut backoff = Backoff::new(ms(1), ms(1_000), seed);
            [(); 8].map(|()| backoff.next_delay())
        };
        assert_eq!(delays(1), delays(1));
        assert_ne!(delays(1), delays(2));
    }

    #[test]
    fn settings_that_make_no_sense_still_wait() {
        let mut backoff = Backoff::new(Duration::ZERO, Duration::ZERO, 0);
        assert!((0..9).all(|_| (ms(1) / 2..=ms(1)).contains(&backoff.next_delay())));
        let mut huge = Backoff::new(Duration::MAX, Duration::MAX, 0);
        assert!(huge.next_delay() > ms(1));
        assert!(huge.next_delay() > ms(1));
    }
}
