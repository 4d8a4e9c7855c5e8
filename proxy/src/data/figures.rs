//! What connections show of themselves, and what clients may ask of the proxy as a whole.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::counters::Counter;

/// Figures of one connection to a backend. The worker writes them about twenty times a second, when
/// it looks at its deadlines; readers never stop it.
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

type Tell = Box<dyn Fn() -> String + Send + Sync>;

/// Tells the text of `INFO proxy`, which the control side knows.
#[derive(Default)]
pub struct Info(OnceLock<Tell>);

impl Info {
    /// Lets `tell` answer from now on.
    pub fn set(&self, tell: impl Fn() -> String + Send + Sync + 'static) {
        // Nobody sets it twice.
        let _ = self.0.set(Box::new(tell));
    }

    /// The text; empty before there is a control side.
    pub fn text(&self) -> String {
        self.0.get().map_or_else(String::new, |tell| tell())
    }
}

impl fmt::Debug for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Info").finish_non_exhaustive()
    }
}
