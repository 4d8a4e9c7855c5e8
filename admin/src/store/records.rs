//! Records of a coordinator, decoded; every access is told of on stderr when asked to.

use anyhow::Context;
use codis_core::json;
use codis_runtime::coordinator::{
    self, COMMIT_WRITES_MAX, Expected, Guard, Shared, VALUE_BYTES_MAX, Write,
};
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
        let found = self.store.read_dir(dir).await?;
        let decoded = found.into_iter().map(|(path, text)| {
            let record = decode(&path, &text)?;
            Ok((path, record))
        });
        decoded.collect()
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

    /// Makes all changes of a piece, or none, if the guarding record holds its value.
    pub async fn commit(&self, changes: &[Change], guard: (&str, &[u8])) -> anyhow::Result<()> {
        for change in changes {
            self.tell("write", &change.path);
        }
        let writes: Vec<Write<'_>> = changes
            .iter()
            .map(|change| Write {
                path: &change.path,
                expected: if change.is_new {
                    Expected::Missing
                } else {
                    Expected::Anything
                },
                value: change.value.as_deref(),
            })
            .collect();
        let (path, value) = guard;
        Ok(self.store.commit(&writes, &[Guard { path, value }]).await?)
    }

    fn tell(&self, what: &str, path: &str) {
        if self.verbose {
            eprintln!("{what} {path}");
        }
    }
}

/// Changes in pieces of what one commit takes.
pub fn pieces(changes: &[Change]) -> impl Iterator<Item = &[Change]> {
    let mut rest = changes;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(COMMIT_WRITES_MAX).take_while(|change| {
            bytes += change.value.as_ref().map_or(0, Vec::len);
            bytes <= VALUE_BYTES_MAX
        });
        // One that is too large by itself is a piece too: the store says so by name.
        let count = fits.count().max(1).min(rest.len());
        let (piece, left) = rest.split_at(count);
        rest = left;
        (!piece.is_empty()).then_some(piece)
    })
}

fn decode<T: DeserializeOwned>(path: &str, text: &[u8]) -> anyhow::Result<T> {
    json::decode(text).with_context(|| format!("decode {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_what_one_commit_takes() {
        let change = |bytes: usize| Change {
            path: "/p".to_owned(),
            is_new: false,
            value: Some(vec![0; bytes]),
        };
        let lens = |changes: &[Change]| pieces(changes).map(<[Change]>::len).collect::<Vec<_>>();
        let small: Vec<Change> = (0..70).map(|_| change(1)).collect();
        assert_eq!(lens(&small), [32, 32, 6]);
        let large = VALUE_BYTES_MAX / 2 + 1;
        assert_eq!(lens(&[change(large), change(large), change(1)]), [1, 2]);
        assert_eq!(lens(&[change(2 * VALUE_BYTES_MAX), change(1)]), [1, 1]);
        assert_eq!(lens(&[]), Vec::<usize>::new());
    }
}
