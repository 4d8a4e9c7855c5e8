//! Decisions that are stored together.
//!
//! A store takes about as long for a few dozen records as for one, and while it works further
//! decisions arrive: those of a hundred slots that move, for instance. So whatever waits when the
//! store is free goes there as one commit. Each decision sees what those before it come to. It is
//! answered after the commit, as what it saw may not be stored; only one that saw nothing but
//! stored records, and changes none, is answered at once.

use std::sync::Arc;
use std::time::Instant;

use codis_runtime::coordinator::COMMIT_WRITES_MAX;
use codis_topom::{Change, Cluster, Refusal};

use super::{Audit, Edited, Error, Reply, View};
use crate::audit::{AuditLog, Changed};
use crate::metrics::Counters;
use crate::store;

/// What was decided, and what the records become by it.
pub(super) struct Group {
    before: View,
    cluster: Arc<Cluster>,
    changes: Vec<Change>,
    members: Vec<Member>,
    begun: Instant,
}

/// Somebody who waits for the commit.
struct Member {
    audit: Audit,
    reply: Reply,
    decided: Result<Option<Decided>, Refusal>,
}

/// A decision for changes.
struct Decided {
    /// What the audit log tells of them.
    told: Vec<Changed>,
    /// What an error names: the first change, and whether there was such a record before.
    first: Change,
    known: bool,
}

impl Group {
    /// No decision yet, over the records as they are stored.
    pub fn over(before: View) -> Self {
        Self {
            cluster: before.cluster.clone(),
            before,
            changes: Vec::new(),
            members: Vec::new(),
            begun: Instant::now(),
        }
    }

    /// Whether another decision fits into the same commit, if it is a small one.
    pub const fn has_room(&self) -> bool {
        self.changes.len() < COMMIT_WRITES_MAX
    }

    /// Whether there is nothing to be stored, and nobody to be told.
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What is to be stored.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Has one more decide, by what the records become by those before it.
    pub fn add(&mut self, edited: Edited) {
        let Edited {
            audit,
            decide,
            reply,
        } = edited;
        let decided = decide(&self.cluster).map(|changes| {
            let first = changes.first()?.clone();
            let known = is_known(&self.cluster, &first);
            let told = Changed::all(&self.cluster, &changes);
            let cluster = Arc::make_mut(&mut self.cluster);
            changes.iter().for_each(|change| cluster.apply(change));
            self.changes.extend(changes);
            Some(Decided { told, first, known })
        });
        let outcome = match decided {
            Ok(None) if self.changes.is_empty() => Ok(self.before.clone()),
            Err(refusal) if self.changes.is_empty() => Err(refusal.into()),
            decided => {
                self.members.push(Member {
                    audit,
                    reply,
                    decided,
                });
                return;
            }
        };
        answer(reply, outcome);
    }

    /// It is stored: everybody is told the records that `publish` makes known.
    pub fn stored(
        self,
        log: &AuditLog,
        counters: &Counters,
        publish: impl FnOnce(Arc<Cluster>) -> View,
    ) {
        let took = self.begun.elapsed();
        let logged = |Member {
                          audit,
                          reply,
                          decided,
                      }| {
            let decided = decided.map(|decided: Option<Decided>| {
                if let Some(Decided { told, .. }) = decided {
                    log.changed(&audit, told, took, None);
                    counters.edit_seconds.observe(took.as_secs_f64());
                    counters.edits.inc();
                }
            });
            (reply, decided)
        };
        let waiting: Vec<_> = self.members.into_iter().map(logged).collect();
        let view = publish(self.cluster);
        for (reply, decided) in waiting {
            answer(reply, decided.map(|()| view.clone()).map_err(Error::from));
        }
    }

    /// The store did not take it, or did and has not said so.
    pub fn failed(self, log: &AuditLog, counters: &Counters, error: &store::Error) {
        let took = self.begun.elapsed();
        for Member {
            audit,
            reply,
            decided,
        } in self.members
        {
            let mut error = error.clone();
            if let Ok(Some(Decided { told, first, known })) = decided {
                error = error.about(&first, known);
                log.changed(&audit, told, took, Some(&error.to_string()));
                counters.edit_seconds.observe(took.as_secs_f64());
                counters.edits_failed.inc();
                let (who, what) = (&audit.who, audit.what);
                tracing::error!(%who, what, cause = error.cause, "{error}");
            }
            answer(reply, Err(Error::Store(error.to_string())));
        }
    }
}

fn answer(reply: Reply, outcome: Result<View, Error>) {
    // A caller that went away needs none.
    let _ = reply.send(outcome);
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
        | Change::PutLeavingProxies(_)
        | Change::PutTopology(_)
        | Change::PutSlotActions(_)
        | Change::Hold { .. }
        | Change::Lock { .. } => true,
    }
}

#[cfg(test)]
mod tests;
