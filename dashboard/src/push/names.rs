//! From where proxies see the servers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::model::Proxy;
use codis_topom::Cluster;
use codis_topom::form::Viewer;
use tokio::time::Instant;

/// How long a name may take to resolve.
const RESOLVE_MAX: Duration = Duration::from_millis(50);
/// How long a resolved name is believed.
const RESOLVED_FOR: Duration = Duration::from_secs(60);

/// Host names that were resolved.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: BTreeMap<String, (Option<IpAddr>, Option<Instant>)>,
}

impl Names {
    /// From where the proxy sees the servers. Where no replica is read all proxies see alike, and
    /// no name is looked up.
    pub async fn viewer(&mut self, proxy: &Proxy, cluster: &Cluster) -> Viewer {
        let read: Vec<Addr> = cluster
            .groups()
            .flat_map(|group| &group.servers)
            .filter(|server| server.replica_group)
            .filter_map(|server| server.addr.parse().ok())
            .collect();
        if read.is_empty() {
            return Viewer::default();
        }
        let mut viewer = Viewer {
            datacenter: proxy.datacenter.clone(),
            ..Viewer::default()
        };
        if let Ok(admin) = proxy.admin_addr.parse::<Addr>() {
            viewer.ip = self.resolve(&admin).await;
        }
        for addr in read
            .iter()
            .filter(|addr| addr.host().parse::<IpAddr>().is_err())
        {
            if let Some(ip) = self.resolve(addr).await {
                viewer.resolved.insert(addr.host().to_owned(), ip);
            }
        }
        viewer
    }

    async fn resolve(&mut self, addr: &Addr) -> Option<IpAddr> {
        if let Ok(ip) = addr.host().parse() {
            return Some(ip);
        }
        if let Some((ip, Some(until))) = self.known.get(addr.host())
            && *until > Instant::now()
        {
            return *ip;
        }
        let found = tokio::time::timeout(
            RESOLVE_MAX,
            tokio::net::lookup_host((addr.host(), addr.port())),
        );
        let ip = found
            .await
            .ok()
            .and_then(Result::ok)
            .and_then(|mut all| all.next())
            .map(|a| a.ip());
        let until = Instant::now() + RESOLVED_FOR;
        self.known.insert(addr.host().to_owned(), (ip, Some(until)));
        ip
    }
}
