//! Records as nodes.
//!
//! In ZooKeeper every node may hold data and have children. As with the original, a record is a
//! node in which nobody may make or delete others, and a directory is an empty node with all
//! rights. What is read here tells them apart by their children, because the rights may be older
//! than that rule.
//!
//! ZooKeeper compares versions and not values, so a change looks first and then asks for the
//! versions that it saw. Versions begin anew with each node: one that was deleted and made again
//! in between may have the version of the one before. Two things keep that from letting a stale
//! leader write. The look and the change use one session: an ephemeral node of ours that was seen
//! is there for as long as that session is, and a session that ended while this process slept
//! changes nothing any more. And a fence is a record that is never deleted, so its version only
//! grows.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use zookeeper_client::{
    Acl, Acls, AuthId, Client, CreateMode, CreateOptions, Error as Fault, MultiWriteError,
    Permission, Stat,
};

use super::connection::Connection;
use crate::coordinator::error::{DIRECTORY, DIRECTORY_NOT_EMPTY, PARENT_IS_RECORD, changed, kind};
use crate::coordinator::path::ancestors;
use crate::coordinator::{Error, Expected, Guard, Write};

/// How often a change is tried while others change the same nodes.
const TRIES: u32 = 16;

/// Conditional changes of records, all or none.
pub struct Batch<'a> {
    pub operation: &'static str,
    pub writes: &'a [Write<'a>],
    pub guards: &'a [Guard<'a>],
    /// Persistent, or ephemeral; a node of the other kind is replaced.
    pub mode: CreateMode,
}

/// A node as it was seen, or `None` when there was none.
type Seen = Option<(Vec<u8>, Stat)>;

/// How one try ended.
enum Tried {
    Done,
    /// Somebody changed a node between the look and the change.
    Again,
    /// Parents have to be made first.
    NoParent,
}

/// The data and the state of a node, or `None` when there is none.
pub async fn look(
    connection: &Connection,
    operation: &'static str,
    path: &str,
) -> Result<Seen, Error> {
    let asked = connection.call(
        operation,
        path,
        |client| async move { see(&client, path).await },
    );
    asked
        .await?
        .map_err(|fault| connection.explain(operation, path, &fault))
}

/// Asks for a node; the answer is awaited by the caller, who may ask for more meanwhile.
pub async fn see(client: &Client, path: &str) -> Result<Seen, Fault> {
    match client.get_data(path).await {
        Ok(found) => Ok(Some(found)),
        Err(Fault::NoNode) => Ok(None),
        Err(fault) => Err(fault),
    }
}

impl Batch<'_> {
    /// Carries it out.
    pub async fn run(&self, connection: &Connection) -> Result<(), Error> {
        for _ in 0..TRIES {
            match self.attempt(connection).await? {
                Tried::Done => return Ok(()),
                Tried::Again => {}
                Tried::NoParent => self.make_parents(connection).await?,
            }
        }
        Err(changed(self.first_path()))
    }

    /// What an error is about that is about all of it.
    fn first_path(&self) -> &str {
        let write = self.writes.first().map(|write| write.path);
        let guard = self.guards.first().map(|guard| guard.path);
        write.or(guard).unwrap_or("/")
    }

    async fn attempt(&self, connection: &Connection) -> Result<Tried, Error> {
        let (operation, first) = (self.operation, self.first_path());
        let session = connection.session(operation, first).await?;
        let guards = self.guards.iter().map(|guard| guard.path);
        let paths: Vec<&str> = guards
            .chain(self.writes.iter().map(|write| write.path))
            .collect();
        let looked = connection.call_on(&session, operation, first, |client| async move {
            try_join_all(paths.into_iter().map(|path| see(&client, path))).await
        });
        let mut seen = looked
            .await?
            .map_err(|fault| connection.explain(operation, first, &fault))?;
        let found = seen.split_off(self.guards.len());
        let mut guarded = Vec::new();
        for (guard, seen) in self.guards.iter().zip(seen) {
            match seen {
                Some((value, stat)) if value == guard.value => {
                    guarded.push((guard.path, stat.version));
                }
                _ => return Err(changed(guard.path)),
            }
        }
        for (write, found) in self.writes.iter().zip(&found) {
            self.check(write, found.as_ref())?;
        }
        let stats: Vec<_> = found
            .into_iter()
            .map(|found| found.map(|(_, stat)| stat))
            .collect();
        let done = connection.call_on(&session, operation, first, |client| async move {
            Ok(self
                .commit(&client, &guarded, &stats, connection.is_private())
                .await)
        });
        match done.await? {
            Ok(Ok(())) => Ok(Tried::Done),
            Ok(Err((path, fault))) => self.judge(connection, path, fault).await,
            Err(fault) => Err(connection.explain(operation, first, &fault)),
        }
    }

    /// What follows from a fault of the node at `path`.
    async fn judge(
        &self,
        connection: &Connection,
        path: &str,
        fault: Fault,
    ) -> Result<Tried, Error> {
        let operation = self.operation;
        let writes = |path: &str| {
            let mut puts = self.writes.iter().filter(|write| write.value.is_some());
            puts.any(|write| write.path == path)
        };
        match fault {
            Fault::NoNode if writes(path) => Ok(Tried::NoParent),
            Fault::NoNode | Fault::BadVersion | Fault::NodeExists => Ok(Tried::Again),
            Fault::NotEmpty => Err(kind(operation, path, DIRECTORY_NOT_EMPTY)),
            Fault::NoChildrenForEphemerals => Err(kind(operation, path, PARENT_IS_RECORD)),
            Fault::NoAuth => Err(self.judge_rights(connection, path).await),
            fault => Err(connection.fault(operation, path, &fault)),
        }
    }

    /// Whether what was found is what is expected.
    fn check(&self, write: &Write<'_>, found: Option<&(Vec<u8>, Stat)>) -> Result<(), Error> {
        match (write.expected, found) {
            (Expected::Missing, Some(_)) => Err(Error::Exists {
                path: write.path.to_owned(),
            }),
            (_, Some((_, stat))) if stat.num_children > 0 => {
                let reason = match write.value {
                    Some(_) => DIRECTORY,
                    None => DIRECTORY_NOT_EMPTY,
                };
                Err(kind(self.operation, write.path, reason))
            }
            (Expected::Value(wanted), Some((value, _))) if value != wanted => {
                Err(changed(write.path))
            }
            (Expected::Value(_), None) => Err(changed(write.path)),
            _ => Ok(()),
        }
    }

    /// One transaction: the guards are as they were seen, and so are the nodes. A fault comes with
    /// the path that it is about.
    async fn commit(
        &self,
        client: &Client,
        guarded: &[(&str, i32)],
        stats: &[Option<Stat>],
        private: bool,
    ) -> Result<(), (&str, Fault)> {
        let first = self.first_path();
        let mut writer = client.new_multi_writer();
        let mut about = Vec::new();
        for ((path, version), guard) in guarded.iter().zip(self.guards) {
            writer
                .add_check_version(path, *version)
                .map_err(|fault| (guard.path, fault))?;
            about.push(guard.path);
        }
        let acls = leaf_acls(private);
        let options = self.mode.with_acls(Acls::new(&acls));
        for (write, stat) in self.writes.iter().zip(stats) {
            let path = write.path;
            // A blind write goes over whatever was written since the look.
            let version =
                |stat: &Stat| (write.expected != Expected::Anything).then_some(stat.version);
            let added = match (write.value, stat) {
                (Some(value), None) => writer.add_create(path, value, &options),
                (Some(value), Some(stat)) if self.mode == CreateMode::Persistent => {
                    writer.add_set_data(path, value, version(stat))
                }
                (Some(value), Some(stat)) => {
                    about.push(path);
                    writer
                        .add_delete(path, Some(stat.version))
                        .and_then(|()| writer.add_create(path, value, &options))
                }
                (None, Some(stat)) => writer.add_delete(path, version(stat)),
                (None, None) => continue,
            };
            added.map_err(|fault| (path, fault))?;
            about.push(path);
        }
        if about.is_empty() {
            return Ok(());
        }
        writer
            .commit()
            .await
            .map(drop)
            .map_err(|error| match error {
                MultiWriteError::RequestFailed { source } => (first, source),
                MultiWriteError::OperationFailed { index, source } => {
                    (about.get(index).copied().unwrap_or(first), source)
                }
            })
    }

    async fn make_parents(&self, connection: &Connection) -> Result<(), Error> {
        let private = connection.is_private();
        let mut made = BTreeSet::new();
        for write in self.writes.iter().filter(|write| write.value.is_some()) {
            let (path, parent) = (write.path, ancestors(write.path).last());
            let Some(parent) = parent.filter(|parent| made.insert(*parent)) else {
                continue;
            };
            let asked = connection.call(self.operation, path, |client| async move {
                client.mkdir(parent, &directory(private)).await
            });
            match asked.await? {
                Ok(()) => {}
                Err(Fault::NoChildrenForEphemerals) => {
                    return Err(kind(self.operation, path, PARENT_IS_RECORD));
                }
                Err(Fault::NoAuth) => return Err(self.judge_rights(connection, path).await),
                Err(fault) => return Err(connection.explain(self.operation, path, &fault)),
            }
        }
        Ok(())
    }

    /// Says whether a missing right is that of a record, below which nothing can be made, or one
    /// that this user does not have.
    async fn judge_rights(&self, connection: &Connection, path: &str) -> Error {
        let asked = connection.call(self.operation, path, |client| async move {
            let mut deepest = Vec::new();
            for parent in ancestors(path) {
                match client.get_acl(parent).await {
                    Ok((acls, _)) => deepest = acls,
                    Err(Fault::NoNode) => break,
                    Err(fault) => return Err(fault),
                }
            }
            Ok(deepest)
        });
        match asked.await {
            Ok(Ok(acls)) if !acls.is_empty() && !acls.iter().any(may_create) => {
                kind(self.operation, path, PARENT_IS_RECORD)
            }
            _ => connection.explain(self.operation, path, &Fault::NoAuth),
        }
    }
}

fn may_create(acl: &Acl) -> bool {
    acl.permission().has(Permission::CREATE)
}

/// The rights of a record: no child is made in it or deleted from it.
fn leaf_acls(private: bool) -> [Acl; 1] {
    let rights = Permission::READ | Permission::WRITE | Permission::ADMIN;
    let whose = if private {
        AuthId::authed()
    } else {
        AuthId::anyone()
    };
    [Acl::new(rights, whose)]
}

/// How directories are made.
pub fn directory(private: bool) -> CreateOptions<'static> {
    CreateMode::Persistent.with_acls(if private {
        Acls::creator_all()
    } else {
        Acls::anyone_all()
    })
}
