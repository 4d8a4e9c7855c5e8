//! Ephemeral nodes: they go when the session ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::runtime::Handle;
use zookeeper_client::{Client, CreateMode, Error as Fault, EventType};

use super::connection::{Connection, is_about_connection};
use super::nodes::{Batch, look};
use crate::coordinator::hold::{Held, Keeper, Validity};
use crate::coordinator::{Error, Expected, Write};

/// The pause before a node is looked at again after a failure.
const LOOK_RETRY: Duration = Duration::from_millis(500);
/// How often an end is tried while others change the node.
const END_TRIES: u32 = 3;

/// An ephemeral node of ours.
pub struct Node {
    own: Own,
    keeper: Keeper,
    /// Where a destructor runs what it cannot wait for.
    runtime: Handle,
}

/// What makes a node ours: its session and its data.
#[derive(Clone)]
struct Own {
    connection: Arc<Connection>,
    /// Keeps the session alive.
    client: Client,
    path: String,
    value: Vec<u8>,
}

impl Node {
    /// Makes the node; one that is there must hold what is expected, and is replaced.
    pub async fn create(
        connection: &Arc<Connection>,
        operation: &'static str,
        path: &str,
        value: &[u8],
        expected: Expected<'_>,
    ) -> Result<Self, Error> {
        let sent = Instant::now();
        let write = Write {
            path,
            expected,
            value: Some(value),
        };
        let batch = Batch {
            operation,
            writes: &[write],
            guards: &[],
            mode: CreateMode::Ephemeral,
        };
        batch.run(connection).await?;
        // The session that made the node is the current one, or the node is about to go; the keeper
        // finds out.
        let asked = connection.call(operation, path, |client| async move { Ok(client) });
        let client = asked
            .await?
            .map_err(|fault| connection.explain(operation, path, &fault))?;
        let own = Own {
            connection: connection.clone(),
            client,
            path: path.to_owned(),
            value: value.to_vec(),
        };
        let (until, kept) = (sent + own.client.session_timeout(), own.clone());
        Ok(Self {
            keeper: Keeper::spawn(until, |validity| kept.kept(validity)),
            own,
            runtime: Handle::current(),
        })
    }
}

impl Own {
    /// Listens to the node, and asks for it three times in the time of a session. Ends with the
    /// reason why it is lost.
    async fn kept(self, validity: Arc<Validity>) -> String {
        let session = self.client.session_id().0;
        loop {
            let sent = Instant::now();
            let fault = match self.client.get_and_watch_data(&self.path).await {
                Ok((_, stat, _)) if stat.ephemeral_owner != session => {
                    return "it belongs to another session".to_owned();
                }
                Ok((value, _, _)) if value != self.value => return "it was changed".to_owned(),
                Ok((_, _, watcher)) => {
                    self.extend(&validity, sent);
                    let event = tokio::select! {
                        event = watcher.changed() => event,
                        fault = self.asked(&validity) => {
                            tracing::debug!(path = self.path, %fault, "node not asked for");
                            tokio::time::sleep(LOOK_RETRY).await;
                            continue;
                        }
                    };
                    if event.event_type == EventType::Session && event.session_state.is_terminated()
                    {
                        return format!("the session ended: {}", event.session_state);
                    }
                    continue;
                }
                Err(fault) => fault,
            };
            if fault == Fault::NoNode {
                return "it was deleted".to_owned();
            }
            let state = self.client.state();
            if state.is_terminated() {
                return format!("the session ended: {state}");
            }
            if !is_about_connection(&fault) {
                tracing::debug!(path = self.path, %fault, "node not watched");
            }
            tokio::time::sleep(LOOK_RETRY).await;
        }
    }

    /// The server had a word of this session at `sent` or later.
    fn extend(&self, validity: &Validity, sent: Instant) {
        validity.extend(sent + self.client.session_timeout());
    }

    /// Asks for the node again and again while that works.
    async fn asked(&self, validity: &Validity) -> Fault {
        loop {
            tokio::time::sleep(self.client.session_timeout() / 3).await;
            let sent = Instant::now();
            match self.client.check_stat(&self.path).await {
                Ok(Some(stat)) if stat.ephemeral_owner == self.client.session_id().0 => {
                    self.extend(validity, sent);
                }
                Ok(_) => return Fault::NoNode,
                Err(fault) => return fault,
            }
        }
    }

    /// Deletes the node if it is still ours. Somebody else's data in it would go with our session,
    /// so it gets a node of its own.
    async fn end(self) -> Result<(), Error> {
        let session = self.client.session_id().0;
        let mut outcome = Ok(());
        for _ in 0..END_TRIES {
            let found = look(&self.connection, "remove", &self.path).await?;
            let Some((data, _)) = found.filter(|(_, stat)| stat.ephemeral_owner == session) else {
                return Ok(());
            };
            outcome = if data == self.value {
                self.write(&data, None).await
            } else {
                self.leave(&data).await
            };
            match &outcome {
                Err(Error::Changed { .. }) => {}
                _ => return outcome,
            }
        }
        outcome
    }

    async fn write(&self, held: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        let expected = Expected::Value(held);
        self.change("remove", expected, value).await
    }

    async fn change(
        &self,
        operation: &'static str,
        expected: Expected<'_>,
        value: Option<&[u8]>,
    ) -> Result<(), Error> {
        let write = Write {
            path: &self.path,
            expected,
            value,
        };
        let batch = Batch {
            operation,
            writes: &[write],
            guards: &[],
            mode: CreateMode::Persistent,
        };
        batch.run(&self.connection).await
    }

    async fn leave(&self, data: &[u8]) -> Result<(), Error> {
        self.write(data, None).await?;
        match self.change("leave", Expected::Missing, Some(data)).await {
            Err(Error::Exists { .. }) => Ok(()),
            outcome => outcome,
        }
    }
}

#[async_trait]
impl Held for Node {
    async fn release(self: Box<Self>) -> Result<(), Error> {
        let Self { own, keeper, .. } = *self;
        drop(keeper);
        own.end().await
    }

    fn abandon(self: Box<Self>) {
        let Self {
            own,
            keeper,
            runtime,
        } = *self;
        drop(keeper);
        runtime.spawn(async move {
            if let Err(error) = own.end().await {
                tracing::debug!(%error, "a dropped record stays until its session ends");
            }
        });
    }

    async fn lost(&self) -> String {
        self.keeper.lost().await
    }

    fn valid_until(&self) -> Instant {
        self.keeper.valid_until()
    }
}
