//! Medians of rounds, how sure they are, and ratios.

use std::fmt;

use serde::Serialize;

/// The part of the cases in which the true median may lie outside of an interval.
const OUTSIDE: f64 = 0.05;

/// The median of some rounds, and the interval in which the true one lies in 95 of 100 cases.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The median.
    pub median: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

impl Figure {
    /// The figure of `values`, which may come in any order; none when there are none.
    ///
    /// The interval is made of order statistics, so it supposes nothing about the noise. Less than
    /// six values are too few for it: then it goes from the least to the greatest.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let count = values.len();
        let (low, high) = (
            values.get(count.checked_sub(1)? / 2)?,
            values.get(count / 2)?,
        );
        let outer = outer(count);
        Some(Self {
            median: f64::midpoint(*low, *high),
            low: values[outer],
            high: values[count - 1 - outer],
        })
    }

    /// The figure of the ratios of pairs of rounds. What slows a whole round down falls out.
    pub fn of_ratios(upper: &[f64], lower: &[f64]) -> Option<Self> {
        Self::of(upper.iter().zip(lower).map(|(upper, lower)| upper / lower))
    }
}

impl fmt::Display for Figure {
    /// With two decimals, and the interval.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, low, high } = self;
        write!(f, "{median:.2} ({low:.2}-{high:.2})")
    }
}

/// How many of `count` sorted values lie outside of the interval at each end.
fn outer(count: usize) -> usize {
    let mut chance = 0.5f64.powi(count as i32);
    let (mut sum, mut outer) = (0.0, 0);
    // With each step, the chance that so many of `count` tosses show heads.
    while sum + chance <= OUTSIDE / 2.0 {
        sum += chance;
        chance *= (count - outer) as f64 / (outer + 1) as f64;
        outer += 1;
    }
    outer.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_order_statistics() {
        // From tables of the sign test: of 6 values none is left out at an end, of 15 three.
        assert_eq!([1, 5, 6, 9, 15, 25].map(outer), [0, 0, 0, 1, 3, 7]);
    }

    #[test]
    fn medians_of_odd_and_even_counts() {
        let figure = Figure::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((figure.median, figure.low, figure.high), (2.0, 1.0, 3.0));
        assert_eq!(Figure::of([1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Figure::of([]), None);
    }

    #[test]
    fn ratios_are_paired_by_round() {
        let ratio = Figure::of_ratios(&[1.0, 10.0, 3.0], &[2.0, 20.0, 6.0]).unwrap();
        assert_eq!((ratio.low, ratio.high), (0.5, 0.5));
    }
}
