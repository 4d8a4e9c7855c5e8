//! The one owner of the records.
//!
//! A task holds the cluster. Whoever wants a change sends it a decision, a function of the cluster;
//! the task runs it, stores what comes out as one commit, applies it, publishes the next snapshot,
//! and answers. So decisions never race and writes keep their order, and a reader needs no lock: it
//! looks at the newest snapshot. Only the store is waited for, and a store that fails makes the
//! task read everything anew at once, for it cannot know what was written.
//!
//! The task belongs to the lease of the leader and ends with it. A commit that is refused because
//! another dashboard leads ends the lease.

use std::sync::Arc;
use std::time::{Duration, Instant};

use codis_core::backoff::Backoff;
use codis_topom::edit::Edit;
use codis_topom::{Change, Cluster, Refusal};
use tokio::sync::{mpsc, oneshot, watch};

use crate::audit::{AuditLog, Origin};
use crate::lease::Lease;
use crate::metrics::{Counters, RefusedBy};
use crate::store::{self, Store};

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

enum Message {
    Edit {
        audit: Audit,
        decide: Decision,
        reply: oneshot::Sender<Result<View, Error>>,
    },
    Reload {
        reply: oneshot::Sender<Result<View, Error>>,
    },
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
        let message = Message::Edit {
            audit,
            decide: Box::new(decide),
            reply,
        };
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
        loop {
            // What was not stored, or was and nobody knows it, must not wait for the next change.
            let pause = self.dirty.then(|| self.reload.next_delay());
            let message = tokio::select! {
                message = queue.recv() => message,
                () = pause_for(pause) => {
                    // It says by itself what went wrong.
                    let _ = self.reload_if_dirty().await;
                    continue;
                }
            };
            let Some(message) = message else { return };
            match message {
                Message::Edit {
                    audit,
                    decide,
                    reply,
                } => {
                    let outcome = self.edit(audit, decide).await;
                    // A caller that went away needs no answer.
                    let _ = reply.send(outcome);
                }
                Message::Reload { reply } => {
                    self.dirty = true;
                    let outcome = self.reload_if_dirty().await;
                    let _ = reply.send(outcome.map(|()| self.view.clone()));
                }
                Message::Close => return,
            }
        }
    }

    async fn edit(&mut self, audit: Audit, decide: Decision) -> Result<View, Error> {
        let started = Instant::now();
        self.reload_if_dirty().await?;
        let changes = decide(&self.view.cluster)?;
        if changes.is_empty() {
            return Ok(self.view.clone());
        }
        let stored = self.store_all(&changes).await;
        let took = started.elapsed();
        let failure = stored.as_ref().err().map(ToString::to_string);
        let before = &self.view.cluster;
        self.log
            .changed(&audit, before, &changes, took, failure.as_deref());
        self.counters.edit_seconds.observe(took.as_secs_f64());
        if let Err(error) = stored {
            self.dirty = true;
            if error.is_fenced() {
                let why = format!("{error}: {}", error.cause);
                self.lease.refuse(RefusedBy::Store, why, None);
            }
            self.counters.write_failed();
            let (who, what) = (&audit.who, audit.what);
            tracing::error!(%who, what, cause = error.cause, "{error}");
            return Err(Error::Store(error.to_string()));
        }
        self.counters.edits.inc();
        let cluster = Arc::make_mut(&mut self.view.cluster);
        changes.iter().for_each(|change| cluster.apply(change));
        self.publish_next();
        Ok(self.view.clone())
    }

    async fn store_all(&self, changes: &[Change]) -> Result<(), store::Error> {
        let committed = tokio::time::timeout(STORE_MAX, self.store.commit(changes)).await;
        let committed = committed.unwrap_or_else(|_| Err(store::timed_out()));
        committed.map_err(|error| match changes.first() {
            Some(first) => error.about(first, is_known(&self.view.cluster, first)),
            None => error,
        })
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

fn is_known(cluster: &Cluster, change: &Change) -> bool {
    match change {
        Change::PutGroup(group) => cluster.group(group.id).is_ok(),
        Change::PutProxy(proxy) => cluster.proxy(&proxy.token).is_ok(),
        Change::PutSlot(_)
        | Change::DeleteGroup(_)
        | Change::DeleteProxy(_)
        | Change::PutSentinel(_)
        | Change::PutLeaving(_)
        | Change::PutTopology(_)
        | Change::PutSlotActions(_)
        | Change::Hold { .. }
        | Change::Lock { .. } => true,
    }
}
