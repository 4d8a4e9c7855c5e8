//! Publishing to the clients of the command port.
//!
//! A subscriber has a bounded queue. One that does not keep up is cut off: it will reconnect and
//! ask for the present state, which is better than events that are minutes old.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use codis_core::resp::Value;
use tokio::sync::{Notify, mpsc};

use crate::glob;

/// Messages that may wait for one subscriber.
pub const QUEUE_LEN: usize = 4096;

/// Channels and patterns of one subscriber, at most.
pub const SUBSCRIPTIONS_MAX: usize = 1024;

/// Number of a session.
pub type SessionId = u64;

/// Where the messages for a session go.
#[derive(Clone, Debug)]
pub struct Mailbox {
    /// Encoded messages.
    pub queue: mpsc::Sender<Bytes>,
    /// Rung when the session is to be closed.
    pub cut: Arc<Notify>,
}

/// Channel names or patterns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Names, by SUBSCRIBE.
    Channels,
    /// Globs, by PSUBSCRIBE.
    Patterns,
}

#[derive(Debug)]
struct Subscriber {
    mailbox: Mailbox,
    channels: BTreeSet<Bytes>,
    patterns: BTreeSet<Bytes>,
}

impl Subscriber {
    fn count(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    fn set(&mut self, kind: Kind) -> &mut BTreeSet<Bytes> {
        match kind {
            Kind::Channels => &mut self.channels,
            Kind::Patterns => &mut self.patterns,
        }
    }
}

/// All subscribers.
#[derive(Debug, Default)]
pub struct Hub {
    subscribers: BTreeMap<SessionId, Subscriber>,
}

impl Hub {
    /// Subscribes a session; the replies, one a name.
    pub fn subscribe(
        &mut self,
        session: SessionId,
        mailbox: &Mailbox,
        kind: Kind,
        names: &[Bytes],
    ) -> Vec<Value> {
        let subscriber = self
            .subscribers
            .entry(session)
            .or_insert_with(|| Subscriber {
                mailbox: mailbox.clone(),
                channels: BTreeSet::new(),
                patterns: BTreeSet::new(),
            });
        let mut replies = Vec::with_capacity(names.len());
        for name in names {
            if subscriber.count() >= SUBSCRIPTIONS_MAX && !subscriber.set(kind).contains(name) {
                replies.push(Value::error("ERR too many subscriptions"));
                continue;
            }
            subscriber.set(kind).insert(name.clone());
            let word = match kind {
                Kind::Channels => "subscribe",
                Kind::Patterns => "psubscribe",
            };
            replies.push(confirmation(
                word,
                Value::bulk(name.clone()),
                subscriber.count(),
            ));
        }
        replies
    }

    /// Ends subscriptions of a session, all of a kind when no name is given; the replies, one a
    /// name and at least one.
    pub fn unsubscribe(&mut self, session: SessionId, kind: Kind, names: &[Bytes]) -> Vec<Value> {
        let word = match kind {
            Kind::Channels => "unsubscribe",
            Kind::Patterns => "punsubscribe",
        };
        let Some(subscriber) = self.subscribers.get_mut(&session) else {
            let named = names
                .iter()
                .map(|n| confirmation(word, Value::bulk(n.clone()), 0));
            let replies: Vec<Value> = named.collect();
            return if replies.is_empty() {
                vec![confirmation(word, Value::null(), 0)]
            } else {
                replies
            };
        };
        let names: Vec<Bytes> = if names.is_empty() {
            subscriber.set(kind).iter().cloned().collect()
        } else {
            names.to_vec()
        };
        let mut replies = Vec::new();
        for name in names {
            subscriber.set(kind).remove(&name);
            replies.push(confirmation(word, Value::bulk(name), subscriber.count()));
        }
        if replies.is_empty() {
            replies.push(confirmation(word, Value::null(), subscriber.count()));
        }
        if subscriber.count() == 0 {
            self.subscribers.remove(&session);
        }
        replies
    }

    /// Subscriptions of a session.
    pub fn count(&self, session: SessionId) -> usize {
        self.subscribers.get(&session).map_or(0, Subscriber::count)
    }

    /// Forgets a session.
    pub fn forget(&mut self, session: SessionId) {
        self.subscribers.remove(&session);
    }

    /// Subscribed channels and patterns, all sessions together.
    pub fn totals(&self) -> (usize, usize) {
        let all = self.subscribers.values();
        let channels: BTreeSet<&Bytes> = all.clone().flat_map(|s| &s.channels).collect();
        let patterns: BTreeSet<&Bytes> = all.flat_map(|s| &s.patterns).collect();
        (channels.len(), patterns.len())
    }

    /// Sends a message to whom it concerns; how many could not take it and were cut off.
    pub fn publish(&mut self, channel: &str, payload: &str) -> usize {
        let mut slow = Vec::new();
        let bulk = |text: &str| Value::bulk(text.to_owned().into_bytes());
        let plain = Value::array([bulk("message"), bulk(channel), bulk(payload)]).to_bytes();
        for (&session, subscriber) in &self.subscribers {
            let mut messages = Vec::new();
            if subscriber.channels.contains(channel.as_bytes()) {
                messages.push(plain.clone());
            }
            let matching = |p: &&Bytes| glob::matches(p, channel.as_bytes());
            for pattern in subscriber.patterns.iter().filter(matching) {
                let pattern = Value::bulk(pattern.clone());
                let parts = [bulk("pmessage"), pattern, bulk(channel), bulk(payload)];
                messages.push(Value::array(parts).to_bytes());
            }
            let queue = &subscriber.mailbox.queue;
            if !messages.into_iter().all(|m| queue.try_send(m).is_ok()) {
                slow.push(session);
            }
        }
        for session in &slow {
            if let Some(subscriber) = self.subscribers.remove(session) {
                subscriber.mailbox.cut.notify_one();
            }
        }
        slow.len()
    }
}

fn confirmation(word: &'static str, name: Value, count: usize) -> Value {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    Value::array([Value::bulk(word), name, Value::Integer(count)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(len: usize) -> (Mailbox, mpsc::Receiver<Bytes>) {
        let (queue, receiver) = mpsc::channel(len);
        let cut = Arc::new(Notify::new());
        (Mailbox { queue, cut }, receiver)
    }

    #[test]
    fn messages_reach_channels_and_patterns() {
        let mut hub = Hub::default();
        let (mailbox, mut messages) = mailbox(8);
        hub.subscribe(1, &mailbox, Kind::Channels, &["+sdown".into()]);
        hub.subscribe(1, &mailbox, Kind::Patterns, &["+s*".into()]);
        assert_eq!(hub.count(1), 2);
        hub.publish("+sdown", "x");
        hub.publish("+odown", "y");
        assert!(messages.try_recv().unwrap().starts_with(b"*3"));
        assert!(messages.try_recv().unwrap().starts_with(b"*4"));
        assert!(messages.try_recv().is_err());
        assert_eq!(hub.unsubscribe(1, Kind::Channels, &[]).len(), 1);
        assert_eq!(hub.unsubscribe(1, Kind::Patterns, &[]).len(), 1);
        assert_eq!(hub.count(1), 0);
    }

    #[tokio::test]
    async fn a_subscriber_that_does_not_keep_up_is_cut_off() {
        let mut hub = Hub::default();
        let (mailbox, _messages) = mailbox(1);
        hub.subscribe(1, &mailbox, Kind::Channels, &["c".into()]);
        assert_eq!(hub.publish("c", "1"), 0);
        assert_eq!(hub.publish("c", "2"), 1);
        mailbox.cut.notified().await;
        assert_eq!(hub.count(1), 0);
    }
}
