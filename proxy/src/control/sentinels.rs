//! Watching the sentinels of the product.
//!
//! Each sentinel has a task with two connections: one is subscribed to `+topology` and
//! `+switch-master`, the other asks for a snapshot on connect, every second, and whenever a stock
//! sentinel says that it switched. A lost message thus costs a second, and a sentinel that is
//! frozen is noticed by its snapshot. Nothing here waits for a dashboard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::backoff::Backoff;
use codis_core::topology::{CHANNEL, Topology};
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, RedisError};
use tokio::task::JoinHandle;

use super::Control;
use super::believe::{View, Views, of_stock, of_topology};

/// How often a snapshot is taken.
const SNAPSHOT_PERIOD: Duration = Duration::from_secs(1);
/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How long a snapshot may take before the sentinel counts as gone.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// The first pause between two attempts, and the longest one.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// What a stock sentinel publishes once a failover is over.
const SWITCH_MASTER: &str = "+switch-master";

/// The sentinels that are watched, and the tasks that do it.
#[derive(Debug, Default)]
pub struct Watching {
    servers: Vec<String>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watching {
    /// The watched sentinels.
    pub fn servers(&self) -> &[String] {
        &self.servers
    }

    fn stop(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
    }
}

impl Control {
    /// Watches these sentinels from now on, and no others.
    pub fn watch(self: &Arc<Self>, servers: Vec<String>) {
        let mut watching = self.watching();
        let is_alive = |task: &JoinHandle<()>| !task.is_finished();
        if watching.servers == servers && watching.tasks.iter().all(is_alive) {
            return;
        }
        watching.stop();
        watching.servers = servers;
        self.spawn_watchers(&mut watching);
    }

    /// Starts watching anew.
    pub fn rewatch(self: &Arc<Self>) {
        let mut watching = self.watching();
        watching.stop();
        self.spawn_watchers(&mut watching);
    }

    fn spawn_watchers(self: &Arc<Self>, watching: &mut Watching) {
        tracing::info!(servers = watching.servers.join(","), "sentinels to watch");
        self.set_monitored(Default::default());
        let views = Arc::new(Mutex::new(Views::default()));
        let sentinels = watching.servers.len();
        for addr in &watching.servers {
            let watcher = Watcher {
                control: self.clone(),
                views: views.clone(),
                sentinels,
                addr: addr.clone(),
            };
            watching.tasks.push(tokio::spawn(watcher.run()));
        }
    }
}

struct Watcher {
    control: Arc<Control>,
    views: Arc<Mutex<Views>>,
    sentinels: usize,
    addr: String,
}

impl Watcher {
    async fn run(self) {
        let seed = self
            .addr
            .bytes()
            .fold(7, |sum: u64, b| sum.wrapping_mul(31) + u64::from(b));
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX, seed);
        let mut said = String::new();
        loop {
            let mut was_up = false;
            let reason = match self.watch(&mut was_up).await {
                Ok(()) => "subscription ended".to_owned(),
                Err(error) => error.to_string(),
            };
            if was_up {
                backoff.reset();
                said.clear();
            }
            if said != reason {
                tracing::warn!(sentinel = self.addr, reason, "sentinel lost");
                said = reason;
            }
            self.change_views(|views| views.remove(&self.addr));
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    async fn watch(&self, was_up: &mut bool) -> Result<(), RedisError> {
        let client = client(&self.addr)?;
        let subscribing = async {
            let mut subscription = client.get_async_pubsub().await?;
            subscription.subscribe(CHANNEL).await?;
            subscription.subscribe(SWITCH_MASTER).await?;
            Ok::<_, RedisError>(subscription)
        };
        let subscription = tokio::time::timeout(CONNECT_MAX, subscribing).await;
        let mut subscription = subscription.map_err(|_| timed_out("subscribe"))??;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(ANSWER_MAX));
        let mut asking = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        tracing::info!(sentinel = self.addr, "sentinel watched");
        *was_up = true;
        let mut messages = subscription.on_message();
        let mut ticks = tokio::time::interval(SNAPSHOT_PERIOD);
        loop {
            tokio::select! {
                biased;
                message = messages.next() => match message {
                    None => return Ok(()),
                    Some(message) if message.get_channel_name() == CHANNEL => {
                        self.take_message(message.get_payload_bytes());
                    }
                    Some(_) => self.snapshot(&mut asking).await?,
                },
                _ = ticks.tick() => self.snapshot(&mut asking).await?,
            }
        }
    }

    fn take_message(&self, payload: &[u8]) {
        match serde_json::from_slice::<Topology>(payload) {
            Ok(record) => self.take_record(&record),
            Err(error) => tracing::warn!(sentinel = self.addr, %error, "unreadable topology"),
        }
    }

    fn take_record(&self, record: &Topology) {
        if let Some((group, pair)) = of_topology(&self.control.settings().product_name, record) {
            self.control.adopt(group, pair, &self.addr);
        }
    }

    async fn snapshot(&self, asking: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let product = &self.control.settings().product_name;
        let mut command = redis::cmd("SENTINEL");
        command.arg("TOPOLOGY").arg(format!("{product}-*"));
        let answer: Result<Vec<String>, _> = command.query_async(asking).await;
        let mut view = View::default();
        match answer {
            Ok(texts) => {
                for text in texts {
                    let record: Topology = match serde_json::from_str(&text) {
                        Ok(record) => record,
                        Err(error) => {
                            tracing::warn!(sentinel = self.addr, %error, "unreadable topology");
                            continue;
                        }
                    };
                    self.take_record(&record);
                    if let Some((group, pair)) = of_topology(product, &record) {
                        view.groups.insert(group, Some(pair));
                    }
                }
            }
            Err(error) if is_refusal(&error) => {
                let mut command = redis::cmd("SENTINEL");
                command.arg("MASTERS");
                let masters: Vec<BTreeMap<String, String>> = command.query_async(asking).await?;
                view.groups = masters
                    .iter()
                    .filter_map(|m| of_stock(product, m))
                    .collect();
            }
            Err(error) => return Err(error),
        }
        self.change_views(|views| views.set(&self.addr, view));
        Ok(())
    }

    /// Changes the views, and takes what a majority now says.
    fn change_views(&self, change: impl FnOnce(&mut Views)) {
        let (monitored, pairs) = {
            let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut views);
            (views.monitored(), views.by_majority(self.sentinels))
        };
        self.control.set_monitored(monitored);
        for (group, pair) in pairs {
            self.control.adopt(group, pair, "majority");
        }
    }
}

fn client(addr: &str) -> Result<Client, RedisError> {
    let parsed: Addr = addr
        .parse()
        .map_err(|error: codis_core::addr::ParseError| {
            RedisError::from((
                redis::ErrorKind::InvalidClientConfig,
                "address",
                error.to_string(),
            ))
        })?;
    let info = (parsed.host().to_owned(), parsed.port()).into_connection_info()?;
    let settings = redis::RedisConnectionInfo::default().set_skip_set_lib_name();
    Client::open(info.set_redis_settings(settings))
}

/// Whether the sentinel answered and does not know the command.
fn is_refusal(error: &RedisError) -> bool {
    matches!(error.kind(), redis::ErrorKind::Server(_)) || error.code() == Some("ERR")
}

fn timed_out(what: &'static str) -> RedisError {
    let error = std::io::Error::new(std::io::ErrorKind::TimedOut, what);
    RedisError::from(error)
}
