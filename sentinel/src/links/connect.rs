//! Opening a connection, and telling why it could not be opened.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use codis_core::addr::Addr;
use codis_sentinel_proto::DisconnectReason;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::command::{Words, renamed};
/// How long opening a connection may take, encryption included. A host that drops packets is tried
/// again after that.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Whom to connect to, and how to greet.
#[derive(Clone)]
pub struct Target {
    /// Where to, as the machine calls it.
    pub addr: Addr,
    /// Where that is now; `None` when it is not known.
    pub ip: Option<IpAddr>,
    /// Where from, when it matters.
    pub source: Option<Source>,
    /// User and password.
    pub credentials: Option<(Option<String>, String)>,
    /// The name that the connection gives itself.
    pub client_name: String,
    /// Commands that the server knows by other names.
    pub renames: BTreeMap<String, String>,
    /// Our id: a hello that contains it is our own.
    pub myid: String,
    /// Host names may be used, rather than addresses only.
    pub names: bool,
    /// Encrypts, when links are to be encrypted.
    pub tls: Option<TlsConnector>,
}

/// What is read and written: a connection in clear or an encrypted one.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// An open connection.
pub struct Opened {
    /// What is read and written.
    pub stream: Box<dyn Stream>,
    /// Its local address as text; empty when the system does not tell.
    pub local_ip: String,
}

/// The local address of outgoing connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The address.
    pub ip: IpAddr,
    /// It was configured as such, rather than taken from `bind`.
    pub explicit: bool,
}

impl Source {
    /// Whether to use it towards a host. One taken from `bind` must not make a host unreachable
    /// that could be reached without it, as a loopback address would.
    fn suits(self, to: IpAddr) -> bool {
        let same_family = self.ip.is_ipv4() == to.is_ipv4();
        same_family && (self.explicit || self.ip.is_loopback() == to.is_loopback())
    }
}

impl Target {
    /// AUTH when there are credentials, and CLIENT SETNAME.
    pub fn greeting(&self) -> Vec<Words> {
        let name = |command| renamed(&self.renames, command);
        let mut greeting = Vec::new();
        if let Some((user, pass)) = &self.credentials {
            let mut words = vec![name("AUTH")];
            words.extend(user.iter().map(|u| u.clone().into_bytes()));
            words.push(pass.clone().into_bytes());
            greeting.push(words);
        }
        greeting.push(vec![
            name("CLIENT"),
            b"SETNAME".to_vec(),
            self.client_name.clone().into_bytes(),
        ]);
        greeting
    }
}

/// Opens a connection.
///
/// # Errors
/// Why it could not be opened.
pub async fn open(target: &Target) -> Result<Opened, DisconnectReason> {
    let opened = timeout(CONNECT_TIMEOUT, open_untimed(target)).await;
    opened.map_err(|_| DisconnectReason::TimedOut)?
}

async fn open_untimed(target: &Target) -> Result<Opened, DisconnectReason> {
    let ip = target.ip.ok_or(DisconnectReason::Other)?;
    let to = SocketAddr::new(ip, target.addr.port());
    let failed = |error: io::Error| reason(&error);
    let stream = connect(target.source, to).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let local = stream.local_addr().map(|addr| addr.ip().to_canonical());
    let stream: Box<dyn Stream> = match &target.tls {
        None => Box::new(stream),
        Some(connector) => {
            // Who the server says it is does not matter, only who vouches for it.
            let name = ServerName::IpAddress(ip.into());
            let stream = connector.connect(name, stream).await;
            Box::new(stream.map_err(failed)?)
        }
    };
    let local_ip = local.map(|ip| ip.to_string()).unwrap_or_default();
    Ok(Opened { stream, local_ip })
}

async fn connect(source: Option<Source>, to: SocketAddr) -> io::Result<TcpStream> {
    let source = source.filter(|source| source.suits(to.ip()));
    match connect_from(source, to).await {
        Err(error) if source.is_some() && cannot_leave_from_there(&error) => {
            connect_from(None, to).await
        }
        other => other,
    }
}

async fn connect_from(source: Option<Source>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source.ip, 0))?;
    }
    socket.connect(to).await
}

fn cannot_leave_from_there(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::InvalidInput
    )
}

/// The kind of a failure, as the machine tells them apart.
pub fn reason(error: &io::Error) -> DisconnectReason {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
            DisconnectReason::Refused
        }
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::NotConnected => DisconnectReason::Closed,
        io::ErrorKind::TimedOut => DisconnectReason::TimedOut,
        _ => DisconnectReason::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_implied_source_address_is_used_only_where_it_can_work() {
        let loopback: IpAddr = "127.0.0.5".parse().unwrap();
        let outside: IpAddr = "10.1.1.1".parse().unwrap();
        let implied = Source {
            ip: loopback,
            explicit: false,
        };
        assert!(implied.suits("127.0.0.1".parse().unwrap()));
        assert!(!implied.suits(outside));
        let explicit = Source {
            ip: loopback,
            explicit: true,
        };
        assert!(explicit.suits(outside));
        assert!(!explicit.suits("::1".parse().unwrap()));
    }

    #[test]
    fn a_dead_process_is_told_from_a_slow_network() {
        let of = |kind: io::ErrorKind| reason(&kind.into());
        assert_eq!(
            of(io::ErrorKind::ConnectionRefused),
            DisconnectReason::Refused
        );
        assert_eq!(
            of(io::ErrorKind::ConnectionReset),
            DisconnectReason::Refused
        );
        assert_eq!(of(io::ErrorKind::UnexpectedEof), DisconnectReason::Closed);
        assert_eq!(of(io::ErrorKind::TimedOut), DisconnectReason::TimedOut);
        assert_eq!(of(io::ErrorKind::HostUnreachable), DisconnectReason::Other);
    }
}
