//! Everything that the sentinels publish, with the moment at which it arrived here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::topology::{self, Topology};

use crate::layout::Layout;
use crate::query;

/// How many events are kept; the oldest go first.
const KEPT_MAX: usize = 100_000;
const CONNECT_MAX: Duration = Duration::from_secs(20);

/// One published event.
#[derive(Clone, Debug)]
pub struct Event {
    /// When it arrived.
    pub at: Instant,
    /// The sentinel's name in the layout.
    pub from: String,
    /// The channel, such as `+sdown`.
    pub name: String,
    /// The message.
    pub text: String,
}

impl Event {
    /// Whether it is about the master itself: `master <name> <ip> <port> ...`.
    pub fn is_about_master(&self, monitor: &str) -> bool {
        self.text == format!("master {monitor}")
            || self.text.starts_with(&format!("master {monitor} "))
    }

    /// Whether it is about a server or sentinel beside the master: `... @ <name> <ip> <port>`.
    pub fn is_beside_master(&self, monitor: &str) -> bool {
        self.text.contains(&format!(" @ {monitor} "))
    }

    /// The record, when it is one about `monitor`.
    pub fn topology(&self, monitor: &str) -> Option<Topology> {
        if self.name != topology::CHANNEL {
            return None;
        }
        let record: Topology = serde_json::from_str(&self.text).ok()?;
        (record.name == monitor).then_some(record)
    }

    /// The epoch and master that the record tells, when it is about `monitor`.
    pub fn pair(&self, monitor: &str) -> Option<(Epoch, Addr)> {
        self.topology(monitor)
            .map(|record| (record.epoch, record.master))
    }
}

/// Collects events until the sentinels end.
#[derive(Clone, Debug)]
pub struct Events {
    kept: Arc<Mutex<Vec<Event>>>,
}

impl Events {
    /// Subscribes at every sentinel of `layout`; returns when all have confirmed it.
    ///
    /// # Errors
    /// A sentinel cannot be subscribed to.
    pub fn subscribe(layout: &Layout) -> anyhow::Result<Self> {
        let kept = Arc::new(Mutex::new(Vec::new()));
        for sentinel in layout.sentinels() {
            let name = sentinel.name();
            let connection = query::client(&sentinel.addr)?
                .get_connection_with_timeout(CONNECT_MAX)
                .with_context(|| format!("connect to {name}"))?;
            let (ready, confirmed) = std::sync::mpsc::sync_channel(1);
            let kept = kept.clone();
            std::thread::Builder::new()
                .name("events".to_owned())
                .spawn({
                    let name = name.clone();
                    move || listen(connection, &name, &kept, &ready)
                })?;
            let answer = confirmed.recv_timeout(CONNECT_MAX);
            answer.with_context(|| format!("subscribe at {name}"))??;
        }
        Ok(Self { kept })
    }

    /// Events since `start`, in order of arrival.
    pub fn since(&self, start: Instant) -> Vec<Event> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter()
            .filter(|event| event.at >= start)
            .cloned()
            .collect()
    }
}

/// Ends when the sentinel closes the connection.
fn listen(
    mut connection: redis::Connection,
    name: &str,
    kept: &Mutex<Vec<Event>>,
    ready: &std::sync::mpsc::SyncSender<redis::RedisResult<()>>,
) {
    let mut subscription = connection.as_pubsub();
    let confirmed = subscription.psubscribe("*");
    let failed = confirmed.is_err();
    if ready.send(confirmed).is_err() || failed {
        return;
    }
    while let Ok(message) = subscription.get_message() {
        let event = Event {
            at: Instant::now(),
            from: name.to_owned(),
            name: message.get_channel_name().to_owned(),
            text: message.get_payload().unwrap_or_default(),
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        kept.push(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Event {
        Event {
            at: Instant::now(),
            from: "s".to_owned(),
            name: "+sdown".to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn names_are_matched_whole() {
        let about = event("master demo-1 127.0.0.1 6379");
        assert!(about.is_about_master("demo-1"));
        assert!(!about.is_about_master("demo-11") && !about.is_about_master("demo"));
        let beside = event("slave h:1 h 1 @ demo-1 127.0.0.1 6379");
        assert!(beside.is_beside_master("demo-1") && !beside.is_about_master("demo-1"));
        assert!(!beside.is_beside_master("demo"));
    }
}
