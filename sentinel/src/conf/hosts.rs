//! Host names in configuration: numeric unless `resolve-hostnames` allows names.

use std::net::{IpAddr, ToSocketAddrs};

use super::Globals;

/// What a configured host stands for.
///
/// A numeric address is itself. A name is looked up when `resolve-hostnames` is on, which blocks:
/// only for the start of the process. A name that does not resolve then is kept, since every
/// connection attempt looks it up again.
pub fn at_start(host: &str, globals: &Globals) -> Result<String, String> {
    if host.parse::<IpAddr>().is_ok() {
        return Ok(host.to_owned());
    }
    if !globals.resolve_hostnames || host.is_empty() {
        return Err(format!(
            "`{host}` is not an IP address (names need `sentinel resolve-hostnames yes`)"
        ));
    }
    if globals.announce_hostnames {
        return Ok(host.to_owned());
    }
    let found = (host, 0)
        .to_socket_addrs()
        .ok()
        .and_then(|mut addrs| addrs.next());
    Ok(found.map_or_else(|| host.to_owned(), |addr| addr.ip().to_string()))
}

/// Whether a host that a peer or a server told of can be used: an address that means one host, or
/// a name where names are resolved. Anything else would make the state file unreadable.
pub fn is_usable(host: &str, names: bool) -> bool {
    let in_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    match host.parse::<IpAddr>() {
        Ok(ip) => !ip.is_unspecified(),
        Err(_) => names && !host.is_empty() && host.bytes().all(in_name),
    }
}

/// The address a name stands for now, looked up off the event loop; `None` when it does not
/// resolve.
pub async fn look_up(host: &str) -> Option<IpAddr> {
    if let Ok(ip) = host.parse() {
        return Some(ip);
    }
    let mut found = tokio::net::lookup_host((host, 0)).await.ok()?;
    found.next().map(|addr| addr.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_permission_and_junk_never_gets_it() {
        assert!(is_usable("127.0.0.1", false) && is_usable("::1", false));
        assert!(!is_usable("a.host", false) && is_usable("a.host", true));
        for junk in ["", "a b", "0.0.0.0", "a\nb", "\u{e9}"] {
            assert!(!is_usable(junk, true), "{junk}");
        }
    }
}
