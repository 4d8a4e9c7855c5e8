//! The shapes of load, each with its target.

use anyhow::Context as _;

use super::load::{Command, Work};

/// Keys of 64 byte values.
const KEYS: u32 = 100_000;
/// Keys of 4 KiB values.
const KEYS_LARGE: u32 = 5_000;
/// Connections of most shapes.
const CONNECTIONS: usize = 50;

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As many in flight on each connection; the next ones when these are answered.
    Closed {
        /// Requests in flight.
        pipeline: usize,
    },
    /// As many a second, whatever comes back.
    Open {
        /// Requests a second, over all connections.
        rate: u32,
    },
}

/// One shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Its name on the command line and in results.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// What is asked.
    pub work: Work,
    /// Open connections.
    pub connections: usize,
    /// How requests follow each other.
    pub pace: Pace,
    /// Requests of one measurement.
    pub requests: u64,
    /// Measurements of each proxy.
    pub rounds: usize,
    /// Whether ours with two worker threads takes part.
    pub two_workers: bool,
    /// The processor time of a request, at most, as a part of twemproxy's.
    pub cpu_target: Option<f64>,
}

const fn one_key(command: Command) -> Work {
    Work {
        command,
        keys: 1,
        value_bytes: 64,
        keyspace: KEYS,
    }
}

const fn ten_keys(command: Command) -> Work {
    Work {
        keys: 10,
        ..one_key(command)
    }
}

const fn large(command: Command) -> Work {
    Work {
        command,
        keys: 1,
        value_bytes: 4096,
        keyspace: KEYS_LARGE,
    }
}

const fn closed(
    name: &'static str,
    about: &'static str,
    work: Work,
    pipeline: usize,
    target: f64,
) -> Shape {
    let (requests, rounds) = match pipeline {
        1 => (60_000, 15),
        16 => (400_000, 7),
        _ => (600_000, 7),
    };
    Shape {
        name,
        about,
        work,
        connections: CONNECTIONS,
        pace: Pace::Closed { pipeline },
        requests,
        rounds,
        two_workers: matches!(work.value_bytes, 64) && work.keys == 1,
        cpu_target: Some(target),
    }
}

/// All shapes, in the order in which they are measured and shown.
pub const SHAPES: [Shape; 12] = [
    closed("get-1", "GET, 64 B, -P 1", one_key(Command::Get), 1, 0.80),
    closed("set-1", "SET, 64 B, -P 1", one_key(Command::Set), 1, 0.80),
    closed(
        "get-16",
        "GET, 64 B, -P 16",
        one_key(Command::Get),
        16,
        0.40,
    ),
    closed(
        "set-16",
        "SET, 64 B, -P 16",
        one_key(Command::Set),
        16,
        0.40,
    ),
    closed(
        "get-64",
        "GET, 64 B, -P 64",
        one_key(Command::Get),
        64,
        0.22,
    ),
    closed(
        "set-64",
        "SET, 64 B, -P 64",
        one_key(Command::Set),
        64,
        0.22,
    ),
    closed(
        "mget-10",
        "MGET, 10 keys, -P 1",
        ten_keys(Command::Mget),
        1,
        0.85,
    ),
    closed(
        "mset-10",
        "MSET, 10 keys, -P 1",
        ten_keys(Command::Mset),
        1,
        0.85,
    ),
    closed("get-4k", "GET, 4 KiB, -P 1", large(Command::Get), 1, 0.85),
    closed("set-4k", "SET, 4 KiB, -P 1", large(Command::Set), 1, 0.85),
    Shape {
        connections: 1,
        requests: 15_000,
        rounds: 9,
        two_workers: false,
        cpu_target: None,
        ..closed(
            "one-client",
            "GET, 64 B, one client",
            one_key(Command::Get),
            1,
            0.0,
        )
    },
    Shape {
        pace: Pace::Open { rate: 20_000 },
        rounds: 9,
        two_workers: false,
        cpu_target: None,
        ..closed(
            "rate-20k",
            "GET, 64 B, 20,000 a second",
            one_key(Command::Get),
            1,
            0.0,
        )
    },
];

impl Shape {
    /// The shape of that name.
    ///
    /// # Errors
    /// There is none; the error lists them.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        let found = SHAPES.into_iter().find(|shape| shape.name == name);
        let names = SHAPES.map(|shape| shape.name).join(", ");
        found.with_context(|| format!("no shape `{name}`; there are {names}"))
    }
}
