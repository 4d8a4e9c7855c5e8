//! ZooKeeper as the store.
//!
//! Records are the nodes that the original makes, with its rights. Locks and ephemeral records are
//! ephemeral nodes of this handle's session.

mod connection;
mod nodes;
mod record;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use zookeeper_client::{CreateMode, Error as Fault, EventType, OneshotWatcher};

use super::error::{DIRECTORY, RECORD, kind};
use super::watch::Teller;
use super::{
    Backend, Coordinator, Credentials, Ephemeral, Error, Expected, Guard, Lock, LockError,
    OpenError, Shared, Takeover, Watch, Write, check_commit, check_value, path,
};
use connection::Connection;
use nodes::{Batch, look, see};
use record::Node;

/// What settings call it.
pub(super) const BACKEND: Backend = Backend {
    names: &["zookeeper", "zk"],
    has_users: true,
    has_sessions: true,
    open: |addr, auth, session| {
        Box::pin(async move {
            let auth = Credentials::parse(auth)?;
            Ok(Arc::new(ZooKeeper::open(addr, auth, session)?) as Shared)
        })
    },
};

/// The pause before a broken watch is made again.
const WATCH_RETRY: Duration = Duration::from_secs(1);
/// How often a lock is tried when its record changes at the same time.
const LOCK_TRIES: u32 = 5;
/// How many records of a directory are asked for before the first answer is awaited.
const READ_AT_ONCE: usize = 128;

/// A store in ZooKeeper. Clones share the session.
#[derive(Clone, Debug)]
pub struct ZooKeeper {
    connection: Arc<Connection>,
}

impl ZooKeeper {
    /// A store at `addr`, `host:port,host:port/root`; nothing is sent yet. `session` is how long
    /// locks and ephemeral records outlive a dead process, within the limits of the server.
    ///
    /// # Errors
    /// The address is not valid.
    pub fn open(
        addr: &str,
        auth: Option<Credentials>,
        session: Duration,
    ) -> Result<Self, OpenError> {
        let connection = Connection::parse(addr, auth, session)?;
        Ok(Self {
            connection: Arc::new(connection),
        })
    }

    async fn write(
        &self,
        operation: &'static str,
        path: &str,
        expected: Expected<'_>,
        value: Option<&[u8]>,
    ) -> Result<(), Error> {
        path::check(path)?;
        check_value(path, value.unwrap_or_default())?;
        let write = Write {
            path,
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
}

#[async_trait]
impl Coordinator for ZooKeeper {
    async fn create(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        self.write("create", path, Expected::Missing, Some(value))
            .await
    }

    async fn update(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        self.write("update", path, Expected::Anything, Some(value))
            .await
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        self.write("delete", path, Expected::Anything, None).await
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        path::check(path)?;
        match look(&self.connection, "read", path).await? {
            Some((_, stat)) if stat.num_children > 0 => Err(kind("read", path, DIRECTORY)),
            found => Ok(found.map(|(value, _)| value)),
        }
    }

    async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        path::check(path)?;
        let dir = path.to_owned();
        let asked = self.connection.call("list", path, |client| async move {
            client.get_children(&dir).await
        });
        let (names, stat) = match asked.await? {
            Ok(found) => found,
            Err(Fault::NoNode) => return Ok(Vec::new()),
            Err(fault) => return Err(self.connection.explain("list", path, &fault)),
        };
        if names.is_empty() && stat.data_length > 0 {
            return Err(kind("list", path, RECORD));
        }
        let mut children: Vec<_> = names.iter().map(|name| format!("{path}/{name}")).collect();
        children.sort();
        Ok(children)
    }

    async fn lock(&self, path: &str, value: &[u8], takeover: Takeover) -> Result<Lock, LockError> {
        path::check(path)?;
        check_value(path, value)?;
        for _ in 0..LOCK_TRIES {
            let found = look(&self.connection, "lock", path).await?;
            let expected = match &found {
                None => Expected::Missing,
                Some((record, stat)) if stat.ephemeral_owner != 0 => {
                    let (path, record) = (path.to_owned(), Some(record.clone()));
                    return Err(LockError::Held { path, record });
                }
                Some((record, _)) if takeover == Takeover::Allow => Expected::Value(record),
                Some((record, _)) => {
                    let (path, record) = (path.to_owned(), record.clone());
                    return Err(LockError::Stale { path, record });
                }
            };
            match Node::create(&self.connection, "lock", path, value, expected).await {
                Ok(node) => return Ok(Lock::new(path, node)),
                Err(Error::Exists { .. } | Error::Changed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let path = path.to_owned();
        Err(Error::Changed { path }.into())
    }

    async fn read_dir(&self, path: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let children = self.list(path).await?;
        let session = self.connection.session("read all of", path).await?;
        let mut records = Vec::with_capacity(children.len());
        for chunk in children.chunks(READ_AT_ONCE) {
            let asked =
                self.connection
                    .call_on(&session, "read all of", path, |client| async move {
                        try_join_all(chunk.iter().map(|path| see(&client, path))).await
                    });
            let seen = asked
                .await?
                .map_err(|fault| self.connection.explain("read all of", path, &fault))?;
            for (path, seen) in chunk.iter().zip(seen) {
                if let Some((value, stat)) = seen
                    && stat.num_children == 0
                {
                    records.push((path.clone(), value));
                }
            }
        }
        Ok(records)
    }

    async fn commit(&self, writes: &[Write<'_>], guards: &[Guard<'_>]) -> Result<(), Error> {
        check_commit(writes, guards)?;
        let batch = Batch {
            operation: "commit",
            writes,
            guards,
            mode: CreateMode::Persistent,
        };
        batch.run(&self.connection).await
    }

    async fn create_ephemeral(
        &self,
        path: &str,
        value: &[u8],
        replacing: Option<&[u8]>,
    ) -> Result<Ephemeral, Error> {
        path::check(path)?;
        check_value(path, value)?;
        let expected = replacing.map_or(Expected::Missing, Expected::Value);
        let node = Node::create(&self.connection, "create", path, value, expected).await?;
        Ok(Ephemeral::new(path, node))
    }

    async fn watch(&self, path: &str) -> Result<Watch, Error> {
        path::check(path)?;
        let armed = self.arm(path).await?;
        let (store, path) = (self.clone(), path.to_owned());
        Ok(Watch::spawn(|teller| {
            store.tell_events(path, armed, teller)
        }))
    }
}

/// Both are told of once: the node itself, and its children when it is there.
type Armed = (OneshotWatcher, Option<OneshotWatcher>);

impl ZooKeeper {
    async fn arm(&self, path: &str) -> Result<Armed, Error> {
        let node = path.to_owned();
        let asked = self.connection.call("watch", path, |client| async move {
            let (_, own) = client.check_and_watch_stat(&node).await?;
            match client.list_and_watch_children(&node).await {
                Ok((_, children)) => Ok((own, Some(children))),
                Err(Fault::NoNode) => Ok((own, None)),
                Err(fault) => Err(fault),
            }
        });
        asked
            .await?
            .map_err(|fault| self.connection.explain("watch", path, &fault))
    }

    /// Watches are made again before a change is told, so that none is missed in between.
    async fn tell_events(self, path: String, mut armed: Armed, teller: Teller) {
        loop {
            let (own, children) = armed;
            let children = async {
                match children {
                    Some(children) => children.changed().await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                event = own.changed() => event,
                event = children => event,
            };
            if event.event_type == EventType::Session && !event.session_state.is_terminated() {
                tokio::time::sleep(WATCH_RETRY).await;
            }
            armed = loop {
                match self.arm(&path).await {
                    Ok(armed) => break armed,
                    Err(_) => tokio::time::sleep(WATCH_RETRY).await,
                }
            };
            teller.tell();
        }
    }
}
