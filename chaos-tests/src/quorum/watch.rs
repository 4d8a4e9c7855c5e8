//! What the sentinels of a lab publish, with the moment of its arrival here.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use codis_core::addr::Addr;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::lab::Member;
use crate::query;

/// Messages that wait to be looked at.
const KEPT_MAX: usize = 100_000;

/// One message.
#[derive(Clone, Debug)]
pub struct Said {
    /// When it arrived.
    pub at: Instant,
    /// Which sentinel, by its place in the lab.
    pub from: usize,
    /// The channel, such as `+odown`.
    pub name: String,
    /// The message.
    pub text: String,
}

impl Said {
    /// The new master of a `+switch-master`: `<name> <old ip> <old port> <new ip> <new port>`.
    pub fn switched_to(&self) -> Option<Addr> {
        if self.name != "+switch-master" {
            return None;
        }
        let words: Vec<&str> = self.text.split(' ').collect();
        let [_, _, _, host, port] = words.as_slice() else {
            return None;
        };
        Some(Addr::new(*host, port.parse().ok()?))
    }
}

/// Messages of all sentinels of a lab, in the order of their arrival.
#[derive(Debug)]
pub struct Watch {
    messages: mpsc::Receiver<Said>,
}

impl Watch {
    /// Subscribes at all of them; returns when all have confirmed it.
    ///
    /// # Errors
    /// A sentinel cannot be subscribed to.
    pub async fn start(sentinels: &[Member]) -> anyhow::Result<Self> {
        let (sender, messages) = mpsc::channel(KEPT_MAX);
        for (from, sentinel) in sentinels.iter().enumerate() {
            let client = query::client(&sentinel.addr)?;
            let subscribed = client.get_async_pubsub().await;
            let mut subscription = subscribed.with_context(|| sentinel.addr.to_string())?;
            subscription.psubscribe("*").await?;
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut stream = subscription.into_on_message();
                while let Some(message) = stream.next().await {
                    let said = Said {
                        at: Instant::now(),
                        from,
                        name: message.get_channel_name().to_owned(),
                        text: message.get_payload().unwrap_or_default(),
                    };
                    if sender.send(said).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { messages })
    }

    /// The next message.
    ///
    /// # Errors
    /// None comes in that time, or all sentinels are gone.
    pub async fn next(&mut self, patience: Duration) -> anyhow::Result<Said> {
        let next = tokio::time::timeout(patience, self.messages.recv()).await;
        next.context("no event in time")?
            .context("all sentinels are gone")
    }

    /// Forgets what has arrived.
    pub fn clear(&mut self) {
        while self.messages.try_recv().is_ok() {}
    }
}
