//! Host names in configuration: numeric unless `resolve-hostnames` allows names.

use std::net::IpAddr;

use super::Globals;

/// A host in a file: an IP address, or a name when `resolve-hostnames` is on. Whether the name
/// leads anywhere does not matter: it is looked up again and again.
pub fn configured(host: &str, globals: &Globals) -> Result<String, String> {
    let allowed = globals.resolve_hostnames && is_usable(host, true);
    if allowed || host.parse::<IpAddr>().is_ok() {
        return Ok(host.to_owned());
    }
    Err(format!(
        "`{host}` is not an IP address (names need `sentinel resolve-hostnames yes`)"
    ))
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
