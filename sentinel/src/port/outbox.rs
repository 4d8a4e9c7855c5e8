//! Messages on their way to one subscriber.
//!
//! Bounded as Redis bounds the output of subscribers ([`Limit`]): by default 32 MB at any time, or
//! 8 MB for 60 seconds. A subscriber that falls behind further is cut off: it will reconnect and
//! ask for the present state, which is better than events that are minutes old.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use codis_core::resp::{Protocol, Value};
use tokio::sync::Notify;

/// What `client-output-buffer-limit pubsub` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Bytes that may wait.
    pub hard_bytes: usize,
    /// Bytes that may wait for `soft_time`.
    pub soft_bytes: usize,
    /// How long more than `soft_bytes` may wait.
    pub soft_time: Duration,
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            hard_bytes: 32 * 1024 * 1024,
            soft_bytes: 8 * 1024 * 1024,
            soft_time: Duration::from_secs(60),
        }
    }
}

/// Bytes that one message takes besides its text.
const MESSAGE_BYTES: usize = 192;

/// Messages for one session, and the order to end it.
#[derive(Debug, Default)]
pub struct Outbox {
    limit: Limit,
    waiting: Mutex<Waiting>,
    filled: Notify,
    cut: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Value>,
    bytes: usize,
    soft_since: Option<Instant>,
}

impl Outbox {
    /// An empty one.
    pub fn new(limit: Limit) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Adds a message; `false` when the subscriber has fallen too far behind.
    #[must_use]
    pub fn push(&self, message: Value, now: Instant) -> bool {
        let mut waiting = self.waiting();
        let bytes = waiting.bytes + size(&message);
        if bytes > self.limit.hard_bytes {
            return false;
        }
        if bytes > self.limit.soft_bytes {
            let since = *waiting.soft_since.get_or_insert(now);
            if now.saturating_duration_since(since) >= self.limit.soft_time {
                return false;
            }
        }
        waiting.bytes = bytes;
        waiting.messages.push_back(message);
        drop(waiting);
        self.filled.notify_one();
        true
    }

    /// Waits until there may be a message.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Writes messages until `room` bytes are exceeded; whether there are more.
    pub fn drain(&self, protocol: Protocol, out: &mut BytesMut, room: usize) -> bool {
        let mut waiting = self.waiting();
        while out.len() < room {
            let Some(message) = waiting.messages.pop_front() else {
                break;
            };
            waiting.bytes = waiting.bytes.saturating_sub(size(&message));
            message.encode_as(protocol, out);
        }
        if waiting.bytes <= self.limit.soft_bytes {
            waiting.soft_since = None;
        }
        !waiting.messages.is_empty()
    }

    /// Messages that wait, and their bytes.
    pub fn depth(&self) -> (usize, usize) {
        let waiting = self.waiting();
        (waiting.messages.len(), waiting.bytes)
    }

    /// Ends the session.
    pub fn cut(&self) {
        self.cut.notify_one();
    }

    /// Waits until the session is to end.
    pub async fn is_cut(&self) {
        self.cut.notified().await;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that a message takes: an estimate that is not too low.
fn size(message: &Value) -> usize {
    let parts = message.as_array().unwrap_or_default();
    let text = parts.iter().filter_map(Value::as_bytes).map(<[u8]>::len);
    MESSAGE_BYTES + text.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Value {
        Value::Push(vec![Value::bulk(vec![b'x'; bytes])])
    }

    #[test]
    fn what_waits_is_bounded() {
        let outbox = Outbox::default();
        let now = Instant::now();
        let megabyte = 1024 * 1024 - MESSAGE_BYTES;
        for _ in 0..32 {
            assert!(outbox.push(message(megabyte), now));
        }
        assert!(!outbox.push(message(1), now), "32 MB wait");
        assert_eq!(outbox.depth(), (32, 32 * 1024 * 1024));
    }

    #[test]
    fn what_waits_for_long_is_bounded_lower() {
        let outbox = Outbox::default();
        let now = Instant::now();
        for _ in 0..9 {
            assert!(outbox.push(message(1024 * 1024), now));
        }
        let later = now + Limit::default().soft_time;
        assert!(!outbox.push(message(1), later), "9 MB wait for a minute");
        let mut out = BytesMut::new();
        assert!(outbox.drain(Protocol::Resp2, &mut out, 4 * 1024 * 1024));
        assert!(outbox.push(message(1), later), "it has caught up");
    }

    #[test]
    fn messages_are_written_in_the_protocol_of_the_session() {
        let outbox = Outbox::default();
        assert!(outbox.push(message(1), Instant::now()));
        assert!(outbox.push(message(2), Instant::now()));
        let mut out = BytesMut::new();
        assert!(outbox.drain(Protocol::Resp3, &mut out, 1));
        assert!(!outbox.drain(Protocol::Resp2, &mut out, 64));
        assert_eq!(&out[..], b">1\r\n$1\r\nx\r\n*1\r\n$2\r\nxx\r\n");
        assert_eq!(outbox.depth(), (0, 0));
    }
}
