//! Being told of changes.

use std::fmt;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Tells that something at a path changed; what it is now must be read.
///
/// It never misses a change and may tell of one that was not: after a lost connection it does,
/// because nobody knows.
pub struct Watch {
    changes: watch::Receiver<u64>,
    task: Option<JoinHandle<()>>,
}

impl Watch {
    /// Listens to a counter of changes.
    pub(super) fn on(changes: watch::Receiver<u64>) -> Self {
        Self {
            changes,
            task: None,
        }
    }

    /// Runs a task that tells of changes through [`Teller`].
    pub(super) fn spawn<F>(run: impl FnOnce(Teller) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (tell, changes) = watch::channel(0);
        let task = Some(tokio::spawn(run(Teller(tell))));
        Self { changes, task }
    }

    /// Waits for the first change since the watch was made or this was last called.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// The other end of a [`Watch`].
pub(super) struct Teller(watch::Sender<u64>);

impl Teller {
    /// Says that something changed, or may have.
    pub fn tell(&self) {
        self.0
            .send_modify(|changes| *changes = changes.wrapping_add(1));
    }
}
