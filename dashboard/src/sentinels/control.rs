//! Adding and removing sentinels, and bringing all of them in step when an operator asks for it.

use std::sync::Arc;

use codis_core::time::Time;
use codis_topom::{Cluster, edit};
use tokio::task::JoinSet;

use super::ensure::{self, Charge};
use super::login;
use crate::core::{Core, Failure};
use crate::orders::{self, may_order};
use crate::state::Audit;
use codis_runtime::peer::Error;

/// Adds a sentinel that answers.
pub async fn add(core: &Core, audit: Audit, addr: String) -> Result<(), Failure> {
    edit::add_sentinel(&core.state.cluster(), &addr)?;
    let mut command = redis::cmd("SENTINEL");
    command.arg("FLUSHCONFIG");
    let peer = (addr.as_str(), &login(&core.settings));
    let limit = core.settings.sentinel_client_timeout.duration();
    orders::send::<redis::Value>(core, &audit, peer, limit, &command).await?;
    core.state
        .edit(audit, move |cluster| edit::add_sentinel(cluster, &addr))
        .await?;
    Ok(())
}

/// Drops a sentinel and makes it forget the product. It leaves the record first, so that nobody
/// tells it to monitor again what it just forgot; it comes back when it cannot be told, unless
/// forced.
pub async fn remove(core: &Core, audit: Audit, addr: String, force: bool) -> Result<(), Failure> {
    let dropped = addr.clone();
    let drop_it = move |cluster: &Cluster| edit::remove_sentinel(cluster, &dropped);
    core.state.edit(audit.clone(), drop_it).await?;
    core.order()?;
    let forgotten = ensure::forget(core, &audit, &addr).await;
    if let Err(cause) = &forgotten {
        tracing::warn!(sentinel = addr, %cause, force, "sentinel not made to forget");
    }
    let failure = Failure::new(format!("remove sentinel {addr} failed"));
    if forgotten.is_err() && !force {
        let back = move |cluster: &Cluster| edit::add_sentinel(cluster, &addr);
        core.state.edit(audit, back).await?;
        return Err(failure);
    }
    Ok(())
}

/// Tells one sentinel what to monitor, as long as it is on record.
async fn order(core: &Core, audit: &Audit, addr: &str, cluster: &Cluster) -> Result<(), Error> {
    may_order(core)?;
    let mut charge = Charge::new(addr);
    let told = (cluster, true);
    charge.ensure(core, audit, Time::ZERO, told).await?;
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
    ensure::forget(core, audit, addr).await
}

/// Tells every sentinel what to monitor and every proxy which sentinels to watch.
pub async fn resync_all(core: &Arc<Core>, audit: Audit) -> Result<(), Failure> {
    let flagged = core
        .state
        .edit(audit.clone(), |cluster| edit::mark_sentinels(cluster, true));
    let cluster = flagged.await?.cluster;
    let mut orders = JoinSet::new();
    for addr in cluster.sentinel().servers.clone() {
        let (core, audit, cluster) = (core.clone(), audit.clone(), cluster.clone());
        orders.spawn(async move {
            let limit = core.settings.sentinel_client_timeout.duration();
            match tokio::time::timeout(limit, order(&core, &audit, &addr, &cluster)).await {
                Ok(outcome) => outcome.map_err(|error| format!("sentinel-[{addr}]: {error}")),
                Err(_) => Err(format!("sentinel-[{addr}]: no answer in time")),
            }
        });
    }
    let told = first_error(&mut orders).await;
    let sentinel = cluster.sentinel().clone();
    let mut pushes = JoinSet::new();
    for proxy in cluster.proxies().cloned() {
        let (api, audit, sentinel) = (core.proxies.clone(), audit.clone(), sentinel.clone());
        pushes.spawn(async move {
            let pushed = api.sentinels(&audit, &proxy, &sentinel).await;
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
