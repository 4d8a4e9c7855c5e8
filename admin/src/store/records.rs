//! Records of a coordinator, decoded; every access is told of on stderr when asked to.

use anyhow::Context;
use codis_core::json;
use codis_runtime::coordinator::{self, Expected, Guard, Shared};
use serde::de::DeserializeOwned;

/// A coordinator, and whether it tells.
pub struct Records {
    store: Shared,
    verbose: bool,
}

/// One record to be written, or deleted for no value.
pub struct Change {
    /// Its path.
    pub path: String,
    /// Whether it must not be there yet.
    pub is_new: bool,
    /// What it shall hold.
    pub value: Option<Vec<u8>>,
}

impl Records {
    /// The most changes of one commit.
    pub const PIECE_MAX: usize = 32;

    /// Works on `store`; `verbose` tells of each access on stderr.
    pub const fn new(store: Shared, verbose: bool) -> Self {
        Self { store, verbose }
    }

    /// The full paths of the children of a directory, sorted.
    pub async fn list(&self, path: &str) -> anyhow::Result<Vec<String>> {
        self.tell("list", path);
        Ok(self.store.list(path).await?)
    }

    /// The full paths of the children of a node that may be a record, which has none.
    pub async fn children(&self, path: &str) -> anyhow::Result<Vec<String>> {
        self.tell("list", path);
        match self.store.list(path).await {
            Err(coordinator::Error::Kind { .. }) => Ok(Vec::new()),
            listed => Ok(listed?),
        }
    }

    /// The bytes of a record.
    pub async fn bytes(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        self.tell("read", path);
        Ok(self.store.read(path).await?)
    }

    /// A record.
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Option<T>> {
        let text = self.bytes(path).await?;
        text.map(|text| decode(path, &text)).transpose()
    }

    /// The children of a directory that hold a record: full path and record.
    pub async fn read_dir<T: DeserializeOwned>(
        &self,
        dir: &str,
    ) -> anyhow::Result<Vec<(String, T)>> {
        self.tell("read all of", dir);
        let mut found = Vec::new();
        for path in self.store.list(dir).await? {
            if let Some(text) = self.store.read(&path).await? {
                let record = decode(&path, &text)?;
                found.push((path, record));
            }
        }
        Ok(found)
    }

    /// Removes a record; one that is missing is no error.
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.tell("delete", path);
        Ok(self.store.delete(path).await?)
    }

    /// Writes one record, or deletes it for `None`, if it holds what is expected.
    pub async fn write_if(
        &self,
        path: &str,
        expected: Expected<'_>,
        value: Option<&[u8]>,
    ) -> anyhow::Result<()> {
        self.tell("write", path);
        Ok(self.store.write_if(path, expected, value, &[]).await?)
    }

    /// Makes at most [`Self::PIECE_MAX`] changes, all or none, if the guarding record holds its value.
    pub async fn commit(&self, changes: &[Change], guard: (&str, &[u8])) -> anyhow::Result<()> {
        let (path, value) = guard;
        let guards = [Guard { path, value }];
        for change in changes {
            self.tell("write", &change.path);
            let expected = if change.is_new {
                Expected::Missing
            } else {
                Expected::Anything
            };
            let value = change.value.as_deref();
            self.store
                .write_if(&change.path, expected, value, &guards)
                .await?;
        }
        Ok(())
    }

    fn tell(&self, what: &str, path: &str) {
        if self.verbose {
            eprintln!("{what} {path}");
        }
    }
}

fn decode<T: DeserializeOwned>(path: &str, text: &[u8]) -> anyhow::Result<T> {
    json::decode(text).with_context(|| format!("decode {path}"))
}
