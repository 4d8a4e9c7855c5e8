//! Counters for INFO and metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A rate is taken over this time at least.
const RATE_TIME_MIN: Duration = Duration::from_millis(100);

/// What was counted since the start.
#[derive(Debug)]
pub struct Stats {
    /// When the process started.
    pub started: Instant,
    /// Sessions accepted.
    pub connections: AtomicU64,
    /// Sessions refused for the limit.
    pub rejected: AtomicU64,
    /// Requests.
    pub commands: AtomicU64,
    /// Replies that were errors.
    pub errors: AtomicU64,
    /// Reads from sockets.
    pub reads: AtomicU64,
    /// Writes to sockets.
    pub writes: AtomicU64,
    /// Bytes read.
    pub input_bytes: AtomicU64,
    /// Bytes written.
    pub output_bytes: AtomicU64,
    /// Sessions ended for a request beyond the limits.
    pub query_limited: AtomicU64,
    /// Subscribers ended for what they left unread.
    pub output_limited: AtomicU64,
    rates: Mutex<(Sample, Rates)>,
}

/// Counters at a moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    commands: u64,
    input_bytes: u64,
    output_bytes: u64,
}

/// What happened in a second.
#[derive(Clone, Copy, Default, Debug)]
pub struct Rates {
    /// Requests.
    pub commands: f64,
    /// Bytes read.
    pub input_bytes: f64,
    /// Bytes written.
    pub output_bytes: f64,
}

impl Default for Stats {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        let started = Instant::now();
        let first = Sample {
            at: started,
            commands: 0,
            input_bytes: 0,
            output_bytes: 0,
        };
        Self {
            started,
            connections: zero(),
            rejected: zero(),
            commands: zero(),
            errors: zero(),
            reads: zero(),
            writes: zero(),
            input_bytes: zero(),
            output_bytes: zero(),
            query_limited: zero(),
            output_limited: zero(),
            rates: Mutex::new((first, Rates::default())),
        }
    }
}

impl Stats {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Reads a counter.
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    /// The rates since they were last asked for. Nothing samples them in between: a sentinel that
    /// nobody looks at has nothing to do.
    pub fn rates(&self) -> Rates {
        let now = Sample {
            at: Instant::now(),
            commands: Self::get(&self.commands),
            input_bytes: Self::get(&self.input_bytes),
            output_bytes: Self::get(&self.output_bytes),
        };
        let mut held = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, rates) = &mut *held;
        let time = now.at.saturating_duration_since(last.at);
        if time >= RATE_TIME_MIN {
            let per_second = |now: u64, then: u64| (now - then) as f64 / time.as_secs_f64();
            *rates = Rates {
                commands: per_second(now.commands, last.commands),
                input_bytes: per_second(now.input_bytes, last.input_bytes),
                output_bytes: per_second(now.output_bytes, last.output_bytes),
            };
            *last = now;
        }
        *rates
    }
}
