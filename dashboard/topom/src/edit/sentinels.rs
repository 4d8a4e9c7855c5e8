//! The list of sentinels.

use codis_core::addr::Addr;
use codis_core::model::Sentinel;

use super::Edit;
use crate::{Change, Cluster, Refusal};

/// Adds a sentinel that answered.
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
    Ok(vec![Change::PutSentinel(sentinel)])
}

/// Drops a sentinel from the list.
pub fn remove_sentinel(cluster: &Cluster, addr: &str) -> Edit {
    let mut sentinel = cluster.sentinel().clone();
    let before = sentinel.servers.len();
    sentinel.servers.retain(|server| server != addr);
    if sentinel.servers.len() == before {
        return Err(Refusal::SentinelMissing(addr.to_owned()));
    }
    sentinel.out_of_sync = true;
    Ok(vec![Change::PutSentinel(sentinel)])
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
