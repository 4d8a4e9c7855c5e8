//! How long requests take, by class of command.
//!
//! Histograms with one writer: a request costs one shift, one leading-zeros count and one counter,
//! from microseconds that are known already. A bucket is half of a power of two wide, so a
//! quantile that is read from them is at most a third too high.

use codis_core::command::{Access, Command, Handling};

use super::counters::Counter;

/// Finite buckets of a class; one more holds what took longer than the last bound.
const FINITE: usize = 37;
const BUCKETS: usize = FINITE + 1;
/// Times below the first bound are not told apart. The first bound is half an octave above it.
const SHORTEST_LOG2: u32 = 5;

/// What a command does, as far as its time is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Read from one server.
    Read,
    /// Written to one master.
    Write,
    /// Split over the servers of its keys.
    Split,
    /// Answered by the proxy.
    Local,
    /// Sent to a server that no key names.
    Special,
    /// Not in the command table; forwarded as a write.
    Unknown,
    /// Not let through.
    Refused,
}

/// All classes with their names in metrics, by the order of [`Class`].
pub const CLASSES: [(Class, &str); 7] = [
    (Class::Read, "read"),
    (Class::Write, "write"),
    (Class::Split, "split"),
    (Class::Local, "local"),
    (Class::Special, "special"),
    (Class::Unknown, "unknown"),
    (Class::Refused, "refused"),
];

impl Class {
    /// The class of a command of the table.
    pub fn of(command: &Command) -> Self {
        match (command.handling(), command.access()) {
            (Handling::Refuse, _) => Self::Refused,
            (Handling::Local(_), _) => Self::Local,
            (Handling::Special(_), _) => Self::Special,
            (Handling::Split(_), _) => Self::Split,
            (Handling::Parts(_), _) => command
                .parts()
                .next()
                .map_or(Self::Refused, |p| Self::of(&p)),
            (Handling::Forward | Handling::Unblocked, Access::Read | Access::ReadMaster) => {
                Self::Read
            }
            (Handling::Forward | Handling::Unblocked, Access::Write) => Self::Write,
        }
    }

    /// The place of its histogram.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// One histogram for each class.
#[derive(Debug)]
pub struct Latency(Box<[Counter]>);

impl Default for Latency {
    fn default() -> Self {
        let counters = CLASSES.len() * BUCKETS;
        Self((0..counters).map(|_| Counter::default()).collect())
    }
}

impl Latency {
    /// Counts a request of the class with that index that took `micros`.
    pub fn record(&self, class: usize, micros: u64) {
        self.0[class * BUCKETS + bucket(micros)].add(1);
    }

    /// Adds the requests of a class to `sums`, bucket by bucket.
    pub fn add_to(&self, class: Class, sums: &mut Sums) {
        let first = class.index() * BUCKETS;
        for (sum, counter) in sums.iter_mut().zip(&self.0[first..first + BUCKETS]) {
            *sum += counter.get();
        }
    }
}

/// The sums of one class over several workers.
pub type Sums = [u64; BUCKETS];

/// Sums of nothing.
pub const EMPTY: Sums = [0; BUCKETS];

/// The time in seconds that `part` of the requests did not exceed, as the upper bound of its
/// bucket; the last finite bound for all that took longer. `None` without any request.
pub fn quantile(sums: &Sums, part: f64) -> Option<f64> {
    let total: u64 = sums.iter().sum();
    let rank = (total as f64 * part).ceil() as u64;
    let mut seen = 0;
    let found = sums.iter().position(|count| {
        seen += count;
        seen >= rank
    });
    (total > 0).then(|| bound(found.unwrap_or(FINITE).min(FINITE - 1)))
}

fn bucket(micros: u64) -> usize {
    let micros = micros.max(1 << SHORTEST_LOG2);
    let log2 = micros.ilog2();
    let half = (micros >> (log2 - 1)) & 1;
    let index = 2 * (log2 - SHORTEST_LOG2) as usize + half as usize;
    index.min(FINITE)
}

/// The upper bound of a bucket in seconds, infinity for the last one.
pub fn bound(bucket: usize) -> f64 {
    if bucket >= FINITE {
        return f64::INFINITY;
    }
    let octave = 1u64 << (SHORTEST_LOG2 as usize + bucket / 2);
    let micros = if bucket.is_multiple_of(2) {
        octave + octave / 2
    } else {
        octave * 2
    };
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_reach_from_fifty_microseconds_to_ten_seconds() {
        assert_eq!(bound(0), 0.000_048);
        assert_eq!(bound(1), 0.000_064);
        assert!(bound(FINITE - 1) > 10.0 && bound(FINITE).is_infinite());
        assert_eq!((bucket(0), bucket(47), bucket(48)), (0, 0, 1));
        assert_eq!(bucket(u64::MAX), FINITE);
    }

    #[test]
    fn classes_are_listed_by_their_index() {
        for (index, (class, _)) in CLASSES.iter().enumerate() {
            assert_eq!(class.index(), index);
        }
    }

    #[test]
    fn quantiles_are_bounds_of_buckets() {
        let mut sums = EMPTY;
        assert_eq!(quantile(&sums, 0.5), None);
        sums[2] = 99;
        sums[FINITE] = 1;
        assert_eq!(quantile(&sums, 0.5), Some(bound(2)));
        assert_eq!(quantile(&sums, 0.99), Some(bound(2)));
        assert_eq!(quantile(&sums, 0.999), Some(bound(FINITE - 1)));
    }

    proptest! {
        /// A time lies below the bound of its bucket and not below the one before.
        #[test]
        fn a_time_is_in_the_bucket_of_its_bounds(micros in 0u64..100_000_000) {
            let (at, seconds) = (bucket(micros), micros as f64 / 1e6);
            prop_assert!(seconds < bound(at));
            prop_assert!(at == 0 || seconds >= bound(at - 1));
        }
    }
}
