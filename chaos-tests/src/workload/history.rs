//! What clients did and saw.

use std::time::Instant;

use codis_core::addr::Addr;

use super::Timed;

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneKind {
    /// Appends to one list.
    Writer {
        /// The list.
        key: String,
    },
    /// Looks at the ends of lists.
    Reader,
}

/// One connection: whose operations follow each other and never overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// The proxy.
    pub proxy: Addr,
    /// The group that its keys belong to.
    pub group: u32,
    /// What it does.
    pub kind: LaneKind,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Op {
    /// When it was sent.
    pub sent: Instant,
    /// When its answer came.
    pub done: Instant,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The write of this number was acknowledged.
    Written(u64),
    /// The write of this number was answered with an error, or not at all: it may have happened.
    WriteFailed(u64, String),
    /// The read saw at least what was acknowledged before it was sent.
    Read,
    /// The read saw `seen` although `acked` was acknowledged before it was sent.
    ReadStale {
        /// The last element of the list, 0 without one.
        seen: u64,
        /// The highest number acknowledged when the read was sent.
        acked: u64,
    },
    /// The read was answered with an error, or not at all.
    ReadFailed(String),
}

impl Op {
    /// From the answer to a write of `number`.
    pub fn write(number: u64, timed: &Timed<i64>) -> Self {
        let outcome = match &timed.answer {
            Ok(_) => Outcome::Written(number),
            Err(text) => Outcome::WriteFailed(number, text.clone()),
        };
        Self::at(timed, outcome)
    }

    /// From the answer to a read sent when `acked` was acknowledged.
    pub fn read(acked: u64, timed: &Timed<Option<u64>>) -> Self {
        let outcome = match &timed.answer {
            Ok(seen) if seen.unwrap_or(0) >= acked => Outcome::Read,
            Ok(seen) => Outcome::ReadStale {
                seen: seen.unwrap_or(0),
                acked,
            },
            Err(text) => Outcome::ReadFailed(text.clone()),
        };
        Self::at(timed, outcome)
    }

    fn at<T>(timed: &Timed<T>, outcome: Outcome) -> Self {
        Self {
            sent: timed.sent,
            done: timed.done,
            outcome,
        }
    }

    /// The text of the error, when there was one.
    pub fn error(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::WriteFailed(_, text) | Outcome::ReadFailed(text) => Some(text),
            Outcome::Written(_) | Outcome::Read | Outcome::ReadStale { .. } => None,
        }
    }
}

/// Everything that all connections did.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Connections and their operations in order.
    pub lanes: Vec<(Lane, Vec<Op>)>,
}

impl History {
    /// Adds a connection.
    pub fn add(&mut self, lane: Lane, ops: Vec<Op>) {
        self.lanes.push((lane, ops));
    }

    /// Every operation with its connection.
    pub fn ops(&self) -> impl Iterator<Item = (&Lane, &Op)> {
        self.lanes
            .iter()
            .flat_map(|(lane, ops)| ops.iter().map(move |op| (lane, op)))
    }

    /// Acknowledged writes to `group`.
    pub fn writes(&self, group: u32) -> impl Iterator<Item = (&Lane, &Op)> {
        self.ops().filter(move |(lane, op)| {
            lane.group == group && matches!(op.outcome, Outcome::Written(_))
        })
    }
}
