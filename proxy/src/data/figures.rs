//! What one connection to a backend shows of itself.
//!
//! The worker writes these about twenty times a second, when it looks at its deadlines; readers
//! never stop it.

use std::sync::Arc;

use super::counters::Counter;

/// Figures of one connection.
#[derive(Debug)]
pub struct LinkFigures {
    /// The address of the backend.
    pub address: Arc<str>,
    /// 1 while the link is up.
    pub up: Counter,
    /// Requests that have not left.
    pub queued: Counter,
    /// Requests that have left and have no reply.
    pub in_flight: Counter,
    /// Replies that came.
    pub replies: Counter,
    /// How often the link was there and got lost.
    pub losses: Counter,
}

impl LinkFigures {
    /// Figures of a new connection to `address`.
    pub fn new(address: Arc<str>) -> Self {
        Self {
            address,
            up: Counter::default(),
            queued: Counter::default(),
            in_flight: Counter::default(),
            replies: Counter::default(),
            losses: Counter::default(),
        }
    }
}
