//! A store in memory, for tests and for simulations of a whole cluster in one process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::lock::Held;
use super::{Coordinator, Error, Lock, LockError, Takeover, check_value, path};

/// A store in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<String, Vec<u8>>,
    locks: BTreeSet<String>,
}

struct MemoryLock {
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
}

#[async_trait]
impl Coordinator for Memory {
    async fn create(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        path::check(path)?;
        check_value(path, value)?;
        let mut state = self.state();
        if state.records.contains_key(path) || state.is_directory(path) {
            return Err(Error::Exists {
                path: path.to_owned(),
            });
        }
        state.put("create", path, value)
    }

    async fn update(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        path::check(path)?;
        check_value(path, value)?;
        self.state().put("update", path, value)
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        path::check(path)?;
        let mut state = self.state();
        if state.is_directory(path) {
            return Err(kind("delete", path, "it is a directory that is not empty"));
        }
        state.records.remove(path);
        Ok(())
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        path::check(path)?;
        let state = self.state();
        if state.is_directory(path) {
            return Err(kind("read", path, "it is a directory"));
        }
        Ok(state.records.get(path).cloned())
    }

    async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        path::check(path)?;
        let state = self.state();
        if state.records.contains_key(path) {
            return Err(kind("list", path, "it is a record, not a directory"));
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
        let held = MemoryLock {
            store: self.clone(),
            path: name,
            value: value.to_vec(),
        };
        Ok(Lock::new(path, held))
    }
}

#[async_trait]
impl Held for MemoryLock {
    async fn release(self: Box<Self>) -> Result<(), Error> {
        self.abandon();
        Ok(())
    }

    fn abandon(self: Box<Self>) {
        let mut state = self.store.state();
        if state.records.get(&self.path) == Some(&self.value) {
            state.records.remove(&self.path);
        }
        state.locks.remove(&self.path);
    }
}

impl State {
    fn is_directory(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        let next = self.records.range(prefix.clone()..).next();
        next.is_some_and(|(name, _)| name.starts_with(&prefix))
    }

    fn put(&mut self, operation: &'static str, path: &str, value: &[u8]) -> Result<(), Error> {
        if self.is_directory(path) {
            return Err(kind(operation, path, "it is a directory"));
        }
        let mut parents = path.match_indices('/').skip(1).map(|(at, _)| &path[..at]);
        if parents.any(|parent| self.records.contains_key(parent)) {
            return Err(kind(
                operation,
                path,
                "a parent is a record, not a directory",
            ));
        }
        self.records.insert(path.to_owned(), value.to_vec());
        Ok(())
    }
}

fn kind(operation: &'static str, path: &str, reason: &'static str) -> Error {
    let path = path.to_owned();
    Error::Kind {
        operation,
        path,
        reason,
    }
}
