//! The command port: what clients, tools and other sentinels talk to.
//!
//! A session is a task that reads requests, answers what concerns only itself, and sends the rest
//! to the event loop, one at a time, so that replies keep the order of the requests.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use codis_core::resp::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::acl::Users;
use crate::log::Log;
use crate::metrics::Figures;
use crate::pubsub::{Count, SessionId};
use access::Access;
use outbox::Outbox;
use pause::Pause;
pub use stats::Stats;

pub mod access;
pub mod clients;
pub mod commands;
pub mod listen;
pub mod outbox;
pub mod pause;
pub mod render;
pub mod requests;
pub mod server;
pub mod session;
pub mod stats;
pub mod table;

/// Requests that may wait for the event loop.
pub const REQUESTS_LEN: usize = 1024;

/// What a session sends to the event loop.
#[derive(Debug)]
pub enum Call {
    /// A request that waits for its answer.
    Request(Request),
    /// Users that were read from their file, to take the place of all.
    Users {
        /// Who asked for it.
        session: SessionId,
        /// The users.
        users: Users,
        /// Where the answer goes.
        answer: oneshot::Sender<Answer>,
    },
    /// A scrape wants figures.
    Figures(oneshot::Sender<Figures>),
    /// The session has ended.
    Gone(SessionId),
}

/// A request that the session cannot answer by itself.
#[derive(Debug)]
pub struct Request {
    /// Whose it is.
    pub session: SessionId,
    /// Where to send messages if it subscribes.
    pub outbox: Arc<Outbox>,
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
    pub subscriptions: Option<Count>,
    /// The session ends after the reply.
    pub closing: bool,
}

impl Answer {
    /// No answer, and the end of the session: the event loop has ended, and the process will.
    pub fn closing() -> Self {
        Self {
            values: Vec::new(),
            subscriptions: None,
            closing: true,
        }
    }
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self {
            values: vec![value],
            subscriptions: None,
            closing: false,
        }
    }
}

/// What sessions share.
#[derive(Debug)]
pub struct Shared {
    /// Who may do what.
    pub access: Access,
    /// The password that other sentinels are given when no other is configured.
    pub requirepass: Option<String>,
    /// Seconds after which an idle client is closed; 0 is never.
    pub timeout_secs: u64,
    /// Seconds between TCP keepalive probes; 0 is off.
    pub tcp_keepalive_secs: u64,
    /// Sessions at the same time.
    pub clients_max: usize,
    /// Without a `bind`, only loopback may connect while the default user has no password.
    pub protected: bool,
    /// A supervisor was told of the start.
    pub supervised: bool,
    /// The sessions.
    pub clients: Mutex<clients::Clients>,
    /// Counters.
    pub stats: Stats,
    /// The pause of CLIENT PAUSE.
    pub pause: watch::Sender<Option<Pause>>,
    /// The log.
    pub log: Log,
    /// The way to the event loop.
    pub calls: mpsc::Sender<Call>,
}

impl Shared {
    /// The sessions. A panic while they were held cannot leave them half-changed.
    pub fn clients(&self) -> std::sync::MutexGuard<'_, clients::Clients> {
        let locked = self.clients.lock();
        locked.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether only loopback may connect.
    pub fn is_protected(&self) -> bool {
        let needs_password = || !self.access.state().users.default_user().needs_no_password();
        self.protected && !needs_password()
    }

    /// Whether there is a user of that name.
    pub fn has_user(&self, name: &str) -> bool {
        self.access.state().users.get(name).is_some()
    }
}
