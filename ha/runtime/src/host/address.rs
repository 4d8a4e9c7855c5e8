//! The address that a daemon tells others to dial.
//!
//! A daemon may listen on every interface, and then its bound address says nothing to a peer. The
//! rules are Codis's: the operator's word, else the bound address, else the host name where it
//! leads to this host from outside, else the address of an interface.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use codis_core::addr::Addr;

/// How long a name may take to resolve at start.
const RESOLVE_MAX: Duration = Duration::from_millis(500);

/// Why a daemon does not know how others reach it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdvertiseError {
    /// The operator's address is none.
    #[error("address to advertise `{0}`: expected host:port with a port of 1..=65535")]
    Override(String),
    /// Neither host name nor interface leads here.
    #[error(
        "no address to advertise for `{0}`: the host name resolves to no public address and no \
         interface has one; name it with --host-admin or --host-proxy"
    )]
    Nowhere(SocketAddr),
}

/// The address that peers dial for the socket bound to `bound`.
///
/// # Errors
/// The override is malformed, or a wildcard address leads to no interface.
pub fn advertise(bound: SocketAddr, wanted: Option<&str>) -> Result<String, AdvertiseError> {
    if let Some(wanted) = wanted.filter(|text| !text.is_empty()) {
        let bad = || AdvertiseError::Override(wanted.to_owned());
        let addr: Addr = wanted.parse().map_err(|_| bad())?;
        if addr.port() == 0 {
            return Err(bad());
        }
        if resolve(&addr).iter().any(|ip| !ip.is_unspecified()) {
            return Ok(wanted.to_owned());
        }
        tracing::warn!(
            address = wanted,
            "the address to advertise does not resolve to a host, the bound one is used"
        );
    }
    if !bound.ip().is_unspecified() {
        return Ok(bound.to_string());
    }
    let named = Addr::new(super::hostname(), bound.port());
    if resolve(&named).iter().any(is_global_unicast) {
        return Ok(named.to_string());
    }
    interface_ip(bound.is_ipv4())
        .map(|ip| SocketAddr::new(ip, bound.port()).to_string())
        .ok_or(AdvertiseError::Nowhere(bound))
}

/// What the host of `addr` stands for; nothing when that takes too long.
fn resolve(addr: &Addr) -> Vec<IpAddr> {
    if let Ok(ip) = addr.host().parse::<IpAddr>() {
        return vec![ip];
    }
    // The resolver of the C library cannot be interrupted, only abandoned.
    let (found, wait) = mpsc::sync_channel(1);
    let target = (addr.host().to_owned(), addr.port());
    thread::spawn(move || {
        let ips = target
            .to_socket_addrs()
            .map(|all| all.map(|a| a.ip()).collect());
        let _ = found.send(ips.unwrap_or_default());
    });
    wait.recv_timeout(RESOLVE_MAX).unwrap_or_default()
}

/// What another host could dial.
fn is_global_unicast(ip: &IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(link_local || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast())
}

/// An address of this host: the one that the default route uses, else the first that is global.
fn interface_ip(v4_only: bool) -> Option<IpAddr> {
    let routed_v4 = || route_source((Ipv4Addr::UNSPECIFIED, 0).into(), "192.0.2.1:9");
    let routed_v6 = || route_source((Ipv6Addr::UNSPECIFIED, 0).into(), "[2001:db8::1]:9");
    let listed = || {
        let table = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
        local_addresses(&table).into_iter().find(is_global_unicast)
    };
    routed_v4()
        .or_else(listed)
        .or_else(|| if v4_only { None } else { routed_v6() })
}

/// The source address of packets to `target`. Connecting a datagram socket sends nothing.
fn route_source(from: SocketAddr, target: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(target).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    is_global_unicast(&ip).then_some(ip)
}

/// The addresses that `/proc/net/fib_trie` marks as local to this host.
fn local_addresses(table: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut leaf = None;
    for line in table.lines() {
        if let Some(text) = line.trim().strip_prefix("|-- ") {
            leaf = text.parse::<IpAddr>().ok();
        } else if line.contains("/32 host LOCAL") {
            found.extend(leaf.take());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_leaves_count() {
        let table = [
            "Local:",
            "  +-- 0.0.0.0/0 3 0 5",
            "     |-- 10.0.0.0",
            "        /24 link UNICAST",
            "     |-- 10.0.0.5",
            "        /32 host LOCAL",
            "     |-- 10.0.0.255",
            "        /32 link BROADCAST",
        ];
        let ip: IpAddr = "10.0.0.5".parse().unwrap();
        assert_eq!(local_addresses(&table.join("\n")), [ip]);
    }

    #[test]
    fn the_rules_come_in_order() {
        let bound: SocketAddr = "127.0.10.25:18080".parse().unwrap();
        assert_eq!(advertise(bound, None).unwrap(), "127.0.10.25:18080");
        assert_eq!(advertise(bound, Some("")).unwrap(), "127.0.10.25:18080");
        assert_eq!(
            advertise(bound, Some("10.1.2.3:99")).unwrap(),
            "10.1.2.3:99"
        );
        assert_eq!(
            advertise(bound, Some("0.0.0.0:99")).unwrap(),
            "127.0.10.25:18080"
        );
        for bad in ["nohost", "10.1.2.3:0", "10.1.2.3:99999"] {
            let refused = AdvertiseError::Override(bad.to_owned());
            assert_eq!(advertise(bound, Some(bad)), Err(refused));
        }
    }
}
