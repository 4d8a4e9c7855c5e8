//! The shapes of load, each with its target.

use anyhow::Context as _;

use super::contender::Contender;
use super::load::{Command, Work};
use super::target::{Metric, Target};

const TWEMPROXY: Contender = Contender::Twemproxy;

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
    /// Each request on a connection of its own, so many at a time.
    Churn,
    /// None: connections are used once and then idle, as many as there are requests.
    Idle,
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
    /// Open connections at a time.
    pub connections: usize,
    /// How requests follow each other.
    pub pace: Pace,
    /// Requests of one measurement.
    pub requests: u64,
    /// Measurements of each proxy.
    pub rounds: usize,
    /// Whether ours with two worker threads takes part.
    pub two_workers: bool,
    /// What it is held to.
    pub targets: &'static [Target],
}

const SINGLE: &[Target] = &[Target::cpu(TWEMPROXY, 0.80), Target::TWO_WORKERS];
const MANY_OR_LARGE: &[Target] = &[Target::cpu(TWEMPROXY, 0.85)];
const DEEP: &[Target] = &[
    Target::cpu(TWEMPROXY, 0.40),
    Target::cpu(Contender::Haproxy, 1.05),
    Target::TWO_WORKERS,
];
const DEEPEST: &[Target] = &[Target::cpu(TWEMPROXY, 0.22), Target::TWO_WORKERS];
const FIXED_RATE: &[Target] = &[Target {
    metric: Metric::P99,
    ..Target::cpu(TWEMPROXY, 1.05)
}];
const NO_SLOWER: &[Target] = &[Target {
    metric: Metric::Rate,
    ..Target::cpu(TWEMPROXY, 1.00)
}];

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

const fn closed(name: &'static str, about: &'static str, work: Work, pipeline: usize) -> Shape {
    let (requests, rounds) = match (pipeline, work.keys, work.value_bytes) {
        (1, 1, 64) => (60_000, 15),
        (1, ..) => (40_000, 9),
        (16, ..) => (300_000, 9),
        _ => (400_000, 9),
    };
    Shape {
        name,
        about,
        work,
        connections: CONNECTIONS,
        pace: Pace::Closed { pipeline },
        requests,
        rounds,
        two_workers: work.value_bytes == 64 && work.keys == 1,
        targets: match (pipeline, work.keys, work.value_bytes) {
            (1, 1, 64) => SINGLE,
            (1, ..) => MANY_OR_LARGE,
            (16, ..) => DEEP,
            _ => DEEPEST,
        },
    }
}

/// All shapes, in the order in which they are measured and shown.
pub const SHAPES: [Shape; 14] = [
    closed("get-1", "GET, 64 B, -P 1", one_key(Command::Get), 1),
    closed("set-1", "SET, 64 B, -P 1", one_key(Command::Set), 1),
    closed("get-16", "GET, 64 B, -P 16", one_key(Command::Get), 16),
    closed("set-16", "SET, 64 B, -P 16", one_key(Command::Set), 16),
    closed("get-64", "GET, 64 B, -P 64", one_key(Command::Get), 64),
    closed("set-64", "SET, 64 B, -P 64", one_key(Command::Set), 64),
    closed(
        "mget-10",
        "MGET, 10 keys of 64 B",
        ten_keys(Command::Mget),
        1,
    ),
    closed(
        "mset-10",
        "MSET, 10 keys of 64 B",
        ten_keys(Command::Mset),
        1,
    ),
    closed("get-4k", "GET, 4 KiB", large(Command::Get), 1),
    closed("set-4k", "SET, 4 KiB", large(Command::Set), 1),
    Shape {
        connections: 1,
        requests: 10_000,
        rounds: 7,
        two_workers: false,
        targets: &[],
        ..closed(
            "one-client",
            "GET, 64 B, one client",
            one_key(Command::Get),
            1,
        )
    },
    Shape {
        pace: Pace::Open { rate: 20_000 },
        requests: 40_000,
        rounds: 9,
        two_workers: false,
        targets: FIXED_RATE,
        ..closed(
            "rate-20k",
            "GET, 64 B, 20,000 a second",
            one_key(Command::Get),
            1,
        )
    },
    Shape {
        pace: Pace::Churn,
        requests: 15_000,
        rounds: 9,
        two_workers: false,
        targets: NO_SLOWER,
        ..closed("churn", "connect, GET, close", one_key(Command::Get), 1)
    },
    Shape {
        pace: Pace::Idle,
        requests: 10_000,
        targets: &[],
        ..closed(
            "idle",
            "connections that are idle",
            one_key(Command::Get),
            1,
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
