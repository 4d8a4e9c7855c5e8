//! Bringing one sentinel in step with the records.
//!
//! The original removes and monitors everything anew, and the sentinel forgets its replicas: a
//! master that dies in the next seconds is not failed over. Here only what differs is touched. A
//! sentinel that knows a higher epoch for a group than the records is left alone with it: the
//! records will follow.

use std::collections::BTreeMap;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::paths;
use codis_topom::Cluster;
use redis::{Cmd, Value};

use super::resolve_ip;
use crate::config::Settings;
use codis_runtime::peer::{Error, Fields, Peer};

/// Tells one sentinel what to monitor.
pub async fn ensure(addr: &str, settings: &Settings, cluster: &Cluster) -> Result<(), Error> {
    let limit = settings.sentinel_client_timeout.duration();
    let mut peer = Peer::connect(addr, "", limit).await?;
    let product = &settings.product_name;
    let mut monitored = own(&mut peer, product).await?;
    for group in cluster.groups().filter(|group| !group.servers.is_empty()) {
        let name = paths::monitor_name(product, group.id);
        let master = cluster.master(group.id);
        let known = monitored.remove(&name);
        let wanted = Wanted {
            name,
            master,
            epoch: cluster.epoch(group.id),
        };
        ensure_one(&mut peer, settings, &wanted, known.as_ref()).await?;
    }
    for name in monitored.keys() {
        unmonitor(&mut peer, name).await?;
    }
    Ok(())
}

/// Makes one sentinel forget the product.
pub async fn forget(addr: &str, settings: &Settings, limit: Duration) -> Result<(), Error> {
    let mut peer = Peer::connect(addr, "", limit).await?;
    for name in own(&mut peer, &settings.product_name).await?.keys() {
        unmonitor(&mut peer, name).await?;
    }
    Ok(())
}

/// A group as a sentinel should monitor it.
struct Wanted<'a> {
    name: String,
    master: &'a str,
    epoch: Epoch,
}

/// The monitored masters of the product, by name.
async fn own(peer: &mut Peer, product: &str) -> Result<BTreeMap<String, Fields>, Error> {
    let masters = peer.masters().await?.into_iter();
    let named = masters.filter_map(|fields| Some((fields.get("name")?.clone(), fields)));
    Ok(named
        .filter(|(name, _)| paths::monitored_group(product, name).is_some())
        .collect())
}

async fn ensure_one(
    peer: &mut Peer,
    settings: &Settings,
    wanted: &Wanted<'_>,
    known: Option<&Fields>,
) -> Result<(), Error> {
    let refused = |error: &dyn std::fmt::Display| Error::Refused(error.to_string());
    let master: Addr = wanted.master.parse().map_err(|error| refused(&error))?;
    let ip = resolve_ip(&master).await.map_err(|error| refused(&error))?;
    let (port, quorum) = (
        master.port().to_string(),
        settings.sentinel_quorum.to_string(),
    );
    let field = |name: &str| {
        known
            .and_then(|fields| fields.get(name))
            .map_or("", String::as_str)
    };
    let epoch = Epoch(field("config-epoch").parse().unwrap_or(0));
    let same = field("ip") == ip && field("port") == port;
    if known.is_some() && !same && epoch > wanted.epoch {
        tracing::info!(
            name = wanted.name,
            epoch = epoch.0,
            "sentinel knows a newer master, left alone"
        );
        return Ok(());
    }
    if known.is_some() && !same {
        unmonitor(peer, &wanted.name).await?;
    }
    if known.is_none() || !same {
        let mut monitor = redis::cmd("SENTINEL");
        monitor
            .arg("MONITOR")
            .arg(&wanted.name)
            .arg(ip)
            .arg(port)
            .arg(&quorum);
        // Two rounds may meet here; whoever comes second finds the work done.
        tolerate(peer.call(&monitor).await, "Duplicate")?;
    } else if field("quorum") != quorum {
        peer.call::<Value>(set(&wanted.name).arg("quorum").arg(&quorum))
            .await?;
    }
    if epoch < wanted.epoch {
        raise_floor(peer, wanted).await?;
    }
    set_options(peer, settings, &wanted.name).await
}

async fn unmonitor(peer: &mut Peer, name: &str) -> Result<(), Error> {
    tolerate(
        peer.call(redis::cmd("SENTINEL").arg("REMOVE").arg(name))
            .await,
        "No such master",
    )
}

/// Takes a refusal that says `text` for success.
fn tolerate(outcome: Result<Value, Error>, text: &str) -> Result<(), Error> {
    match outcome {
        Err(error) if !(error.is_refusal() && error.to_string().contains(text)) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Gives the sentinel the stored epoch; a stock one refuses the extension.
async fn raise_floor(peer: &mut Peer, wanted: &Wanted<'_>) -> Result<(), Error> {
    let floor = peer
        .call::<Value>(set(&wanted.name).arg("epoch-floor").arg(wanted.epoch.0))
        .await;
    match floor {
        Err(error) if !error.is_refusal() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

async fn set_options(peer: &mut Peer, settings: &Settings, name: &str) -> Result<(), Error> {
    let millis = |span: codis_core::units::TimeSpan| span.duration().as_millis().to_string();
    let mut options = set(name);
    options
        .arg("parallel-syncs")
        .arg(settings.sentinel_parallel_syncs);
    options
        .arg("down-after-milliseconds")
        .arg(millis(settings.sentinel_down_after));
    options
        .arg("failover-timeout")
        .arg(millis(settings.sentinel_failover_timeout));
    if !settings.product_auth.is_empty() {
        options.arg("auth-pass").arg(&settings.product_auth);
    }
    peer.call::<Value>(&options).await?;
    let scripts = [
        (
            "notification-script",
            &settings.sentinel_notification_script,
        ),
        (
            "client-reconfig-script",
            &settings.sentinel_client_reconfig_script,
        ),
    ];
    for (option, path) in scripts.into_iter().filter(|(_, path)| !path.is_empty()) {
        match peer.call::<Value>(set(name).arg(option).arg(path)).await {
            // Redis 5 and later refuse scripts over the wire unless their own file allows it;
            // failover works without them.
            Err(error) if error.is_refusal() => {
                tracing::warn!(name, option, path, %error, "sentinel does not take the script");
            }
            other => drop(other?),
        }
    }
    Ok(())
}

fn set(name: &str) -> Cmd {
    let mut command = redis::cmd("SENTINEL");
    command.arg("SET").arg(name);
    command
}
