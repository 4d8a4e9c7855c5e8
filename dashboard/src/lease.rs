//! The right to act under a term, and all that goes on under it.
//!
//! Whoever sends an order asks [`Lease::order`] right before. Whoever starts a task that acts
//! starts it with [`Lease::spawn`], so that nothing of a term outlives it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use codis_core::ha::Term;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::core::Failure;
use crate::metrics::{Refusals, RefusedBy};

/// One dashboard's time as the leader. Clones are the same.
#[derive(Clone, Debug)]
pub struct Lease {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    term: Term,
    origin: Instant,
    /// Milliseconds from the origin to the end, unless it is renewed.
    until: AtomicU64,
    over: CancellationToken,
    /// Somebody said that another dashboard leads: no renewal of the lock makes up for that.
    denied: AtomicBool,
    tasks: TaskTracker,
    refused: watch::Sender<Option<Refused>>,
    refusals: Refusals,
}

/// Somebody says that another dashboard leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Who, and what it said.
    pub why: String,
    /// The higher term that it was told of, if it said so.
    pub seen: Option<Term>,
}

impl Lease {
    /// A lease that ends at `until`, unless it is renewed. What is refused because of it is counted
    /// in `refusals`.
    pub fn new(term: Term, until: Instant, refusals: Refusals) -> Self {
        let lease = Self {
            inner: Arc::new(Inner {
                term,
                origin: Instant::now(),
                until: AtomicU64::new(0),
                over: CancellationToken::new(),
                denied: AtomicBool::new(false),
                tasks: TaskTracker::new(),
                refused: watch::Sender::new(None),
                refusals,
            }),
        };
        lease.renew(until);
        lease
    }

    /// The term.
    pub fn term(&self) -> Term {
        self.inner.term
    }

    /// Moves the end.
    pub fn renew(&self, until: Instant) {
        let span = until.saturating_duration_since(self.inner.origin);
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.inner.until.store(millis, Ordering::Release);
    }

    /// How long it lasts, unless it is renewed.
    pub fn left(&self) -> Duration {
        let until = Duration::from_millis(self.inner.until.load(Ordering::Acquire));
        until.saturating_sub(self.inner.origin.elapsed())
    }

    /// The term, if an order may be given under it now.
    ///
    /// # Errors
    /// The time is over, though the process may not have been told so yet.
    pub fn order(&self) -> Result<Term, Failure> {
        if self.is_denied() || self.left().is_zero() || self.inner.over.is_cancelled() {
            self.inner.refusals.count(RefusedBy::Lease);
            return Err(Failure::new(format!(
                "this dashboard does not lead any more (term {} is over), call again",
                self.inner.term
            )));
        }
        Ok(self.inner.term)
    }

    /// Starts a task that ends with the lease: then it is dropped where it waits, and gives
    /// nothing.
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<Option<T>> {
        let over = self.inner.over.clone();
        let task = async move { over.run_until_cancelled(task).await };
        self.inner.tasks.spawn(task)
    }

    /// Ends the lease, and waits until all of its tasks have ended.
    pub async fn end(&self) {
        self.inner.over.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// Whether it has been ended.
    pub fn is_over(&self) -> bool {
        self.inner.over.is_cancelled()
    }

    /// Waits for the end.
    pub async fn over(&self) {
        self.inner.over.cancelled().await;
    }

    fn is_denied(&self) -> bool {
        self.inner.denied.load(Ordering::Acquire)
    }

    /// Says that somebody took no order because another dashboard leads. From now on none is given.
    pub fn refuse(&self, by: RefusedBy, why: impl Into<String>, seen: Option<Term>) {
        self.inner.denied.store(true, Ordering::Release);
        self.inner.refusals.count(by);
        let refused = Refused {
            why: why.into(),
            seen,
        };
        self.inner.refused.send_replace(Some(refused));
    }

    /// Takes a refusal as known: [`Lease::refused`] waits for the next one.
    pub fn hear(&self) {
        self.inner.refused.send_replace(None);
    }

    /// Waits for [`Lease::refuse`].
    pub async fn refused(&self) -> Refused {
        let mut refused = self.inner.refused.subscribe();
        let told = refused.wait_for(Option::is_some).await;
        match told.map(|told| told.clone()) {
            Ok(Some(refused)) => refused,
            // The sender lives as long as this value.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_ordered_and_nothing_goes_on_after_the_end() {
        let until = Instant::now() + Duration::from_secs(60);
        let refusals = Refusals::default();
        let lease = Lease::new(Term(3), until, refusals.clone());
        assert_eq!(lease.order().unwrap(), Term(3));
        lease.renew(Instant::now());
        assert!(lease.order().is_err(), "its time is over");
        assert_eq!(refusals.get(RefusedBy::Lease), 1);
        lease.renew(Instant::now() + Duration::from_secs(60));
        assert!(lease.order().is_ok());
        let task = lease.spawn(std::future::pending::<()>());
        lease.end().await;
        assert_eq!(task.await.unwrap(), None, "it was dropped where it waited");
        assert!(lease.order().is_err());
        let late = lease.spawn(async { 1 });
        assert_eq!(late.await.unwrap(), None, "it never began");
    }

    /// The leader steps down a moment later, and the lock may be renewed in between.
    #[tokio::test]
    async fn a_lock_that_is_renewed_after_a_refusal_gives_no_order() {
        let until = Instant::now() + Duration::from_secs(60);
        let lease = Lease::new(Term(3), until, Refusals::default());
        assert!(lease.order().is_ok());
        lease.refuse(RefusedBy::Store, "a write was refused", None);
        assert!(lease.order().is_err());
        lease.renew(until + Duration::from_secs(60));
        assert!(lease.order().is_err(), "somebody else leads");
    }

    #[tokio::test]
    async fn the_leader_hears_of_a_refusal_that_came_before_it_listened() {
        let refusals = Refusals::default();
        let lease = Lease::new(Term(3), Instant::now(), refusals.clone());
        lease.refuse(RefusedBy::Proxy, "proxy", Some(Term(9)));
        assert_eq!(refusals.get(RefusedBy::Proxy), 1);
        assert_eq!(lease.refused().await.seen, Some(Term(9)));
    }
}
