//! Listening to the sentinels of a product.
//!
//! Each sentinel has a task with two connections: one is subscribed to `+topology` and
//! `+switch-master`, the other asks for the whole list on connect, every second, and whenever a
//! stock sentinel says that it switched. So a lost message costs a second, and a sentinel that is
//! frozen is noticed by its list. What they say goes into a channel; what of it is believed is the
//! business of [`codis_core::belief`] and of whoever listens.

use std::time::Duration;

use codis_core::backoff::Backoff;
use codis_core::belief::Word;
use codis_core::topology::{CHANNEL, Topology};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::peer::{self, Error, Login, Peer, parse_topology};

/// How many sayings wait for the listener; when it is full the tasks wait too.
pub const SAID_MAX: usize = 256;
/// How often a sentinel is asked for its list.
const LIST_EVERY: Duration = Duration::from_secs(1);
/// How long the list may take before the sentinel counts as lost.
const LIST_MAX: Duration = Duration::from_secs(2);
/// The first pause between two attempts to connect.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest pause between two attempts to connect.
const RETRY_MAX: Duration = Duration::from_secs(1);
/// What a stock sentinel publishes once a failover is over.
const SWITCH_MASTER: &str = "+switch-master";

/// What a sentinel said, or that it says nothing any more.
#[derive(Clone, Debug)]
pub enum Said {
    /// A record of one of our sentinels.
    Record(Box<Topology>),
    /// A whole list; the records of one of our sentinels were said before it.
    Answer {
        /// The sentinel, as it is on record.
        sentinel: String,
        /// One for each group that it monitors.
        words: Vec<Word>,
    },
    /// It cannot be reached.
    Lost {
        /// The sentinel, as it is on record.
        sentinel: String,
    },
}

/// The tasks that listen; they end when this is dropped.
#[derive(Debug, Default)]
pub struct Listening {
    tasks: Vec<JoinHandle<()>>,
}

impl Listening {
    /// Listens to `sentinels`, as `login`; they end by themselves when the receiver is gone.
    pub fn start(
        product: &str,
        sentinels: &[String],
        login: &Login,
        said: &mpsc::Sender<Said>,
    ) -> Self {
        let listener = |sentinel: &String| Listener {
            product: product.to_owned(),
            sentinel: sentinel.clone(),
            login: login.clone(),
            said: said.clone(),
        };
        let tasks = sentinels
            .iter()
            .map(listener)
            .map(|one| tokio::spawn(one.run()))
            .collect();
        Self { tasks }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

struct Listener {
    product: String,
    sentinel: String,
    login: Login,
    said: mpsc::Sender<Said>,
}

impl Listener {
    async fn run(self) {
        let seed = self.sentinel.bytes().fold(7, |seed: u64, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX, seed);
        let mut reported = false;
        loop {
            let mut heard = false;
            let Err(error) = self.session(&mut heard).await else {
                return;
            };
            if heard {
                backoff.reset();
                reported = false;
            }
            if !reported {
                tracing::warn!(sentinel = self.sentinel, %error, "sentinel lost");
                reported = true;
            }
            let lost = Said::Lost {
                sentinel: self.sentinel.clone(),
            };
            if self.said.send(lost).await.is_err() {
                return;
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// One pair of connections to its end; `Ok` when nobody listens to us any more.
    async fn session(&self, heard: &mut bool) -> Result<(), Error> {
        let subscription =
            peer::subscribe(&self.sentinel, &self.login, &[CHANNEL, SWITCH_MASTER]).await?;
        let (_keep, mut messages) = subscription.split();
        let mut peer = Peer::connect_as(&self.sentinel, &self.login, LIST_MAX).await?;
        let mut ticks = tokio::time::interval(LIST_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let going = tokio::select! {
                biased;
                message = messages.next() => {
                    let message = message.ok_or_else(|| self.ended())?;
                    if message.get_channel_name() == CHANNEL {
                        let text: String = message.get_payload().unwrap_or_default();
                        self.tell_records(parse_topology(&text)).await
                    } else {
                        self.list(&mut peer).await?
                    }
                }
                _ = ticks.tick() => self.list(&mut peer).await?,
            };
            if !going {
                return Ok(());
            }
            if !*heard {
                tracing::info!(sentinel = self.sentinel, "sentinel heard");
                *heard = true;
            }
        }
    }

    fn ended(&self) -> Error {
        let reason = "the subscription ended".to_owned();
        Error::Broken {
            addr: self.sentinel.clone(),
            reason,
        }
    }

    /// Asks for the whole list: with `SENTINEL TOPOLOGY`, or as a stock sentinel understands it.
    async fn list(&self, peer: &mut Peer) -> Result<bool, Error> {
        let words = match peer.topology(&format!("{}-*", self.product)).await {
            Ok(records) => {
                let word = |record| Word::of_record(&self.product, record);
                let words = records.iter().filter_map(word).collect();
                if !self.tell_records(records).await {
                    return Ok(false);
                }
                words
            }
            Err(error) if error.is_refusal() => {
                let masters = peer.masters().await?;
                let word = |fields| Word::of_fields(&self.product, fields);
                masters.iter().filter_map(word).collect()
            }
            Err(error) => return Err(error),
        };
        let answer = Said::Answer {
            sentinel: self.sentinel.clone(),
            words,
        };
        Ok(self.said.send(answer).await.is_ok())
    }

    /// Passes records on; false when nobody listens any more.
    async fn tell_records(&self, records: impl IntoIterator<Item = Topology>) -> bool {
        for record in records {
            if self
                .said
                .send(Said::Record(Box::new(record)))
                .await
                .is_err()
            {
                return false;
            }
        }
        true
    }
}
