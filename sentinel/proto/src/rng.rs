//! The seeded generator behind every random delay, so that a run can be repeated.

use std::time::Duration;

/// SplitMix64: small, fast, and good enough to keep candidates apart.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A span of `low..=high`, in microseconds.
    pub(crate) fn span(&mut self, low: Duration, high: Duration) -> Duration {
        assert!(low <= high, "a span needs its lower end first");
        let width = (high - low).as_micros() as u64 + 1;
        low + Duration::from_micros(self.next() % width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_spans_hold() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        let (low, high) = (Duration::from_millis(3), Duration::from_millis(5));
        for _ in 0..1000 {
            let span = a.span(low, high);
            assert_eq!(span, b.span(low, high));
            assert!(low <= span && span <= high);
        }
    }
}
