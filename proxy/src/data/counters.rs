//! Counters of one worker, read by whoever asks for statistics.
//!
//! Only the worker writes them, so an increment is a load and a store and never a locked
//! instruction; readers may see a value that is an instant old. A reset does not touch them: the
//! reader subtracts what it saw at the reset.

use std::sync::atomic::{AtomicU64, Ordering};

use codis_core::command;

use super::latency::{Class, Latency};

/// Index of the counters for all names that the command table does not have.
pub const COMMAND_UNKNOWN: usize = command::COUNT;
/// Index of the counters for names of a length that cannot be looked up.
pub const COMMAND_BAD: usize = command::COUNT + 1;
/// First words of error replies that are counted one by one.
pub const ERROR_CODES: [&str; 24] = [
    "ERR",
    "WRONGTYPE",
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "NOPROTO",
    "CROSSSLOT",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "READONLY",
    "NOREPLICAS",
    "MISCONF",
    "OOM",
    "BUSY",
    "BUSYKEY",
    "BUSYGROUP",
    "NOGROUP",
    "NOSCRIPT",
    "EXECABORT",
    "UNKILLABLE",
];

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
    /// Its [`Class`], as an index.
    class: u8,
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
    /// Requests that wait for a locked or migrating slot, now.
    pub slot_waiting: Counter,
    /// What they take in memory, in bytes, now.
    pub slot_waiting_bytes: Counter,
    /// Requests that waited for a slot until their time was over.
    pub slot_timeouts: Counter,
    /// Requests that were not let to wait for a slot, for want of memory.
    pub slot_refusals: Counter,
    /// Orders to move the key of a request of a migrating slot.
    pub migrate_moves: Counter,
    /// Pauses of requests whose key was being moved, or could not be.
    pub migrate_waits: Counter,
    /// Connections to backends that are up, now.
    pub links: Counter,
    /// Bytes read from clients.
    pub bytes_in: Counter,
    /// Bytes written to clients.
    pub bytes_out: Counter,
    /// Error replies by the first word of their text: [`ERROR_CODES`], then all others.
    pub codes: [Counter; ERROR_CODES.len() + 1],
    /// Times of requests.
    pub latency: Latency,
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
            slot_waiting: Counter::default(),
            slot_waiting_bytes: Counter::default(),
            slot_timeouts: Counter::default(),
            slot_refusals: Counter::default(),
            migrate_moves: Counter::default(),
            migrate_waits: Counter::default(),
            links: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            codes: Default::default(),
            latency: Latency::default(),
            commands: command_counters(),
        }
    }
}

fn command_counters() -> Box<[CommandCounters]> {
    let known = command::names().map(|name| match command::lookup(name.as_bytes()) {
        Ok(command) => Class::of(&command),
        Err(_) => Class::Unknown,
    });
    let counters = |class: Class| CommandCounters {
        class: class.index() as u8,
        ..CommandCounters::default()
    };
    known
        .chain([Class::Unknown, Class::Refused])
        .map(counters)
        .collect()
}

impl Counters {
    /// Counts a reply that goes to its client now, `micros` after its request was decoded.
    pub fn delivered(&self, command: u16, micros: u64, reply: &[u8]) {
        let command = &self.commands[usize::from(command)];
        command.calls.add(1);
        command.usecs.add(micros);
        self.latency.record(usize::from(command.class), micros);
        if reply.first() == Some(&b'-') {
            command.errors.add(1);
            self.errors.add(1);
            self.codes[error_code(reply)].add(1);
        }
    }

    /// The class of the command with that index of [`Counters::commands`].
    pub fn class(&self, command: usize) -> usize {
        usize::from(self.commands[command].class)
    }
}

fn error_code(reply: &[u8]) -> usize {
    let text = &reply[1..];
    let end = text.iter().position(|byte| matches!(byte, b' ' | b'\r'));
    let code = &text[..end.unwrap_or(text.len())];
    ERROR_CODES
        .iter()
        .position(|known| known.as_bytes() == code)
        .unwrap_or(ERROR_CODES.len())
}

/// The name that statistics show for an index of [`Counters::commands`].
pub fn command_name(index: usize) -> &'static str {
    match index {
        COMMAND_UNKNOWN => "UNKNOWN",
        COMMAND_BAD => "",
        known => command::names().nth(known).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_by_command_class_and_code() {
        let counters = Counters::default();
        let get = command::lookup(b"get").unwrap().index().unwrap();
        counters.delivered(get as u16, 100, b"$1\r\nx\r\n");
        counters.delivered(get as u16, 50, b"-WRONGTYPE Operation against ...\r\n");
        counters.delivered(COMMAND_UNKNOWN as u16, 0, b"-ODD\r\n");
        let of_get = &counters.commands[get];
        assert_eq!((of_get.calls.get(), of_get.usecs.get()), (2, 150));
        assert_eq!((of_get.errors.get(), counters.errors.get()), (1, 2));
        assert_eq!(counters.codes[1].get(), 1);
        assert_eq!(counters.codes[ERROR_CODES.len()].get(), 1);
        assert_eq!(counters.class(get), Class::Read.index());
        assert_eq!(counters.class(COMMAND_BAD), Class::Refused.index());
    }
}
