//! Adding and removing sentinels, and keeping all of them in step with the records.

use std::sync::Arc;
use std::time::Duration;

use codis_core::backoff::Backoff;
use codis_topom::{Cluster, edit};
use tokio::task::JoinSet;

use super::ensure;
use crate::core::{Core, Failure};
use crate::state::Audit;
use codis_runtime::peer::{Error, Peer};

/// Pauses after a round that failed.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest of them.
const RETRY_MAX: Duration = Duration::from_secs(15);

/// Adds a sentinel that answers.
pub async fn add(core: &Core, audit: Audit, addr: String) -> Result<(), Failure> {
    edit::add_sentinel(&core.state.cluster(), &addr)?;
    let limit = core.settings.sentinel_client_timeout.duration();
    let mut peer = Peer::connect(&addr, "", limit).await?;
    peer.call::<redis::Value>(redis::cmd("SENTINEL").arg("FLUSHCONFIG"))
        .await?;
    core.state
        .edit(audit, move |cluster| edit::add_sentinel(cluster, &addr))
        .await?;
    core.sentinels_due.notify_one();
    Ok(())
}

/// Drops a sentinel and makes it forget the product. It leaves the record first, so that nobody
/// tells it to monitor again what it just forgot; it comes back when it cannot be told, unless
/// forced.
pub async fn remove(core: &Core, audit: Audit, addr: String, force: bool) -> Result<(), Failure> {
    let dropped = addr.clone();
    let drop_it = move |cluster: &Cluster| edit::remove_sentinel(cluster, &dropped);
    core.state.edit(audit.clone(), drop_it).await?;
    let limit = core.settings.sentinel_client_timeout.duration();
    let forgotten = ensure::forget(&addr, &core.settings, limit).await;
    if let Err(cause) = &forgotten {
        tracing::warn!(sentinel = addr, %cause, force, "sentinel not made to forget");
    }
    let failure = Failure::new(format!("remove sentinel {addr} failed"));
    if forgotten.is_err() && !force {
        let back = move |cluster: &Cluster| edit::add_sentinel(cluster, &addr);
        core.state.edit(audit, back).await?;
        return Err(failure);
    }
    core.sentinels_due.notify_one();
    Ok(())
}

/// Tells one sentinel what to monitor, as long as it is on record.
async fn order(core: &Core, addr: &str, cluster: &Cluster) -> Result<(), Error> {
    ensure::ensure(addr, &core.settings, cluster).await?;
    if core
        .state
        .cluster()
        .sentinel()
        .servers
        .iter()
        .any(|server| server == addr)
    {
        return Ok(());
    }
    // It was dropped while it was being told.
    let limit = core.settings.sentinel_client_timeout.duration();
    ensure::forget(addr, &core.settings, limit).await
}

/// Tells every sentinel what to monitor and every proxy which sentinels to watch.
pub async fn resync_all(core: &Arc<Core>, audit: Audit) -> Result<(), Failure> {
    let flagged = core
        .state
        .edit(audit.clone(), |cluster| edit::mark_sentinels(cluster, true));
    let cluster = flagged.await?.cluster;
    let mut orders = JoinSet::new();
    for addr in cluster.sentinel().servers.clone() {
        let (core, cluster) = (core.clone(), cluster.clone());
        orders.spawn(async move {
            let limit = core.settings.sentinel_client_timeout.duration();
            match tokio::time::timeout(limit, order(&core, &addr, &cluster)).await {
                Ok(outcome) => outcome.map_err(|error| format!("sentinel-[{addr}]: {error}")),
                Err(_) => Err(format!("sentinel-[{addr}]: no answer in time")),
            }
        });
    }
    let told = first_error(&mut orders).await;
    let sentinel = cluster.sentinel().clone();
    let mut pushes = JoinSet::new();
    for proxy in cluster.proxies().cloned() {
        let (api, sentinel) = (core.proxies.clone(), sentinel.clone());
        pushes.spawn(async move {
            let pushed = api.sentinels(&proxy, &sentinel).await;
            pushed.map_err(|cause| {
                tracing::debug!(proxy = proxy.token, %cause, "sentinels not told");
                format!("proxy-[{}] sentinel failed", proxy.token)
            })
        });
    }
    let pushed = first_error(&mut pushes).await;
    told.and(pushed)?;
    let servers = sentinel.servers;
    let synced = move |cluster: &Cluster| {
        // A list that changed meanwhile is not in step yet.
        if cluster.sentinel().servers != servers {
            return Ok(Vec::new());
        }
        edit::mark_sentinels(cluster, false)
    };
    core.state.edit(audit, synced).await?;
    Ok(())
}

/// Waits for all, so that one that fails keeps nobody else from being told.
async fn first_error(calls: &mut JoinSet<Result<(), String>>) -> Result<(), Failure> {
    let mut outcome = Ok(());
    while let Some(done) = calls.join_next().await {
        let done = done.unwrap_or_else(|_| Err("the call was cut short".to_owned()));
        if let Err(cause) = done {
            outcome = outcome.and(Err(Failure::new(cause)));
        }
    }
    outcome
}

/// Brings sentinels and proxies in step whenever the records say that they are not.
pub async fn keep_in_sync(core: Arc<Core>) {
    let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX, u64::from(core.model.pid));
    let mut views = core.state.subscribe();
    let mut said = String::new();
    loop {
        let due = views.borrow_and_update().cluster.sentinel().out_of_sync;
        if !due {
            said.clear();
            tokio::select! {
                changed = views.changed() => if changed.is_err() { return },
                () = core.sentinels_due.notified() => {}
            }
            continue;
        }
        match resync_all(&core, Audit::own("sentinels/resync-all")).await {
            Ok(()) => {
                backoff.reset();
                tracing::info!("sentinels and proxies are in step");
            }
            Err(error) => {
                if said != error.to_string() {
                    tracing::warn!(%error, "sentinels or proxies are not in step, trying again");
                    said = error.to_string();
                }
                tokio::select! {
                    () = tokio::time::sleep(backoff.next_delay()) => {}
                    () = core.sentinels_due.notified() => {}
                }
            }
        }
    }
}
