//! A store in memory, for tests and for simulations of a whole cluster in one process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::watch;

use super::error::{DIRECTORY, DIRECTORY_NOT_EMPTY, PARENT_IS_RECORD, RECORD, changed, kind};
use super::hold::Held;
use super::{
    Coordinator, Ephemeral, Error, Expected, Guard, Lock, LockError, SESSION, Takeover, Watch,
    Write, check_commit, check_value, path,
};

/// A store in memory. Clones share it.
#[derive(Clone, Debug)]
pub struct Memory {
    state: Arc<Mutex<State>>,
    /// Counts changes of any record.
    changes: watch::Sender<u64>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            changes: watch::Sender::new(0),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<String, Vec<u8>>,
    locks: BTreeSet<String>,
}

struct MemoryLock(MemoryRecord);

struct MemoryRecord {
    store: Memory,
    path: String,
    value: Vec<u8>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changes
            .send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// Deletes a record that still holds `value`.
    fn delete_own(&self, path: &str, value: &[u8]) {
        let mut state = self.state();
        if state.value(path) == Some(value) {
            state.records.remove(path);
            drop(state);
            self.tell();
        }
    }
}

#[async_trait]
impl Coordinator for Memory {
    async fn create(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        path::check(path)?;
        check_value(path, value)?;
        self.state().create(path, value)?;
        self.tell();
        Ok(())
    }

    async fn update(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        path::check(path)?;
        check_value(path, value)?;
        self.state().put("update", path, value)?;
        self.tell();
        Ok(())
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        path::check(path)?;
        self.state().remove(path)?;
        self.tell();
        Ok(())
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        path::check(path)?;
        let state = self.state();
        if state.is_directory(path) {
            return Err(kind("read", path, DIRECTORY));
        }
        Ok(state.records.get(path).cloned())
    }

    async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        path::check(path)?;
        let state = self.state();
        if state.records.contains_key(path) {
            return Err(kind("list", path, RECORD));
        }
        let prefix = format!("{path}/");
        let mut children: Vec<String> = state
            .records
            .range(prefix.clone()..)
            .take_while(|(name, _)| name.starts_with(&prefix))
            .filter_map(|(name, _)| {
                let child = name.get(prefix.len()..)?.split('/').next()?;
                Some(format!("{prefix}{child}"))
            })
            .collect();
        children.sort();
        children.dedup();
        Ok(children)
    }

    async fn lock(&self, path: &str, value: &[u8], takeover: Takeover) -> Result<Lock, LockError> {
        path::check(path)?;
        check_value(path, value)?;
        let mut state = self.state();
        let (name, record) = (path.to_owned(), state.records.get(path).cloned());
        if state.locks.contains(path) {
            return Err(LockError::Held { path: name, record });
        }
        if let (Some(record), Takeover::Refuse) = (record, takeover) {
            return Err(LockError::Stale { path: name, record });
        }
        state.put("lock", path, value)?;
        state.locks.insert(name.clone());
        drop(state);
        self.tell();
        let held = MemoryRecord {
            store: self.clone(),
            path: name,
            value: value.to_vec(),
        };
        Ok(Lock::new(path, MemoryLock(held)))
    }

    async fn read_dir(&self, path: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        path::check(path)?;
        let state = self.state();
        if state.records.contains_key(path) {
            return Err(kind("list", path, RECORD));
        }
        let prefix = format!("{path}/");
        let below = state.records.range(prefix.clone()..);
        let children = below
            .take_while(|(name, _)| name.starts_with(&prefix))
            .filter(|(name, _)| !name[prefix.len()..].contains('/'));
        Ok(children
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect())
    }

    async fn commit(&self, writes: &[Write<'_>], guards: &[Guard<'_>]) -> Result<(), Error> {
        check_commit(writes, guards)?;
        self.state().commit(writes, guards)?;
        self.tell();
        Ok(())
    }

    async fn create_ephemeral(
        &self,
        path: &str,
        value: &[u8],
        replacing: Option<&[u8]>,
    ) -> Result<Ephemeral, Error> {
        let expected = replacing.map_or(Expected::Missing, Expected::Value);
        self.write_if(path, expected, Some(value), &[]).await?;
        let held = MemoryRecord {
            store: self.clone(),
            path: path.to_owned(),
            value: value.to_vec(),
        };
        Ok(Ephemeral::new(path, held))
    }

    async fn watch(&self, path: &str) -> Result<Watch, Error> {
        path::check(path)?;
        let mut changes = self.changes.subscribe();
        changes.mark_unchanged();
        Ok(Watch::on(changes))
    }
}

#[async_trait]
impl Held for MemoryLock {
    async fn release(self: Box<Self>) -> Result<(), Error> {
        self.abandon();
        Ok(())
    }

    fn abandon(self: Box<Self>) {
        let MemoryLock(record) = *self;
        record.store.delete_own(&record.path, &record.value);
        record.store.state().locks.remove(&record.path);
    }

    async fn lost(&self) -> String {
        self.0.lost().await
    }

    fn valid_until(&self) -> Instant {
        self.0.valid_until()
    }
}

#[async_trait]
impl Held for MemoryRecord {
    async fn release(self: Box<Self>) -> Result<(), Error> {
        self.abandon();
        Ok(())
    }

    fn abandon(self: Box<Self>) {
        self.store.delete_own(&self.path, &self.value);
    }

    async fn lost(&self) -> String {
        let mut changes = self.store.changes.subscribe();
        loop {
            match self.store.state().value(&self.path) {
                None => return "it was deleted".to_owned(),
                Some(held) if held != self.value => return "it was changed".to_owned(),
                Some(_) => {}
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Nothing but a change of the record ends it.
    fn valid_until(&self) -> Instant {
        let now = Instant::now();
        match self.store.state().value(&self.path) {
            Some(held) if held == self.value => now + SESSION,
            _ => now,
        }
    }
}

impl State {
    fn value(&self, path: &str) -> Option<&[u8]> {
        self.records.get(path).map(Vec::as_slice)
    }

    fn create(&mut self, path: &str, value: &[u8]) -> Result<(), Error> {
        if self.records.contains_key(path) || self.is_directory(path) {
            let path = path.to_owned();
            return Err(Error::Exists { path });
        }
        self.put("create", path, value)
    }

    fn remove(&mut self, path: &str) -> Result<(), Error> {
        if self.is_directory(path) {
            return Err(kind("delete", path, DIRECTORY_NOT_EMPTY));
        }
        self.records.remove(path);
        Ok(())
    }

    fn commit(&mut self, writes: &[Write<'_>], guards: &[Guard<'_>]) -> Result<(), Error> {
        for guard in guards {
            if self.value(guard.path) != Some(guard.value) {
                return Err(changed(guard.path));
            }
        }
        let before: Vec<_> = writes
            .iter()
            .map(|write| (write.path, self.records.get(write.path).cloned()))
            .collect();
        for (done, write) in writes.iter().enumerate() {
            if let Err(error) = self.write(write) {
                for (path, value) in before.into_iter().take(done) {
                    match value {
                        Some(value) => self.records.insert(path.to_owned(), value),
                        None => self.records.remove(path),
                    };
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn write(&mut self, write: &Write<'_>) -> Result<(), Error> {
        let path = write.path;
        match (write.expected, write.value) {
            (Expected::Value(wanted), _) if self.value(path) != Some(wanted) => Err(changed(path)),
            (Expected::Missing, Some(value)) => self.create(path, value),
            (Expected::Missing, None) if self.records.contains_key(path) => {
                let path = path.to_owned();
                Err(Error::Exists { path })
            }
            (_, Some(value)) => self.put("update", path, value),
            (_, None) => self.remove(path),
        }
    }

    fn is_directory(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        let next = self.records.range(prefix.clone()..).next();
        next.is_some_and(|(name, _)| name.starts_with(&prefix))
    }

    fn put(&mut self, operation: &'static str, path: &str, value: &[u8]) -> Result<(), Error> {
        if self.is_directory(path) {
            return Err(kind(operation, path, DIRECTORY));
        }
        if path::ancestors(path).any(|parent| self.records.contains_key(parent)) {
            return Err(kind(operation, path, PARENT_IS_RECORD));
        }
        self.records.insert(path.to_owned(), value.to_vec());
        Ok(())
    }
}
