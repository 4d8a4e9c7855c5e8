//! Listening sockets that somebody else opened: systemd (`LISTEN_FDS`), or a predecessor.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::OwnedFd;

use anyhow::{Context, bail, ensure};
use listenfd::ListenFd;

use crate::data::socket::{Bound, Listener};
use crate::settings::Settings;

/// Listening sockets, by what they are for.
#[derive(Debug, Default)]
pub struct Inherited {
    /// For clients; opened here when empty.
    pub clients: Vec<Listener>,
    /// For the admin API; opened here when `None`.
    pub admin: Option<TcpListener>,
}

impl Inherited {
    /// The sockets that systemd passed to this process, if it did.
    ///
    /// # Errors
    /// One of them is not what the settings say.
    pub fn from_systemd(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for n in 0..passed.len() {
            // A socket of another family is left where it is.
            let fd = match passed.take_tcp_listener(n) {
                Ok(taken) => taken.map(OwnedFd::from),
                Err(_) => passed
                    .take_unix_listener(n)
                    .with_context(|| format!("socket {n} of LISTEN_FDS"))?
                    .map(OwnedFd::from),
            };
            sockets.extend(fd);
        }
        if sockets.is_empty() {
            return Ok(None);
        }
        let mut inherited = Self::default();
        for fd in sockets {
            inherited.sort_in(settings, fd).context("LISTEN_FDS")?;
        }
        Ok(Some(inherited))
    }

    /// Finds out by its address what a socket is for.
    pub(super) fn sort_in(&mut self, settings: &Settings, fd: OwnedFd) -> anyhow::Result<()> {
        let listener = Listener::adopt(fd)?;
        let bound = listener.bound()?;
        match &bound {
            Bound::Unix(path) if path.as_os_str() == settings.proxy_addr.as_str() => {
                self.clients.push(listener);
                return Ok(());
            }
            Bound::Tcp(addr) if is_at(*addr, &settings.proxy_addr) => {
                self.clients.push(listener);
                return Ok(());
            }
            Bound::Tcp(addr) if is_at(*addr, &settings.admin_addr) => {
                ensure!(self.admin.is_none(), "two sockets for admin_addr {bound}");
                self.admin = Some(listener.into());
                return Ok(());
            }
            Bound::Unix(_) | Bound::Tcp(_) => {}
        }
        bail!(
            "a socket listens on {bound}, which is neither proxy_addr {} nor admin_addr {}",
            settings.proxy_addr,
            settings.admin_addr
        )
    }
}

/// `:port` as the address of all hosts.
pub(super) fn any_host(address: &str) -> String {
    if address.starts_with(':') {
        format!("[::]{address}")
    } else {
        address.to_owned()
    }
}

/// Whether a socket that is bound to `addr` is one for `wanted`, as `host:port`.
fn is_at(addr: SocketAddr, wanted: &str) -> bool {
    let port = |text: &str| {
        text.rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok())
    };
    if wanted.starts_with(':') {
        return addr.ip().is_unspecified() && port(wanted) == Some(addr.port());
    }
    let found = wanted.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    found.unwrap_or_default().iter().any(|one| {
        let any = one.ip().is_unspecified() && addr.ip().is_unspecified();
        one.port() == addr.port() && (any || one.ip() == addr.ip())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_known_by_their_address() {
        let at = |addr: &str, wanted: &str| is_at(addr.parse().unwrap(), wanted);
        assert!(at("0.0.0.0:19", "0.0.0.0:19"));
        assert!(at("[::]:19", "0.0.0.0:19"), "all addresses, both families");
        assert!(at("[::]:19", ":19"));
        assert!(!at("127.0.0.1:19", "0.0.0.0:19"));
        assert!(!at("127.0.0.1:19", "127.0.0.1:20"));
    }

    #[test]
    fn a_socket_for_nothing_is_refused() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = Settings {
            proxy_addr: held.local_addr().unwrap().to_string(),
            ..Settings::default()
        };
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut inherited = Inherited::default();
        inherited.sort_in(&settings, held.into()).unwrap();
        assert_eq!(inherited.clients.len(), 1);
        let error = inherited.sort_in(&settings, other.into()).unwrap_err();
        assert!(error.to_string().contains("proxy_addr"), "{error}");
    }
}
