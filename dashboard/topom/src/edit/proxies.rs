//! Proxies.

use codis_core::model::Proxy;

use super::Edit;
use crate::{Change, Cluster, Refusal};

/// Registers a proxy under the next id; a known token is refused.
pub fn create_proxy(cluster: &Cluster, proxy: Proxy) -> Edit {
    if cluster.proxy(&proxy.token).is_ok() {
        return Err(Refusal::ProxyExists(proxy.token));
    }
    online_proxy(cluster, proxy)
}

/// Registers a proxy, or refreshes the record of a known one, which keeps its id. It stays, even if
/// it was being removed.
pub fn online_proxy(cluster: &Cluster, proxy: Proxy) -> Edit {
    let known = cluster.proxy(&proxy.token).ok();
    let next = || cluster.proxies().map(|p| p.id).max().unwrap_or(0) + 1;
    let id = known.map_or_else(next, |p| p.id);
    let proxy = Proxy { id, ..proxy };
    let stays = without_leaving(cluster, &proxy.token);
    let put = (known != Some(&proxy)).then_some(Change::PutProxy(proxy));
    Ok(put.into_iter().chain(stays).collect())
}

/// Puts on record that a proxy is about to be told to end, and is to go then; with `force`, even if
/// it does not answer.
pub fn leave_proxy(cluster: &Cluster, token: &str, force: bool) -> Edit {
    let proxy = cluster.proxy(token)?;
    let mut leaving = cluster.leaving_proxies().clone();
    if leaving.proxies.insert(proxy.token.clone(), force) == Some(force) {
        return Ok(Vec::new());
    }
    Ok(vec![Change::PutLeavingProxies(leaving)])
}

/// The proxy is not removed after all.
pub fn keep_proxy(cluster: &Cluster, token: &str) -> Edit {
    Ok(without_leaving(cluster, token).into_iter().collect())
}

/// Forgets a proxy.
pub fn remove_proxy(cluster: &Cluster, token: &str) -> Edit {
    let proxy = cluster.proxy(token)?;
    let gone = Change::DeleteProxy(proxy.token.clone());
    let left = without_leaving(cluster, token);
    Ok(std::iter::once(gone).chain(left).collect())
}

fn without_leaving(cluster: &Cluster, token: &str) -> Option<Change> {
    let mut leaving = cluster.leaving_proxies().clone();
    leaving.proxies.remove(token)?;
    Some(Change::PutLeavingProxies(leaving))
}
