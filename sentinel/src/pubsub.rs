//! Publishing to the clients of the command port. What a subscriber has not read is bounded by its
//! [`Outbox`]; one that falls behind is cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use codis_core::resp::Value;

use crate::acl::Lost;
use crate::glob;
use crate::port::outbox::Outbox;

/// Channels and patterns of one subscriber, at most.
pub const SUBSCRIPTIONS_MAX: usize = 1024;

/// Number of a session.
pub type SessionId = u64;

/// How many subscriptions a session has.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Count {
    /// Channels.
    pub channels: usize,
    /// Patterns.
    pub patterns: usize,
}

impl Count {
    /// Both together.
    pub const fn all(self) -> usize {
        self.channels + self.patterns
    }
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
    outbox: Arc<Outbox>,
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
        outbox: &Arc<Outbox>,
        kind: Kind,
        names: &[Bytes],
    ) -> Vec<Value> {
        let subscriber = self
            .subscribers
            .entry(session)
            .or_insert_with(|| Subscriber {
                outbox: Arc::clone(outbox),
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
    pub fn count(&self, session: SessionId) -> Count {
        let subscriber = self.subscribers.get(&session);
        subscriber.map_or_else(Count::default, |s| Count {
            channels: s.channels.len(),
            patterns: s.patterns.len(),
        })
    }

    /// Whether a session has a subscription that it may not have any more.
    pub fn is_concerned(&self, session: SessionId, lost: &Lost) -> bool {
        let subscriber = self.subscribers.get(&session);
        subscriber.is_some_and(|s| lost.concerns(s.channels.iter(), s.patterns.iter()))
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
        let now = Instant::now();
        let bulk = |text: &str| Value::bulk(text.to_owned().into_bytes());
        let (channel_value, payload) = (bulk(channel), bulk(payload));
        for (&session, subscriber) in &self.subscribers {
            let mut messages = Vec::new();
            if subscriber.channels.contains(channel.as_bytes()) {
                let parts = [bulk("message"), channel_value.clone(), payload.clone()];
                messages.push(Value::Push(parts.into()));
            }
            let matching = |p: &&Bytes| glob::matches(p, channel.as_bytes());
            for pattern in subscriber.patterns.iter().filter(matching) {
                messages.push(Value::Push(vec![
                    bulk("pmessage"),
                    Value::bulk(pattern.clone()),
                    channel_value.clone(),
                    payload.clone(),
                ]));
            }
            let outbox = &subscriber.outbox;
            if !messages.into_iter().all(|m| outbox.push(m, now)) {
                slow.push(session);
            }
        }
        for session in &slow {
            if let Some(subscriber) = self.subscribers.remove(session) {
                subscriber.outbox.cut();
            }
        }
        slow.len()
    }
}

fn confirmation(word: &'static str, name: Value, count: usize) -> Value {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    Value::Push(vec![Value::bulk(word), name, Value::Integer(count)])
}

#[cfg(test)]
mod tests {
    use super::*;

    use codis_core::resp::Protocol;

    fn drained(outbox: &Outbox) -> String {
        let mut out = bytes::BytesMut::new();
        outbox.drain(Protocol::Resp2, &mut out, usize::MAX);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn messages_reach_channels_and_patterns() {
        let mut hub = Hub::default();
        let outbox = Arc::new(Outbox::default());
        hub.subscribe(1, &outbox, Kind::Channels, &["+sdown".into()]);
        hub.subscribe(1, &outbox, Kind::Patterns, &["+s*".into()]);
        assert_eq!(hub.count(1).all(), 2);
        hub.publish("+sdown", "x");
        hub.publish("+odown", "y");
        let text = drained(&outbox);
        let message = "*3\r\n$7\r\nmessage\r\n$6\r\n+sdown\r\n$1\r\nx\r\n";
        let pattern = "*4\r\n$8\r\npmessage\r\n$3\r\n+s*\r\n$6\r\n+sdown\r\n$1\r\nx\r\n";
        assert_eq!(text, [message, pattern].concat());
        assert_eq!(hub.unsubscribe(1, Kind::Channels, &[]).len(), 1);
        assert_eq!(hub.unsubscribe(1, Kind::Patterns, &[]).len(), 1);
        assert_eq!(hub.count(1), Count::default());
    }

    #[tokio::test]
    async fn a_subscriber_that_does_not_keep_up_is_cut_off() {
        let mut hub = Hub::default();
        let outbox = Arc::new(Outbox::default());
        hub.subscribe(1, &outbox, Kind::Channels, &["c".into()]);
        let megabyte = "x".repeat(1024 * 1024);
        let mut cut = 0;
        for _ in 0..32 {
            cut += hub.publish("c", &megabyte);
        }
        assert_eq!(cut, 1);
        outbox.is_cut().await;
        assert_eq!(hub.count(1), Count::default());
    }
}
