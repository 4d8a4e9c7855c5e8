//! A small seeded random source.
//!
//! A machine that needs chance gets a seed from its shell, so that a run can be repeated number for
//! number. The generator is SplitMix64 (Steele, Lea, Flood 2014): one 64-bit word of state, every
//! seed good, fast. It is not for secrets.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// A generator that gives the sequence of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`, or 0 when `bound` is 0. The bias is below `bound` / 2^64.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.next_u64() as u128 * bound as u128) >> 64) as u64
    }

    /// A number of the range, both ends included. An empty range gives its start.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (start, end) = range.into_inner();
        match end.saturating_sub(start).checked_add(1) {
            Some(count) => start + self.below(count),
            None => self.next_u64(),
        }
    }

    /// Yes in `percent` of a hundred cases.
    pub const fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A span below `span`, to the nanosecond; nothing when `span` is nothing. Spans beyond 584
    /// years count as that long.
    pub fn span_below(&mut self, span: Duration) -> Duration {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.below(nanos))
    }

    /// One of the elements, or none of an empty slice.
    pub fn pick<'a, T>(&mut self, elements: &'a [T]) -> Option<&'a T> {
        elements.get(self.below(elements.len() as u64) as usize)
    }

    /// Puts the elements into a random order.
    pub fn shuffle<T>(&mut self, elements: &mut [T]) {
        for last in (1..elements.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            elements.swap(last, other);
        }
    }

    /// An independent generator, for a part that must not be disturbed by how much the others draw.
    #[must_use]
    pub const fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_published_algorithm() {
        let mut rng = SplitMix64::new(1_234_567);
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!([(); 5].map(|()| rng.next_u64()), expected);
    }

    #[test]
    fn draws_stay_in_their_bounds_and_reach_all_of_them() {
        let mut rng = SplitMix64::new(7);
        let mut seen = [0u32; 6];
        for _ in 0..6_000 {
            seen[rng.within(0..=5) as usize] += 1;
        }
        assert!(
            seen.iter().all(|&count| (800..1_200).contains(&count)),
            "{seen:?}"
        );
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.pick::<u8>(&[]), None);
        assert_eq!(rng.span_below(Duration::ZERO), Duration::ZERO);
        assert!(rng.span_below(Duration::from_millis(5)) < Duration::from_millis(5));
        assert!(rng.within(3..=u64::MAX) >= 3);
        let _ = rng.within(0..=u64::MAX);
        assert!(!rng.percent(0) && rng.percent(100));
    }

    #[test]
    fn a_shuffle_loses_nothing() {
        let mut cards: Vec<u32> = (0..52).collect();
        SplitMix64::new(1).shuffle(&mut cards);
        assert!(!cards.is_sorted());
        cards.sort_unstable();
        assert!(cards.into_iter().eq(0..52));
    }
}
