//! One task a key: a server, a proxy, a sentinel.

use std::collections::BTreeMap;

use tokio::task::{AbortHandle, JoinHandle};

/// Tasks by key. A key that goes away takes its task with it, and so does the end of this value.
#[derive(Debug)]
pub struct Keyed<K: Ord> {
    tasks: BTreeMap<K, AbortHandle>,
}

impl<K: Ord> Default for Keyed<K> {
    fn default() -> Self {
        Self {
            tasks: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone> Keyed<K> {
    /// Starts a task for each new key and ends those whose key is gone.
    pub fn update(
        &mut self,
        wanted: impl IntoIterator<Item = K>,
        mut start: impl FnMut(K) -> JoinHandle<()>,
    ) {
        let mut old = std::mem::take(&mut self.tasks);
        for key in wanted {
            if self.tasks.contains_key(&key) {
                continue;
            }
            let running = old.remove(&key).filter(|task| !task.is_finished());
            let task = running.unwrap_or_else(|| start(key.clone()).abort_handle());
            self.tasks.insert(key, task);
        }
        old.into_values().for_each(|task| task.abort());
    }
}

impl<K: Ord> Drop for Keyed<K> {
    fn drop(&mut self) {
        self.tasks.values().for_each(AbortHandle::abort);
    }
}
