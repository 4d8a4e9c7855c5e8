//! etcd as the store, through its v3 API.
//!
//! A path is a key and a value is its value, so records are where the original keeps them in the v2
//! API, in the other of etcd's two stores: the two do not see each other's. Locks and ephemeral
//! records have a lease each. Every change is one transaction.

mod address;
mod connection;
mod pages;
mod record;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{
    Client, GetOptions, GetResponse, Txn, TxnOp, TxnOpResponse, WatchOptions, WatchStream,
};

use super::error::{DIRECTORY, RECORD, kind};
use super::watch::Teller;
use super::{
    Backend, Coordinator, Credentials, Ephemeral, Error, Expected, Guard, Lock, LockError,
    OpenError, Shared, Takeover, Watch, Write, check_commit, check_value, path,
};
use address::Address;
use connection::Connection;
use pages::Pages;
use record::{Lease, Leased};
use steps::{Step, below, first_below};

/// What settings call it.
pub(super) const BACKEND: Backend = Backend {
    names: &["etcd"],
    has_users: true,
    has_sessions: true,
    open: |addr, auth, session| {
        Box::pin(async move {
            let auth = Credentials::parse(auth)?;
            Ok(Arc::new(Etcd::open(addr, auth, session)?) as Shared)
        })
    },
};

/// The pause before a broken watch is made again.
const WATCH_RETRY: Duration = Duration::from_secs(1);
/// How often a lock is tried when its record changes at the same time.
const LOCK_TRIES: u32 = 5;

/// A store in etcd. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Etcd {
    connection: Arc<Connection>,
    session: Duration,
}

impl Etcd {
    /// A store at `addr`, a comma separated list of servers; nothing is sent yet. `session` is how
    /// long locks and ephemeral records outlive a dead process, in whole seconds from 2.
    ///
    /// # Errors
    /// The address is not valid, or a file that it names cannot be read.
    pub fn open(
        addr: &str,
        auth: Option<Credentials>,
        session: Duration,
    ) -> Result<Self, OpenError> {
        let address =
            Address::parse(addr).map_err(|reason| OpenError::address("etcd", addr, reason))?;
        Ok(Self {
            connection: Arc::new(Connection::new(address, auth)),
            session,
        })
    }

    async fn step(&self, step: Step<'_>) -> Result<(), Error> {
        let transaction = step.transaction();
        let done =
            self.connection
                .call(step.operation, step.first_path(), |mut client| async move {
                    client.txn(transaction).await
                });
        step.outcome(&done.await?)
    }

    /// Changes one record.
    async fn write(&self, operation: &'static str, write: Write<'_>) -> Result<(), Error> {
        path::check(write.path)?;
        check_value(write.path, write.value.unwrap_or_default())?;
        self.step(Step {
            operation,
            writes: &[write],
            guards: &[],
            lease: 0,
        })
        .await
    }

    /// Writes a record with a lease of its own.
    async fn put_leased(
        &self,
        operation: &'static str,
        path: &str,
        value: &[u8],
        expected: Expected<'_>,
    ) -> Result<Leased, Error> {
        let lease = Lease::grant(&self.connection, path, self.session).await?;
        let write = Write {
            path,
            expected,
            value: Some(value),
        };
        let step = Step {
            operation,
            writes: &[write],
            guards: &[],
            lease: lease.id(),
        };
        match self.step(step).await {
            Ok(()) => Ok(lease.keep()),
            Err(error) => {
                tokio::spawn(async move { lease.revoke().await });
                Err(error)
            }
        }
    }

    /// The record with its lease, 0 for none.
    async fn leased(&self, path: &str) -> Result<Option<(Vec<u8>, i64)>, Error> {
        let key = path.to_owned();
        let got = self.connection.call("lock", path, |mut client| async move {
            client.get(key, None).await
        });
        let mut got = got.await?;
        let record = got.take_kvs().into_iter().next();
        Ok(record.map(|record| (record.value().to_vec(), record.lease())))
    }
}

#[async_trait]
impl Coordinator for Etcd {
    async fn create(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        let write = Write {
            path,
            expected: Expected::Missing,
            value: Some(value),
        };
        self.write("create", write).await
    }

    async fn update(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        let write = Write {
            path,
            expected: Expected::Anything,
            value: Some(value),
        };
        self.write("update", write).await
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        let write = Write {
            path,
            expected: Expected::Anything,
            value: None,
        };
        self.write("delete", write).await
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        path::check(path)?;
        let both = Txn::new().and_then(vec![TxnOp::get(path, None), first_below(path)]);
        let got = self.connection.call(
            "read",
            path,
            |mut client| async move { client.txn(both).await },
        );
        let [record, children] = two(got.await?.op_responses());
        match record.and_then(|mut got| got.take_kvs().into_iter().next()) {
            Some(record) => Ok(Some(record.value().to_vec())),
            None if children.is_some_and(|got| got.count() > 0) => {
                Err(kind("read", path, DIRECTORY))
            }
            None => Ok(None),
        }
    }

    async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        path::check(path)?;
        let prefix = below(path);
        let keys = GetOptions::new().with_prefix().with_keys_only();
        let count = GetOptions::new().with_count_only();
        let both = Txn::new().and_then(vec![
            TxnOp::get(path, Some(count)),
            TxnOp::get(prefix.as_str(), Some(keys)),
        ]);
        let got = self.connection.call(
            "list",
            path,
            |mut client| async move { client.txn(both).await },
        );
        let [record, below] = two(got.await?.op_responses());
        if record.is_some_and(|got| got.count() > 0) {
            return Err(kind("list", path, RECORD));
        }
        let mut children: Vec<String> = below
            .iter()
            .flat_map(GetResponse::kvs)
            .filter_map(|kv| kv.key_str().ok()?.strip_prefix(&prefix)?.split('/').next())
            .map(|child| format!("{prefix}{child}"))
            .collect();
        children.sort();
        children.dedup();
        Ok(children)
    }

    async fn lock(&self, path: &str, value: &[u8], takeover: Takeover) -> Result<Lock, LockError> {
        path::check(path)?;
        check_value(path, value)?;
        for _ in 0..LOCK_TRIES {
            let found = self.leased(path).await?;
            let expected = match &found {
                None => Expected::Missing,
                Some((record, 0)) if takeover == Takeover::Allow => Expected::Value(record),
                Some((record, lease)) => {
                    let (path, record) = (path.to_owned(), record.clone());
                    return Err(match lease {
                        0 => LockError::Stale { path, record },
                        _ => LockError::Held {
                            path,
                            record: Some(record),
                        },
                    });
                }
            };
            match self.put_leased("lock", path, value, expected).await {
                Ok(leased) => return Ok(Lock::new(path, leased)),
                Err(Error::Exists { .. } | Error::Changed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Changed {
            path: path.to_owned(),
        }
        .into())
    }

    async fn read_dir(&self, path: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        path::check(path)?;
        let prefix = below(path);
        let mut pages = Pages::of(&prefix);
        let mut children = Vec::new();
        while let Some(ask) = pages.next(path) {
            let got = self
                .connection
                .call("read all of", path, |mut client| async move {
                    client.txn(ask).await
                });
            let answer = got.await?;
            let revision = answer.header().map_or(0, |header| header.revision());
            let [page, record] = two(answer.op_responses());
            if record.is_some_and(|got| got.count() > 0) {
                return Err(kind("list", path, RECORD));
            }
            for kv in pages.take(page, revision) {
                let (Ok(key), value) = (kv.key_str(), kv.value()) else {
                    continue;
                };
                if key
                    .strip_prefix(&prefix)
                    .is_some_and(|name| !name.contains('/'))
                {
                    children.push((key.to_owned(), value.to_vec()));
                }
            }
        }
        Ok(children)
    }

    async fn commit(&self, writes: &[Write<'_>], guards: &[Guard<'_>]) -> Result<(), Error> {
        check_commit(writes, guards)?;
        self.step(Step {
            operation: "commit",
            writes,
            guards,
            lease: 0,
        })
        .await
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
        let leased = self.put_leased("create", path, value, expected).await?;
        Ok(Ephemeral::new(path, leased))
    }

    async fn watch(&self, path: &str) -> Result<Watch, Error> {
        path::check(path)?;
        let (store, path) = (self.clone(), path.to_owned());
        let events = store.events(&path).await?;
        Ok(Watch::spawn(|teller| {
            store.tell_events(path, events, teller)
        }))
    }
}

impl Etcd {
    /// A stream of what happens at and below `path` after now.
    async fn events(&self, path: &str) -> Result<WatchStream, Error> {
        let key = path.to_owned();
        let made = |mut client: Client| async move {
            let found = client.get(key.as_str(), None).await?;
            let revision = found.header().map_or(0, |header| header.revision());
            let from = || WatchOptions::new().with_start_revision(revision + 1);
            let mut stream = client.watch(key.as_str(), Some(from())).await?;
            let prefix = from().with_prefix();
            stream.watch(below(&key), Some(prefix)).await?;
            Ok(stream)
        };
        self.connection.call("watch", path, made).await
    }

    async fn tell_events(self, path: String, mut events: WatchStream, teller: Teller) {
        loop {
            match events.message().await {
                Ok(Some(told)) if !told.canceled() => {
                    if !told.events().is_empty() {
                        teller.tell();
                    }
                    continue;
                }
                _ => {}
            }
            events = loop {
                tokio::time::sleep(WATCH_RETRY).await;
                if let Ok(stream) = self.events(&path).await {
                    break stream;
                }
            };
            // Whatever happened in between was not told.
            teller.tell();
        }
    }
}

/// The answers to the two questions of a transaction.
fn two(answers: Vec<TxnOpResponse>) -> [Option<GetResponse>; 2] {
    let mut answers = answers.into_iter().map(|answer| match answer {
        TxnOpResponse::Get(got) => Some(got),
        _ => None,
    });
    [answers.next().flatten(), answers.next().flatten()]
}
