//! Names that the machine and its shell give things.

use std::fmt;
use std::sync::Arc;

/// The identity of a sentinel: 40 lower-case hex characters in our own, any text from a peer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SentinelId(Arc<str>);

impl SentinelId {
    /// An id from its text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SentinelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SentinelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0[..self.0.len().min(8)])
    }
}

macro_rules! number {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub u64);
    )+};
}

number! {
    /// A link to one server process; never used again once it is gone.
    LinkId,
    /// A command in flight.
    CommandId,
    /// A peer's question that waits for its answer.
    RequestId,
    /// A snapshot; ascending.
    PersistId,
}
