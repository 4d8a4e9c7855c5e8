//! Server addresses as operators write them: `host:port`, `[v6]:port`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A host (name, IPv4 or bare IPv6 text) and a TCP port.
///
/// Codis compares addresses as text, so equality here is equality of the written form; no name is
/// resolved. Port 0 parses (stock sentinels use it as "no address") and is never connectable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Addr {
    host: String,
    port: u16,
}

/// The path in an address of a Unix socket: `unix:/path`, or an absolute path alone.
pub fn unix_path(text: &str) -> Option<&str> {
    let path = text.strip_prefix("unix:").unwrap_or(text);
    path.starts_with('/').then_some(path)
}

/// Text that is not `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid server address `{0}`: expected host:port, or [ipv6]:port, with a port of 0..=65535"
)]
pub struct ParseError(pub String);

impl Addr {
    /// An address from its parts. Brackets around an IPv6 host are dropped.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let host: String = host.into();
        let bare = host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .map(str::to_owned);
        Self {
            host: bare.unwrap_or(host),
            port,
        }
    }

    /// The host without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Addr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = || ParseError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let plausible = !host.is_empty() && !host.contains(char::is_whitespace);
        if !plausible || (host.contains(':') && !bracketed) || host == "[]" {
            return Err(bad());
        }
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        Ok(Self::new(host, port.parse().map_err(|_| bad())?))
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl TryFrom<String> for Addr {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Addr> for String {
    fn from(addr: Addr) -> Self {
        addr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_round_trip() {
        for text in ["127.0.0.1:6379", "codis01:19000", "[::1]:6379", "h:0"] {
            assert_eq!(text.parse::<Addr>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn paths_are_told_from_hosts() {
        assert_eq!(unix_path("unix:/run/r.sock"), Some("/run/r.sock"));
        assert_eq!(unix_path("/run/r.sock"), Some("/run/r.sock"));
        for text in ["unix:6379", "127.0.0.1:6379", "run/r.sock", ""] {
            assert_eq!(unix_path(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for text in [
            "", ":1", "h", "h:", "h:-1", "h:65536", "::1:6379", "a b:1", "[]:1", "h:+1",
        ] {
            assert!(text.parse::<Addr>().is_err(), "{text} must not parse");
        }
    }
}
