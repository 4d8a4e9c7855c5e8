//! The one owner of the records.
//!
//! A task holds the cluster. Whoever wants a change sends it a decision, a function of the cluster;
//! the task runs it and those that wait behind it, stores what comes out as one commit, applies it,
//! publishes the next snapshot, and answers. So decisions never race and writes keep their order,
//! and a reader needs no lock: it looks at the newest snapshot. Only the store is waited for, and a
//! store that fails makes the task read everything anew at once, for it cannot know what was
//! written.
//!
//! The task belongs to the lease of the leader and ends with it. A commit that is refused because
//! another dashboard leads ends the lease.

mod group;

use std::sync::Arc;
use std::time::Duration;

use codis_core::backoff::Backoff;
use codis_topom::edit::Edit;
use codis_topom::{Cluster, Refusal};
use tokio::sync::{mpsc, oneshot, watch};

use crate::audit::{AuditLog, Origin};
use crate::lease::Lease;
use crate::metrics::{Counters, RefusedBy};
use crate::store::{self, Store};
use group::Group;

/// Decisions that wait for the task; further callers wait to queue.
const QUEUE_MAX: usize = 256;
/// How long one write or one reading of all records may take.
const STORE_MAX: Duration = Duration::from_secs(30);
/// Pauses before records are read anew, after a store that failed.
const RELOAD_MIN: Duration = Duration::from_millis(100);
/// The longest of them.
const RELOAD_MAX: Duration = Duration::from_secs(5);

/// A snapshot: the cluster after so many changes.
#[derive(Clone, Debug)]
pub struct View {
    /// Grows with each change.
    pub revision: u64,
    /// The records.
    pub cluster: Arc<Cluster>,
}

/// Who asks for a change, and what it is, for the audit log.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Who asks.
    pub who: Origin,
    /// The call.
    pub what: String,
}

impl Audit {
    /// A change by a part of the dashboard itself.
    pub fn own(what: impl Into<String>) -> Self {
        Self {
            who: Origin::own(),
            what: what.into(),
        }
    }
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule forbids it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store did not take it.
    #[error("{0}")]
    Store(String),
    /// The dashboard stops.
    #[error("use of closed topom")]
    Closed,
}

type Decision = Box<dyn FnOnce(&Cluster) -> Edit + Send>;

type Reply = oneshot::Sender<Result<View, Error>>;

/// A change that somebody asks for.
struct Edited {
    audit: Audit,
    decide: Decision,
    reply: Reply,
}

enum Message {
    Edit(Edited),
    Reload { reply: Reply },
    Close,
}

/// The way to the owner. Clones lead to the same one.
#[derive(Clone, Debug)]
pub struct State {
    messages: mpsc::Sender<Message>,
    view: watch::Receiver<View>,
}

impl State {
    /// Reads all records and starts the owner, which ends with the lease.
    ///
    /// # Errors
    /// A record cannot be read.
    pub async fn start(
        store: Store,
        lease: &Lease,
        counters: Counters,
        log: AuditLog,
    ) -> Result<Self, store::Error> {
        let cluster = Cluster::load(load(&store).await?);
        let view = View {
            revision: 1,
            cluster: Arc::new(cluster),
        };
        let (publish, seen) = watch::channel(view.clone());
        let (messages, queue) = mpsc::channel(QUEUE_MAX);
        let owner = Owner {
            store,
            lease: lease.clone(),
            counters,
            log,
            view,
            publish,
            dirty: false,
            reload: Backoff::new(RELOAD_MIN, RELOAD_MAX, lease.term().0),
        };
        lease.spawn(owner.run(queue));
        Ok(Self {
            messages,
            view: seen,
        })
    }

    /// The newest snapshot.
    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// The newest records.
    pub fn cluster(&self) -> Arc<Cluster> {
        self.view.borrow().cluster.clone()
    }

    /// Tells of each new snapshot.
    pub fn subscribe(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// Makes a change; gives the snapshot that has it. A decision for no change is fine.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn edit(
        &self,
        audit: Audit,
        decide: impl FnOnce(&Cluster) -> Edit + Send + 'static,
    ) -> Result<View, Error> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Edit(Edited {
            audit,
            decide: Box::new(decide),
            reply,
        });
        self.messages
            .send(message)
            .await
            .map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Reads all records anew.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn reload(&self) -> Result<View, Error> {
        let (reply, answer) = oneshot::channel();
        self.messages
            .send(Message::Reload { reply })
            .await
            .map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

impl State {
    /// Waits for the end of the owner. Unless it was asked to end, it failed.
    pub async fn ended(&self) {
        self.messages.closed().await;
    }

    /// Ends the owner once it has done what was asked before; later changes are refused.
    pub async fn close(&self) {
        // It fails only when the owner has ended already.
        let _ = self.messages.send(Message::Close).await;
        self.messages.closed().await;
    }
}

struct Owner {
    store: Store,
    lease: Lease,
    counters: Counters,
    log: AuditLog,
    view: View,
    publish: watch::Sender<View>,
    dirty: bool,
    reload: Backoff,
}

impl Owner {
    async fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut next = None;
        loop {
            let message = match next.take() {
                Some(message) => Some(message),
                None => self.wait(&mut queue).await,
            };
            match message {
                Some(Message::Edit(first)) => next = self.edit(first, &mut queue).await,
                Some(Message::Reload { reply }) => {
                    self.dirty = true;
                    let outcome = self.reload_if_dirty().await;
                    let _ = reply.send(outcome.map(|()| self.view.clone()));
                }
                Some(Message::Close) | None => return,
            }
        }
    }

    /// The next message. What was not stored, or was and nobody knows it, does not wait for it.
    async fn wait(&mut self, queue: &mut mpsc::Receiver<Message>) -> Option<Message> {
        loop {
            let pause = self.dirty.then(|| self.reload.next_delay());
            tokio::select! {
                message = queue.recv() => return message,
                () = pause_for(pause) => {
                    // It says by itself what went wrong.
                    let _ = self.reload_if_dirty().await;
                }
            }
        }
    }

    /// Makes the change, and those that wait behind it, as one commit. Gives what else was found
    /// to wait.
    async fn edit(
        &mut self,
        first: Edited,
        queue: &mut mpsc::Receiver<Message>,
    ) -> Option<Message> {
        if let Err(error) = self.reload_if_dirty().await {
            // A caller that went away needs no answer.
            let _ = first.reply.send(Err(error));
            return None;
        }
        let mut group = Group::over(self.view.clone());
        group.add(first);
        let next = loop {
            match group.has_room().then(|| queue.try_recv()) {
                Some(Ok(Message::Edit(next))) => group.add(next),
                Some(Ok(other)) => break Some(other),
                Some(Err(_)) | None => break None,
            }
        };
        if group.is_empty() {
            return next;
        }
        let changes = group.changes();
        let committed = tokio::time::timeout(STORE_MAX, self.store.commit(changes)).await;
        match committed.unwrap_or_else(|_| Err(store::timed_out())) {
            Ok(()) => {
                let (log, counters) = (self.log.clone(), self.counters.clone());
                group.stored(&log, &counters, |cluster| {
                    self.view.cluster = cluster;
                    self.publish_next();
                    self.view.clone()
                });
            }
            Err(error) => {
                self.dirty = true;
                if error.is_fenced() {
                    let why = format!("{error}: {}", error.cause);
                    self.lease.refuse(RefusedBy::Store, why, None);
                }
                self.counters.write_failed();
                group.failed(&self.log, &self.counters, &error);
            }
        }
        next
    }

    async fn reload_if_dirty(&mut self) -> Result<(), Error> {
        if !self.dirty {
            return Ok(());
        }
        let records = load(&self.store).await.map_err(|error| {
            if error.is_fenced() {
                let why = format!("{error}: {}", error.cause);
                self.lease.refuse(RefusedBy::Store, why, None);
            }
            self.counters.load_failed();
            tracing::error!(cause = error.cause, "{error}");
            Error::Store(error.to_string())
        })?;
        let mut cluster = Cluster::load(records);
        cluster.keep_what_is_not_stored(&self.view.cluster);
        self.dirty = false;
        self.reload.reset();
        if cluster != *self.view.cluster {
            self.view.cluster = Arc::new(cluster);
            self.publish_next();
        }
        tracing::info!(revision = self.view.revision, "records read anew");
        Ok(())
    }

    fn publish_next(&mut self) {
        self.view.revision += 1;
        self.publish.send_replace(self.view.clone());
    }
}

async fn pause_for(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

async fn load(store: &Store) -> Result<codis_topom::Records, store::Error> {
    let loaded = tokio::time::timeout(STORE_MAX, store.load()).await;
    loaded.unwrap_or_else(|_| Err(store::load_failed("records", "no answer in time")))
}
