//! Adding and removing sentinels, and bringing all of them in step when an operator asks for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use codis_core::model::Proxy;
use codis_core::time::Time;
use codis_topom::{Cluster, edit};
use futures_util::future::join_all;

use super::ensure::{self, Charge};
use super::login;
use crate::core::{Core, Failure};
use crate::orders::{self, may_order};
use crate::push::{self, Peerage};
use crate::state::Audit;
use codis_runtime::peer::{Error, Peer};

/// A sentinel that does not say who it is within this time hangs; what it is asked for may take
/// longer.
const GREET_MAX: Duration = Duration::from_millis(700);
/// How long those that are to take an order are asked whether they are there.
const QUIET_MAX: Duration = Duration::from_millis(300);

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
/// forced. If this dashboard does not get that far, the next leader makes it forget
/// ([`let_go`](super::let_go)).
pub async fn remove(core: &Core, audit: Audit, addr: String, force: bool) -> Result<(), Failure> {
    let left = {
        let addr = addr.clone();
        move |cluster: &Cluster| edit::sentinel_left(cluster, &addr)
    };
    if force && core.state.cluster().leaving().servers.contains(&addr) {
        // It was dropped before and cannot be told: the operator says that it need not.
        core.state.edit(audit, left).await?;
        return Ok(());
    }
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
    core.state.edit(audit, left).await?;
    Ok(())
}

/// Those of the sentinels that do not answer at once. All are asked side by side.
pub async fn quiet(core: &Core, sentinels: &[String]) -> BTreeSet<String> {
    let asked = sentinels.iter().map(async |addr| {
        let answers = greet(core, addr, QUIET_MAX).await.is_ok();
        (!answers).then(|| addr.clone())
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Asks a sentinel for a sign of life.
async fn greet(core: &Core, addr: &str, limit: Duration) -> Result<(), Error> {
    let greeted = async {
        let mut peer = Peer::connect_as(addr, &login(&core.settings), limit).await?;
        peer.call::<redis::Value>(&redis::cmd("PING")).await
    };
    let late = |_| Error::TimedOut {
        addr: addr.to_owned(),
    };
    let greeted = tokio::time::timeout(limit, greeted).await;
    greeted.map_err(late)?.map(drop)
}

/// Tells one sentinel what to monitor, as long as it is on record.
async fn order(core: &Core, audit: &Audit, addr: &str, cluster: &Cluster) -> Result<(), Error> {
    greet(core, addr, GREET_MAX).await?;
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

/// Tells every sentinel what to monitor and every proxy which sentinels to watch. One that hangs is
/// named, and is told when it answers; a proxy that cannot serve is not waited for.
pub async fn resync_all(core: &Arc<Core>, audit: Audit) -> Result<(), Failure> {
    let flagged = core
        .state
        .edit(audit.clone(), |cluster| edit::mark_sentinels(cluster, true));
    let cluster = flagged.await?.cluster;
    let servers = cluster.sentinel().servers.clone();
    let sentinels = servers.iter();
    let told = first_error(sentinels.map(|addr| tell_sentinel(core, &audit, addr, &cluster)));
    let proxies = cluster.proxies();
    let pushed = first_error(proxies.map(|proxy| tell_proxy(core, &audit, proxy, &cluster)));
    let (told, pushed) = tokio::join!(told, pushed);
    told.and(pushed)?;
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

async fn tell_sentinel(
    core: &Core,
    audit: &Audit,
    addr: &str,
    cluster: &Cluster,
) -> Result<(), String> {
    let limit = core.settings.sentinel_client_timeout.duration();
    match tokio::time::timeout(limit, order(core, audit, addr, cluster)).await {
        Ok(outcome) => outcome.map_err(|error| format!("sentinel-[{addr}]: {error}")),
        Err(_) => Err(format!("sentinel-[{addr}]: no answer in time")),
    }
}

async fn tell_proxy(
    core: &Core,
    audit: &Audit,
    proxy: &Proxy,
    cluster: &Cluster,
) -> Result<(), String> {
    let told = core.proxies.sentinels(audit, proxy, cluster.sentinel());
    let cause = match tokio::time::timeout(push::WAIT_MAX, told).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(cause)) => cause.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    let token = &proxy.token;
    tracing::debug!(proxy = token, cause, "sentinels not told");
    match core.fleet.peerage(token) {
        Peerage::Serving => Err(format!("proxy-[{token}] sentinel failed")),
        Peerage::Silent { .. } | Peerage::Gone => Ok(()),
    }
}

/// Waits for all, so that one that fails keeps nobody else from being told.
async fn first_error(
    calls: impl Iterator<Item = impl Future<Output = Result<(), String>>>,
) -> Result<(), Failure> {
    let outcomes = join_all(calls).await;
    let all: Result<(), String> = outcomes.into_iter().collect();
    all.map_err(Failure::new)
}
