//! What a store gives to one process and takes back when that process dies.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Error;

/// The part of a lock or an ephemeral record that depends on the store.
#[async_trait]
pub(super) trait Held: Send + Sync {
    /// Deletes the record if it is still ours, then lets go.
    async fn release(self: Box<Self>) -> Result<(), Error>;

    /// The same from a destructor: without waiting long, and without a way to report.
    fn abandon(self: Box<Self>);

    /// Waits until the store has taken it away, and says why.
    async fn lost(&self) -> String;

    /// Until when the store cannot have given it to anybody else.
    fn valid_until(&self) -> Instant;
}

/// Something held, until it is released or dropped.
pub(super) struct Hold {
    path: String,
    held: Option<Box<dyn Held>>,
}

impl Hold {
    pub fn new(path: &str, held: impl Held + 'static) -> Self {
        Self {
            path: path.to_owned(),
            held: Some(Box::new(held)),
        }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub async fn lost(&self) -> String {
        match &self.held {
            Some(held) => held.lost().await,
            None => std::future::pending().await,
        }
    }

    pub fn valid_until(&self) -> Instant {
        match &self.held {
            Some(held) => held.valid_until(),
            None => Instant::now(),
        }
    }

    pub async fn release(mut self) -> Result<(), Error> {
        match self.held.take() {
            Some(held) => held.release().await,
            None => Ok(()),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            held.abandon();
        }
    }
}

/// A record that lives as long as this does.
///
/// When it is removed or dropped the record is deleted if it is still this one's own; what somebody
/// else wrote in the meantime stays.
pub struct Ephemeral(Hold);

impl Ephemeral {
    pub(super) fn new(path: &str, held: impl Held + 'static) -> Self {
        Self(Hold::new(path, held))
    }

    /// The record.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// Waits until the record is gone, or is no longer this one's, and says why: it was deleted or
    /// changed, or the session ended because the store was out of reach for too long.
    pub async fn lost(&self) -> String {
        self.0.lost().await
    }

    /// Deletes the record.
    ///
    /// # Errors
    /// The store could not be asked. The record then goes when its session ends.
    pub async fn remove(self) -> Result<(), Error> {
        self.0.release().await
    }
}

impl fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ephemeral")
            .field("path", &self.path())
            .finish()
    }
}

/// A task that watches over a record, and ends when this is dropped.
pub(super) struct Keeper {
    lost: watch::Receiver<Option<String>>,
    until: watch::Receiver<Instant>,
    task: JoinHandle<()>,
}

/// Where the task of a [`Keeper`] says until when the record is ours.
pub(super) struct Validity(watch::Sender<Instant>);

impl Validity {
    /// Nobody else has the record before `until`.
    pub fn extend(&self, until: Instant) {
        self.0.send_replace(until);
    }
}

impl Keeper {
    /// Starts a task that ends with the reason why the record is lost. At first the record is ours
    /// until `until`.
    pub fn spawn<F>(until: Instant, keep: impl FnOnce(Arc<Validity>) -> F) -> Self
    where
        F: Future<Output = String> + Send + 'static,
    {
        let (tell, lost) = watch::channel(None);
        let (validity, until) = watch::channel(until);
        let validity = Arc::new(Validity(validity));
        let keep = keep(validity.clone());
        let task = tokio::spawn(async move {
            let reason = keep.await;
            validity.extend(Instant::now());
            let _ = tell.send(Some(reason));
        });
        Self { lost, until, task }
    }

    /// Waits for the end of the task.
    pub async fn lost(&self) -> String {
        let mut lost = self.lost.clone();
        match lost.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "nobody keeps it any more".to_owned(),
        }
    }

    /// Until when nobody else has the record.
    pub fn valid_until(&self) -> Instant {
        *self.until.borrow()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}
