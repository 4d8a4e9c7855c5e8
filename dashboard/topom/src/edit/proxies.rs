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

/// Registers a proxy, or refreshes the record of a known one, which keeps its id.
pub fn online_proxy(cluster: &Cluster, proxy: Proxy) -> Edit {
    let known = cluster.proxy(&proxy.token).ok();
    let next = || cluster.proxies().map(|p| p.id).max().unwrap_or(0) + 1;
    let id = known.map_or_else(next, |p| p.id);
    let proxy = Proxy { id, ..proxy };
    if known == Some(&proxy) {
        return Ok(Vec::new());
    }
    Ok(vec![Change::PutProxy(proxy)])
}

/// Forgets a proxy.
pub fn remove_proxy(cluster: &Cluster, token: &str) -> Edit {
    let proxy = cluster.proxy(token)?;
    Ok(vec![Change::DeleteProxy(proxy.token.clone())])
}
