//! Counters of one worker, read by whoever asks for statistics.
//!
//! Only the worker writes them, so an increment is a load and a store and never a locked
//! instruction; readers may see a value that is an instant old. A reset does not touch them: the
//! reader subtracts what it saw at the reset.

use std::sync::atomic::{AtomicU64, Ordering};

use codis_core::command;

/// Index of the counters for all names that the command table does not have.
pub const COMMAND_UNKNOWN: usize = command::COUNT;
/// Index of the counters for names of a length that cannot be looked up.
pub const COMMAND_BAD: usize = command::COUNT + 1;
const COMMANDS: usize = command::COUNT + 2;

/// A number with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Must be called by the one writer only.
    pub fn add(&self, n: u64) {
        let now = self.0.load(Ordering::Relaxed);
        self.0.store(now.wrapping_add(n), Ordering::Relaxed);
    }

    /// Subtracts `n`. Must be called by the one writer only.
    pub fn sub(&self, n: u64) {
        let now = self.0.load(Ordering::Relaxed);
        self.0.store(now.wrapping_sub(n), Ordering::Relaxed);
    }

    /// Sets the number. Must be called by the one writer only.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of one command.
#[derive(Debug, Default)]
pub struct CommandCounters {
    /// Requests answered.
    pub calls: Counter,
    /// Microseconds from decode to delivery, summed.
    pub usecs: Counter,
    /// Requests that the proxy failed.
    pub fails: Counter,
    /// Error replies.
    pub errors: Counter,
}

/// Counters of one worker, alone on its cache lines.
#[derive(Debug)]
#[repr(align(128))]
pub struct Counters {
    /// Decoded requests.
    pub total: Counter,
    /// Requests and sessions that the proxy failed.
    pub fails: Counter,
    /// Error replies delivered.
    pub errors: Counter,
    /// Sessions accepted.
    pub sessions: Counter,
    /// Requests that were sent again.
    pub retries: Counter,
    /// Writes whose outcome the client was told is unknown.
    pub unknown: Counter,
    /// Requests that wait for a slot or for a server that refused them by role, now.
    pub waiting: Counter,
    /// Connections to backends that are up, now.
    pub links: Counter,
    /// By index of [`command::Command::index`], then [`COMMAND_UNKNOWN`] and [`COMMAND_BAD`].
    pub commands: Box<[CommandCounters]>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            total: Counter::default(),
            fails: Counter::default(),
            errors: Counter::default(),
            sessions: Counter::default(),
            retries: Counter::default(),
            unknown: Counter::default(),
            waiting: Counter::default(),
            links: Counter::default(),
            commands: (0..COMMANDS).map(|_| CommandCounters::default()).collect(),
        }
    }
}

/// The name that statistics show for an index of [`Counters::commands`].
pub fn command_name(index: usize) -> &'static str {
    match index {
        COMMAND_UNKNOWN => "UNKNOWN",
        COMMAND_BAD => "",
        known => command::names().nth(known).unwrap_or_default(),
    }
}
