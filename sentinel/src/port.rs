//! The command port: what clients, tools and other sentinels talk to.
//!
//! A session is a task that reads requests, answers what concerns only itself, and sends the rest
//! to the event loop, one at a time, so that replies keep the order of the requests.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use codis_core::resp::Value;
use tokio::sync::{mpsc, oneshot};

use crate::pubsub::{Mailbox, SessionId};

pub mod clients;
pub mod commands;
pub mod listen;
pub mod render;
pub mod server;
pub mod session;
pub mod table;

/// Requests that may wait for the event loop.
pub const REQUESTS_LEN: usize = 1024;

/// What a session sends to the event loop.
#[derive(Debug)]
pub enum Call {
    /// A request that waits for its answer.
    Request(Request),
    /// The session has ended.
    Gone(SessionId),
}

/// A request that the session cannot answer by itself.
#[derive(Debug)]
pub struct Request {
    /// Whose it is.
    pub session: SessionId,
    /// Where to send messages if it subscribes.
    pub mailbox: Mailbox,
    /// The words.
    pub args: Vec<Bytes>,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    /// One reply, or one for each name of a subscription.
    pub values: Vec<Value>,
    /// Subscriptions that the session has now; `None` when they did not change.
    pub subscriptions: Option<usize>,
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self {
            values: vec![value],
            subscriptions: None,
        }
    }
}

/// What sessions share.
#[derive(Debug)]
pub struct Shared {
    /// The password, when there is one.
    pub requirepass: Option<String>,
    /// Seconds after which an idle client is closed; 0 is never.
    pub timeout_secs: u64,
    /// Seconds between TCP keepalive probes; 0 is off.
    pub tcp_keepalive_secs: u64,
    /// Sessions at the same time.
    pub clients_max: usize,
    /// Without a password and a `bind`, only loopback may connect.
    pub protected: bool,
    /// The sessions.
    pub clients: Mutex<clients::Clients>,
    /// Counters.
    pub stats: Stats,
    /// The way to the event loop.
    pub calls: mpsc::Sender<Call>,
}

/// Counters for INFO.
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
    /// Bytes read.
    pub input_bytes: AtomicU64,
    /// Bytes written.
    pub output_bytes: AtomicU64,
}

impl Default for Stats {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            started: Instant::now(),
            connections: zero(),
            rejected: zero(),
            commands: zero(),
            input_bytes: zero(),
            output_bytes: zero(),
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
}

impl Shared {
    /// The sessions. A panic while they were held cannot leave them half-changed.
    pub fn clients(&self) -> std::sync::MutexGuard<'_, clients::Clients> {
        let locked = self.clients.lock();
        locked.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
