//! The list of sentinels.

use codis_core::addr::Addr;
use codis_core::ha::LeavingSentinels;
use codis_core::model::Sentinel;

use super::Edit;
use crate::{Change, Cluster, Refusal};

/// Adds a sentinel that answered. If it was to forget the product, it no longer is.
pub fn add_sentinel(cluster: &Cluster, addr: &str) -> Edit {
    if !addr.parse::<Addr>().is_ok_and(|addr| addr.port() > 0) {
        return Err(Refusal::BadSentinelAddress);
    }
    let mut sentinel = cluster.sentinel().clone();
    if sentinel.servers.iter().any(|server| server == addr) {
        return Err(Refusal::SentinelExists(addr.to_owned()));
    }
    sentinel.servers.push(addr.to_owned());
    sentinel.out_of_sync = true;
    let mut changes = vec![Change::PutSentinel(sentinel)];
    changes.extend(without_leaving(cluster, addr));
    Ok(changes)
}

/// Drops a sentinel from the list. Until [`sentinel_left`] it is on record that it is to forget the
/// product: nobody else would tell it so if this dashboard did not get that far.
pub fn remove_sentinel(cluster: &Cluster, addr: &str) -> Edit {
    let mut sentinel = cluster.sentinel().clone();
    let before = sentinel.servers.len();
    sentinel.servers.retain(|server| server != addr);
    if sentinel.servers.len() == before {
        return Err(Refusal::SentinelMissing(addr.to_owned()));
    }
    sentinel.out_of_sync = true;
    let mut leaving = cluster.leaving().clone();
    leaving.servers.retain(|server| server != addr);
    leaving.servers.push(addr.to_owned());
    Ok(vec![
        Change::PutSentinel(sentinel),
        Change::PutLeaving(leaving),
    ])
}

/// Records that a sentinel that was dropped has forgotten the product, or need not.
pub fn sentinel_left(cluster: &Cluster, addr: &str) -> Edit {
    Ok(without_leaving(cluster, addr).into_iter().collect())
}

fn without_leaving(cluster: &Cluster, addr: &str) -> Option<Change> {
    let mut servers = cluster.leaving().servers.clone();
    let before = servers.len();
    servers.retain(|server| server != addr);
    (servers.len() < before).then_some(Change::PutLeaving(LeavingSentinels { servers }))
}

/// Records whether sentinels and proxies hold what the records say.
pub fn mark_sentinels(cluster: &Cluster, out_of_sync: bool) -> Edit {
    let held = cluster.sentinel();
    if held.out_of_sync == out_of_sync {
        return Ok(Vec::new());
    }
    Ok(vec![Change::PutSentinel(Sentinel {
        out_of_sync,
        ..held.clone()
    })])
}
