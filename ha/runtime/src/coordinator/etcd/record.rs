//! Records with a lease: they go when nobody keeps the lease alive.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{EventType, WatchOptions, WatchStream};
use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::connection::{Connection, is_not_found};
use crate::coordinator::Error;
use crate::coordinator::hold::{Held, Keeper, Validity};

/// The shortest lease that etcd gives with its default settings.
const LEASE_SECONDS_MIN: u64 = 2;

/// A record of ours with its lease.
pub struct Leased {
    lease: Lease,
    keeper: Keeper,
    /// Where a destructor runs what it cannot wait for.
    runtime: Handle,
}

/// A lease for one record.
#[derive(Clone)]
pub struct Lease {
    connection: Arc<Connection>,
    path: String,
    id: i64,
    span: Duration,
    /// Until when it lives for certain.
    until: Instant,
}

impl Lease {
    pub async fn grant(
        connection: &Arc<Connection>,
        path: &str,
        session: Duration,
    ) -> Result<Self, Error> {
        let seconds = session.as_secs().max(LEASE_SECONDS_MIN);
        let sent = Instant::now();
        let grant = connection.call("grant a lease for", path, |mut client| async move {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            client.lease_grant(seconds, None).await
        });
        let granted = grant.await?;
        let span = Duration::from_secs(u64::try_from(granted.ttl()).unwrap_or(seconds));
        Ok(Self {
            connection: connection.clone(),
            path: path.to_owned(),
            id: granted.id(),
            span,
            until: sent + span,
        })
    }

    pub const fn id(&self) -> i64 {
        self.id
    }

    /// Ends the lease, and every record that still has it.
    pub async fn revoke(&self) -> Result<(), Error> {
        let id = self.id;
        let revoked = self
            .connection
            .call("remove", &self.path, |mut client| async move {
                match client.lease_revoke(id).await {
                    Err(fault) if is_not_found(&fault) => Ok(()),
                    answer => answer.map(|_| ()),
                }
            });
        revoked.await
    }

    /// Watches over the record, whose lease this is, from now on.
    pub fn keep(self) -> Leased {
        let kept = self.clone();
        Leased {
            keeper: Keeper::spawn(self.until.into_std(), |validity| kept.kept(validity)),
            runtime: Handle::current(),
            lease: self,
        }
    }

    /// Renews the lease three times in its span, and looks at the record meanwhile. Ends with the
    /// reason why the record is lost.
    async fn kept(mut self, validity: Arc<Validity>) -> String {
        let mut ticks = interval(self.span / 3);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut events = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if let Err(lost) = self.renew().await {
                        return lost;
                    }
                    validity.extend(self.until.into_std());
                    if events.is_none() {
                        match self.look().await {
                            Ok(stream) => events = stream,
                            Err(lost) => return lost,
                        }
                    }
                }
                change = next(&mut events) => match change {
                    Change::Nothing => {}
                    // The stream ended; the next tick looks at the record itself.
                    Change::Unknown => events = None,
                    Change::Lost(reason) => return reason.to_owned(),
                },
            }
        }
    }

    /// Waits no longer than the lease lives, except once for a lease that may have run out while
    /// this process slept: etcd knows.
    async fn renew(&mut self) -> Result<(), String> {
        let (id, sent) = (self.id, Instant::now());
        let renewal = self
            .connection
            .call("renew", &self.path, |mut client| async move {
                let (_, stream) = client.lease_keep_alive(id).await?;
                drop(stream);
                Ok(())
            });
        let renewed = if sent < self.until {
            timeout_at(self.until, renewal).await
        } else {
            Ok(renewal.await)
        };
        match renewed {
            Ok(Ok(())) => {
                self.until = sent + self.span;
                Ok(())
            }
            // The client library has words and no code for a lease that is gone.
            Ok(Err(error)) if error.to_string().contains("lease not found") => {
                Err("its lease expired".to_owned())
            }
            Ok(Err(error)) if Instant::now() >= self.until => {
                Err(format!("its lease of {:?} ran out: {error}", self.span))
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "lease not renewed");
                Ok(())
            }
            Err(_) => Err(format!("its lease of {:?} ran out", self.span)),
        }
    }

    /// Checks that the record has this lease, and listens from there on. `Ok(None)` when the store
    /// cannot be asked now.
    async fn look(&self) -> Result<Option<WatchStream>, String> {
        let path = self.path.clone();
        let asked = self
            .connection
            .call("watch", &self.path, |mut client| async move {
                let found = client.get(path.as_str(), None).await?;
                let lease = found.kvs().first().map(|record| record.lease());
                let revision = found.header().map_or(0, |header| header.revision());
                let options = WatchOptions::new().with_start_revision(revision + 1);
                Ok((lease, client.watch(path, Some(options)).await?))
            });
        match asked.await {
            Ok((Some(lease), stream)) if lease == self.id => Ok(Some(stream)),
            Ok((Some(_), _)) => Err(CHANGED.to_owned()),
            Ok((None, _)) => Err(DELETED.to_owned()),
            Err(_) => Ok(None),
        }
    }
}

const CHANGED: &str = "it was changed";
const DELETED: &str = "it was deleted";

enum Change {
    Nothing,
    Unknown,
    Lost(&'static str),
}

/// The next thing that a stream tells about the record; never anything without a stream.
async fn next(events: &mut Option<WatchStream>) -> Change {
    let Some(stream) = events else {
        return std::future::pending().await;
    };
    match stream.message().await {
        Ok(Some(told)) if !told.canceled() => match told.events().last() {
            Some(event) if event.event_type() == EventType::Delete => Change::Lost(DELETED),
            Some(_) => Change::Lost(CHANGED),
            None => Change::Nothing,
        },
        _ => Change::Unknown,
    }
}

#[async_trait]
impl Held for Leased {
    async fn release(self: Box<Self>) -> Result<(), Error> {
        let Self { lease, keeper, .. } = *self;
        drop(keeper);
        lease.revoke().await
    }

    fn abandon(self: Box<Self>) {
        let Self {
            lease,
            keeper,
            runtime,
        } = *self;
        drop(keeper);
        runtime.spawn(async move {
            if let Err(error) = lease.revoke().await {
                tracing::debug!(%error, "a dropped record stays until its lease ends");
            }
        });
    }

    async fn lost(&self) -> String {
        self.keeper.lost().await
    }

    fn valid_until(&self) -> std::time::Instant {
        self.keeper.valid_until()
    }
}
