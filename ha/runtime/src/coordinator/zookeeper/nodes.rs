//! Records as nodes.
//!
//! In ZooKeeper every node may hold data and have children. As with the original, a record is a
//! node in which nobody may make or delete others, and a directory is an empty node with all
//! rights. What is read here tells them apart by their children, because the rights may be older
//! than that rule.

use zookeeper_client::{
    Acl, Acls, AuthId, Client, CreateMode, CreateOptions, Error as Fault, MultiWriteError,
    Permission, Stat,
};

use super::connection::Connection;
use crate::coordinator::error::{DIRECTORY, DIRECTORY_NOT_EMPTY, PARENT_IS_RECORD, changed, kind};
use crate::coordinator::{Error, Expected, Guard};

/// How often a write is tried while others change the same nodes.
const TRIES: u32 = 5;

/// One conditional change of a record.
pub struct Write<'a> {
    pub operation: &'static str,
    pub path: &'a str,
    pub expected: Expected<'a>,
    pub guards: &'a [Guard<'a>],
    /// `None` deletes.
    pub value: Option<&'a [u8]>,
    /// Persistent, or ephemeral; a node of the other kind is replaced.
    pub mode: CreateMode,
}

/// How one try ended.
enum Tried {
    Done,
    /// Somebody changed a node between the look and the write.
    Again,
    /// The parent has to be made first.
    NoParent,
}

/// The data and the state of a node, or `None` when there is none.
pub async fn look(
    connection: &Connection,
    operation: &'static str,
    path: &str,
) -> Result<Option<(Vec<u8>, Stat)>, Error> {
    let key = path.to_owned();
    let asked = connection.call(operation, path, |client| async move {
        client.get_data(&key).await
    });
    match asked.await? {
        Ok(found) => Ok(Some(found)),
        Err(Fault::NoNode) => Ok(None),
        Err(fault) => Err(connection.explain(operation, path, &fault)),
    }
}

impl Write<'_> {
    /// Carries it out.
    pub async fn run(&self, connection: &Connection) -> Result<(), Error> {
        for _ in 0..TRIES {
            match self.attempt(connection).await? {
                Tried::Done => return Ok(()),
                Tried::Again => {}
                Tried::NoParent => self.make_parent(connection).await?,
            }
        }
        Err(changed(self.path))
    }

    async fn attempt(&self, connection: &Connection) -> Result<Tried, Error> {
        let mut guarded = Vec::new();
        for guard in self.guards {
            match look(connection, self.operation, guard.path).await? {
                Some((value, stat)) if value == guard.value => {
                    guarded.push((guard.path, stat.version));
                }
                _ => return Err(changed(guard.path)),
            }
        }
        let found = look(connection, self.operation, self.path).await?;
        self.check(found.as_ref())?;
        if found.is_none() && self.value.is_none() && guarded.is_empty() {
            return Ok(Tried::Done);
        }
        let private = connection.is_private();
        let done = connection.call(self.operation, self.path, |client| async move {
            self.commit(&client, &guarded, found, private).await
        });
        match done.await? {
            Ok(()) => Ok(Tried::Done),
            Err(Fault::NoNode) if self.value.is_some() => Ok(Tried::NoParent),
            Err(Fault::NoNode | Fault::BadVersion | Fault::NodeExists) => Ok(Tried::Again),
            Err(Fault::NotEmpty) => Err(kind(self.operation, self.path, DIRECTORY_NOT_EMPTY)),
            Err(Fault::NoChildrenForEphemerals) => {
                Err(kind(self.operation, self.path, PARENT_IS_RECORD))
            }
            Err(Fault::NoAuth) => Err(self.judge_rights(connection).await),
            Err(fault) => Err(connection.explain(self.operation, self.path, &fault)),
        }
    }

    /// Whether what was found is what is expected.
    fn check(&self, found: Option<&(Vec<u8>, Stat)>) -> Result<(), Error> {
        match (self.expected, found) {
            (Expected::Missing, Some(_)) => Err(Error::Exists {
                path: self.path.to_owned(),
            }),
            (_, Some((_, stat))) if stat.num_children > 0 => {
                let reason = match self.value {
                    Some(_) => DIRECTORY,
                    None => DIRECTORY_NOT_EMPTY,
                };
                Err(kind(self.operation, self.path, reason))
            }
            (Expected::Value(wanted), Some((value, _))) if value != wanted => {
                Err(changed(self.path))
            }
            (Expected::Value(_), None) => Err(changed(self.path)),
            _ => Ok(()),
        }
    }

    /// One transaction: the guards are as they were seen, and so is the node.
    async fn commit(
        &self,
        client: &Client,
        guarded: &[(&str, i32)],
        found: Option<(Vec<u8>, Stat)>,
        private: bool,
    ) -> Result<(), Fault> {
        let mut writer = client.new_multi_writer();
        for (path, version) in guarded {
            writer.add_check_version(path, *version)?;
        }
        let acls = leaf_acls(private);
        let options = self.mode.with_acls(Acls::new(&acls));
        let stat = found.map(|(_, stat)| stat);
        // A blind write goes over whatever was written since the look.
        let version = |stat: &Stat| (self.expected != Expected::Anything).then_some(stat.version);
        match (self.value, stat) {
            (Some(value), None) => writer.add_create(self.path, value, &options)?,
            (Some(value), Some(stat)) if self.mode == CreateMode::Persistent => {
                writer.add_set_data(self.path, value, version(&stat))?;
            }
            (Some(value), Some(stat)) => {
                writer.add_delete(self.path, Some(stat.version))?;
                writer.add_create(self.path, value, &options)?;
            }
            (None, Some(stat)) => writer.add_delete(self.path, version(&stat))?,
            (None, None) => {}
        }
        writer
            .commit()
            .await
            .map(drop)
            .map_err(|error| match error {
                MultiWriteError::RequestFailed { source }
                | MultiWriteError::OperationFailed { source, .. } => source,
            })
    }

    async fn make_parent(&self, connection: &Connection) -> Result<(), Error> {
        let Some((parent, _)) = self
            .path
            .rsplit_once('/')
            .filter(|(dir, _)| !dir.is_empty())
        else {
            return Ok(());
        };
        let parent = parent.to_owned();
        let private = connection.is_private();
        let made = connection.call(self.operation, self.path, |client| async move {
            client.mkdir(&parent, &directory(private)).await
        });
        match made.await? {
            Ok(()) => Ok(()),
            Err(Fault::NoChildrenForEphemerals) => {
                Err(kind(self.operation, self.path, PARENT_IS_RECORD))
            }
            Err(Fault::NoAuth) => Err(self.judge_rights(connection).await),
            Err(fault) => Err(connection.explain(self.operation, self.path, &fault)),
        }
    }

    /// Says whether a missing right is that of a record, below which nothing can be made, or one
    /// that this user does not have.
    async fn judge_rights(&self, connection: &Connection) -> Error {
        let parents: Vec<String> = self
            .path
            .match_indices('/')
            .skip(1)
            .map(|(at, _)| self.path[..at].to_owned())
            .collect();
        let asked = connection.call(self.operation, self.path, |client| async move {
            let mut deepest = Vec::new();
            for parent in &parents {
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
                kind(self.operation, self.path, PARENT_IS_RECORD)
            }
            _ => connection.explain(self.operation, self.path, &Fault::NoAuth),
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
