//! A client connection that hides nothing: one command, one answer, no retry, no reconnect behind
//! the caller's back.

use std::time::{Duration, Instant};

use redis::{Connection, ErrorKind, RedisError, RedisResult};

use codis_core::addr::Addr;

use crate::query;

/// How long a client waits for one answer before it gives the connection up. Longer than a proxy
/// may hold a request, so that only a lost request runs into it.
pub const PATIENCE: Duration = Duration::from_secs(20);
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// One connection to a proxy, opened when needed.
pub struct Client {
    addr: Addr,
    connection: Option<Connection>,
}

/// When an operation was sent and answered, and the answer.
pub struct Timed<T> {
    /// Just before the command was written, or the connection asked for.
    pub sent: Instant,
    /// Just after the answer was read.
    pub done: Instant,
    /// The answer, or the text of what went wrong.
    pub answer: Result<T, String>,
}

impl Client {
    /// For the proxy at `addr`; connects with the first command.
    pub const fn new(addr: Addr) -> Self {
        Self {
            addr,
            connection: None,
        }
    }

    /// Sends one command and waits for its answer.
    pub fn call<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> Timed<T> {
        let sent = Instant::now();
        let answer = self.try_call(words).map_err(|error| text_of(&error));
        Timed {
            sent,
            done: Instant::now(),
            answer,
        }
    }

    fn try_call<T: redis::FromRedisValue>(&mut self, words: &[&str]) -> RedisResult<T> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let answer = command.query(&mut connection);
        let usable = answer.as_ref().err().is_none_or(is_reply);
        if usable {
            self.connection = Some(connection);
        }
        answer
    }

    fn connect(&self) -> RedisResult<Connection> {
        let connection = query::client(&self.addr)?.get_connection_with_timeout(CONNECT_MAX)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        Ok(connection)
    }
}

/// Whether the error is an answer of the server, so that the connection is still in step.
fn is_reply(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

/// An error reply as it was on the wire, or what happened to the connection.
fn text_of(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => format!("connection: {error}"),
    }
}
