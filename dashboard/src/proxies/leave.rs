//! Removing a proxy: it is told to end, then its record goes.
//!
//! In that order, because a proxy that is on no record and serves would be told no change of a
//! route. So that one that has ended does not stay on record when the dashboard dies in between,
//! the wish is stored first (`ha/proxy-leaving`), and goes with the record in one commit. Who leads
//! next carries out what it finds there: the proxy goes when it ends, or has ended, or the wish
//! says that it need not answer; one that refuses, or hangs, stays, as in a call without `force`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use codis_core::backoff::Backoff;
use codis_runtime::http::ClientError;
use codis_topom::Cluster;
use codis_topom::edit::{self, Edit};
use tokio::sync::watch;

use crate::core::{Core, Failure};
use crate::keyed::Keyed;
use crate::state::Audit;

/// Pauses after an attempt whose end could not be stored.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest of them.
const RETRY_MAX: Duration = Duration::from_secs(15);

/// The proxies that calls of this process are removing: nobody else finishes those.
#[derive(Debug)]
pub struct Leaving {
    claimed: watch::Sender<BTreeSet<String>>,
}

impl Default for Leaving {
    fn default() -> Self {
        Self {
            claimed: watch::Sender::new(BTreeSet::new()),
        }
    }
}

impl Leaving {
    /// Makes the caller the only one who removes this proxy, until the claim is dropped.
    fn claim(&self, token: &str) -> Result<Claim<'_>, Failure> {
        let claimed = self
            .claimed
            .send_if_modified(|claimed| claimed.insert(token.to_owned()));
        if claimed {
            let token = token.to_owned();
            return Ok(Claim { of: self, token });
        }
        let text = format!("proxy-[{token}] is being removed by another call");
        Err(Failure::new(text))
    }
}

#[derive(Debug)]
struct Claim<'a> {
    of: &'a Leaving,
    token: String,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.of.claimed.send_modify(|claimed| {
            claimed.remove(&self.token);
        });
    }
}

/// Ends a proxy and forgets it; with `force` also one that does not answer.
///
/// # Errors
/// The proxy did not take the order, or the store did not take a record.
pub async fn remove(core: &Core, audit: Audit, token: &str, force: bool) -> Result<(), Failure> {
    let proxy = core.state.cluster().proxy(token)?.clone();
    let _claim = core.leaving.claim(token)?;
    store(core, &audit, token, move |cluster, token| {
        edit::leave_proxy(cluster, token, force)
    })
    .await?;
    if let Err(cause) = core.proxies.shutdown(&audit, &proxy).await {
        tracing::warn!(proxy = token, %cause, force, "proxy not shut down");
        if !force {
            store(core, &audit, token, edit::keep_proxy).await?;
            return Err(Failure::new(format!("proxy-[{token}] shutdown failed")));
        }
    }
    store(core, &audit, token, edit::remove_proxy).await
}

/// Finishes, for ever, what nobody in this process is about to finish: a leader died over it, or a
/// caller went away.
pub async fn let_go(core: Arc<Core>) {
    let mut leavers = Keyed::default();
    let mut views = core.state.subscribe();
    let mut claims = core.leaving.claimed.subscribe();
    loop {
        let cluster = views.borrow_and_update().cluster.clone();
        let claimed = claims.borrow_and_update().clone();
        let wishes = cluster.leaving_proxies().proxies.iter();
        let left = wishes.filter(|(token, _)| !claimed.contains(*token));
        let left = left.map(|(token, force)| (token.clone(), *force));
        leavers.update(left, |(token, force)| {
            tokio::spawn(finish(core.clone(), token, force))
        });
        tokio::select! {
            changed = views.changed() => if changed.is_err() { return },
            Ok(()) = claims.changed() => {}
        }
    }
}

/// Ends one until that is on record; it is ended itself when the wish is gone.
async fn finish(core: Arc<Core>, token: String, force: bool) {
    let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX, u64::from(core.model.pid));
    while let Err(error) = finish_once(&core, &token, force).await {
        tracing::warn!(proxy = token, %error, "the removal of a proxy is not finished yet");
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

async fn finish_once(core: &Core, token: &str, force: bool) -> Result<(), Failure> {
    let audit = Audit::own(format!("proxy/remove/{token}"));
    let known = core.state.cluster().proxy(token).ok().cloned();
    let Some(proxy) = known else {
        return store(core, &audit, token, edit::keep_proxy).await;
    };
    core.order()?;
    match core.proxies.shutdown(&audit, &proxy).await {
        Ok(()) | Err(ClientError::Connect { refused: true, .. }) => {}
        Err(cause) if force => {
            tracing::warn!(proxy = token, %cause, "proxy not shut down");
        }
        Err(cause) => {
            store(core, &audit, token, edit::keep_proxy).await?;
            tracing::warn!(
                proxy = token,
                %cause,
                "a removal that was cut short is undone: the proxy does not end; remove it again, \
                 with --force if it is dead"
            );
            return Ok(());
        }
    }
    store(core, &audit, token, edit::remove_proxy).await?;
    tracing::info!(proxy = token, "a removal that was cut short is finished");
    Ok(())
}

async fn store(
    core: &Core,
    audit: &Audit,
    token: &str,
    decide: impl FnOnce(&Cluster, &str) -> Edit + Send + 'static,
) -> Result<(), Failure> {
    let token = token.to_owned();
    let stored = core
        .state
        .edit(audit.clone(), move |cluster| decide(cluster, &token));
    Ok(stored.await.map(drop)?)
}
