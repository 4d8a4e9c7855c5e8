//! Writes that belong together, however many they are.
//!
//! A coordinator changes a few dozen records in one step. A larger batch is first stored whole, as
//! one record; from then on it counts as done. It is then carried out commit by commit, each behind
//! the fence, and the last one deletes that record. Carrying it out twice does no harm, because it
//! says what each record holds afterwards.

use codis_core::json;
use codis_runtime::coordinator::{
    self, COMMIT_WRITES_MAX, Expected, Guard, VALUE_BYTES_MAX, Write,
};
use serde::{Deserialize, Serialize};

/// Writes in order, each of its own record.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    writes: Vec<Planned>,
}

/// What a record is to hold; nothing when it is to go.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Planned {
    path: String,
    value: Option<String>,
}

impl Batch {
    /// Adds a write; it replaces an earlier one of the same record.
    pub fn put(&mut self, path: String, value: Option<Vec<u8>>) {
        self.writes.retain(|planned| planned.path != path);
        // Records are JSON, which is text.
        let value = value.map(|value| String::from_utf8_lossy(&value).into_owned());
        self.writes.push(Planned { path, value });
    }

    /// Whether there is nothing to write.
    pub const fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// How many records it writes.
    pub const fn len(&self) -> usize {
        self.writes.len()
    }

    /// Reads a batch that was stored at `edit`.
    pub fn decode(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// Makes all writes or none; `edit` is the place for a batch that is larger than a commit.
    pub async fn store(
        &self,
        coordinator: &coordinator::Shared,
        edit: &str,
        guards: &[Guard<'_>],
    ) -> Result<(), coordinator::Error> {
        let writes: Vec<Write<'_>> = self.writes.iter().map(Planned::write).collect();
        if let [all] = commits(&writes).as_slice() {
            return coordinator.commit(all, guards).await;
        }
        let text = json::encode(self);
        let whole = Write {
            path: edit,
            expected: Expected::Missing,
            value: Some(&text),
        };
        coordinator.commit(&[whole], guards).await?;
        self.carry_out(coordinator, edit, guards).await
    }

    /// Makes the writes of a batch that is stored at `edit`, and deletes that record.
    pub async fn carry_out(
        &self,
        coordinator: &coordinator::Shared,
        edit: &str,
        guards: &[Guard<'_>],
    ) -> Result<(), coordinator::Error> {
        let done = Write {
            path: edit,
            expected: Expected::Anything,
            value: None,
        };
        let writes = self.writes.iter().map(Planned::write).chain([done]);
        let writes: Vec<Write<'_>> = writes.collect();
        for commit in commits(&writes) {
            coordinator.commit(commit, guards).await?;
        }
        Ok(())
    }
}

impl Planned {
    fn write(&self) -> Write<'_> {
        Write {
            path: &self.path,
            expected: Expected::Anything,
            value: self.value.as_ref().map(String::as_bytes),
        }
    }
}

/// The writes in as few commits as every coordinator takes.
fn commits<'a, 'b>(writes: &'a [Write<'b>]) -> Vec<&'a [Write<'b>]> {
    let (mut commits, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, write) in writes.iter().enumerate() {
        let len = write.value.map_or(0, <[u8]>::len);
        if at - start == COMMIT_WRITES_MAX || (at > start && bytes + len > VALUE_BYTES_MAX) {
            commits.push(&writes[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += len;
    }
    commits.push(&writes[start..]);
    commits
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use codis_runtime::coordinator::Memory;

    use super::*;

    const EDIT: &str = "/codis3/demo/ha/edit";
    const LEADER: &str = "/codis3/demo/ha/leader";

    fn batch(count: usize, value: &str) -> Batch {
        let mut batch = Batch::default();
        for id in 0..count {
            batch.put(format!("/codis3/demo/slots/{id}"), Some(value.into()));
        }
        batch
    }

    #[test]
    fn a_commit_is_within_the_limits_of_number_and_size() {
        let sizes = |batch: &Batch| {
            let writes: Vec<_> = batch.writes.iter().map(Planned::write).collect();
            commits(&writes)
                .iter()
                .map(|commit| commit.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(&batch(32, "x")), [32]);
        assert_eq!(sizes(&batch(70, "x")), [32, 32, 6]);
        assert_eq!(
            sizes(&batch(5, &"x".repeat(VALUE_BYTES_MAX / 2))),
            [2, 2, 1]
        );
    }

    #[test]
    fn the_last_write_of_a_record_counts() {
        let mut batch = batch(2, "old");
        batch.put("/codis3/demo/slots/0".to_owned(), None);
        let written: Vec<_> = batch.writes.iter().map(|w| w.value.as_deref()).collect();
        assert_eq!(written, [Some("old"), None]);
    }

    #[tokio::test]
    async fn a_large_batch_is_done_and_leaves_nothing_behind() {
        let store: coordinator::Shared = Arc::new(Memory::new());
        store.create(LEADER, b"mine").await.unwrap();
        let guard = Guard {
            path: LEADER,
            value: b"mine",
        };
        batch(100, "x").store(&store, EDIT, &[guard]).await.unwrap();
        assert_eq!(store.list("/codis3/demo/slots").await.unwrap().len(), 100);
        assert_eq!(store.read(EDIT).await.unwrap(), None);
    }

    /// Cut off after the batch was stored: what is found is the same batch, and doing it again
    /// over a part of it gives the whole.
    #[tokio::test]
    async fn a_large_batch_that_was_cut_is_finished_from_its_record() {
        let store: coordinator::Shared = Arc::new(Memory::new());
        let cut = batch(100, "x");
        store.create(EDIT, &json::encode(&cut)).await.unwrap();
        store.create("/codis3/demo/slots/3", b"x").await.unwrap();
        let found = store.read(EDIT).await.unwrap().unwrap();
        let found = Batch::decode(&found).unwrap();
        assert_eq!(found, cut);
        found.carry_out(&store, EDIT, &[]).await.unwrap();
        assert_eq!(store.list("/codis3/demo/slots").await.unwrap().len(), 100);
        assert_eq!(store.read(EDIT).await.unwrap(), None);
    }

    #[tokio::test]
    async fn nothing_is_written_under_an_old_term() {
        let store: coordinator::Shared = Arc::new(Memory::new());
        store.create(LEADER, b"other").await.unwrap();
        let guard = Guard {
            path: LEADER,
            value: b"mine",
        };
        for count in [1, 100] {
            let refused = batch(count, "x").store(&store, EDIT, &[guard]).await;
            assert!(matches!(
                refused,
                Err(coordinator::Error::Changed { path }) if path == LEADER
            ));
        }
        assert_eq!(store.list("/codis3/demo/slots").await.unwrap().len(), 0);
        assert_eq!(store.read(EDIT).await.unwrap(), None);
    }
}
