//! Accepting clients.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;

use super::clients::Ends;
use super::listen::Listener;
use super::{Shared, Stats, session};
use crate::log::{Level, Log};
use crate::pubsub::SessionId;
use crate::tls::Tls;

/// Pause after an accept that failed, for instance because descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client may take to agree on the encryption.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

const DENIED: &[u8] = b"-DENIED Running in protected mode: there is no password and no bind \
address, so only connections from the loopback interface are accepted. Set a password, a bind \
address, or `protected-mode no`.\r\n";

const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

/// What all listeners hand to their clients.
#[derive(Clone, Debug)]
pub struct Hall {
    /// What sessions share.
    pub shared: Arc<Shared>,
    /// How TLS connections are greeted.
    pub tls: Arc<Tls>,
    /// The log.
    pub log: Log,
}

/// Accepts clients from now on.
///
/// # Errors
/// The system does not let the socket be waited for.
pub fn start(listener: Listener, hall: Hall) -> io::Result<()> {
    match listener {
        Listener::Tcp(listener) => {
            let listener = TcpListener::from_std(listener)?;
            tokio::spawn(serve(listener, hall, false));
        }
        Listener::Tls(listener) => {
            let listener = TcpListener::from_std(listener)?;
            tokio::spawn(serve(listener, hall, true));
        }
        Listener::Unix(listener, path) => {
            let listener = UnixListener::from_std(listener)?;
            tokio::spawn(serve_unix(listener, path, hall));
        }
    }
    Ok(())
}

async fn serve(listener: TcpListener, hall: Hall, with_tls: bool) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => hall.admit(stream, peer, with_tls),
            Err(error) => hall.not_accepted(&error).await,
        }
    }
}

async fn serve_unix(listener: UnixListener, path: std::path::PathBuf, hall: Hall) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => hall.admit_local(stream, &path),
            Err(error) => hall.not_accepted(&error).await,
        }
    }
}

impl Hall {
    async fn not_accepted(&self, error: &io::Error) {
        let text = format!("Accepting a client connection failed: {error}");
        self.log.write(Level::Verbose, &text);
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr, with_tls: bool) {
        let shared = &self.shared;
        if shared.is_protected() && !peer.ip().to_canonical().is_loopback() {
            refuse(stream, DENIED, with_tls);
            return;
        }
        let Ok(local) = stream.local_addr() else {
            return;
        };
        let Some(id) = self.register(Ends::tcp(peer, local)) else {
            refuse(stream, TOO_MANY, with_tls);
            return;
        };
        prepare(&stream, shared.tcp_keepalive_secs);
        if with_tls {
            tokio::spawn(self.clone().greet(stream, id, peer));
        } else {
            tokio::spawn(session::run(stream, id, Arc::clone(shared)));
        }
    }

    fn admit_local(&self, stream: UnixStream, path: &Path) {
        let Some(id) = self.register(Ends::unix(path)) else {
            refuse(stream, TOO_MANY, false);
            return;
        };
        tokio::spawn(session::run(stream, id, Arc::clone(&self.shared)));
    }

    /// A number for a client, unless there are too many.
    fn register(&self, ends: Ends) -> Option<SessionId> {
        let shared = &self.shared;
        let admitted = shared.clients().add(ends, shared.clients_max);
        let counter = match admitted {
            Some(_) => &shared.stats.connections,
            None => &shared.stats.rejected,
        };
        Stats::add(counter, 1);
        admitted
    }

    /// Agrees on the encryption, off the accepting task, and serves.
    async fn greet(self, stream: TcpStream, id: SessionId, peer: SocketAddr) {
        let agreed = match self.tls.acceptor() {
            Some(acceptor) => timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await,
            None => Ok(Err(io::ErrorKind::Unsupported.into())),
        };
        let error = match agreed {
            Ok(Ok(stream)) => {
                return session::run(stream, id, Arc::clone(&self.shared)).await;
            }
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        self.shared.clients().remove(id);
        let text = format!("Error accepting a client connection: {error} (addr={peer})");
        self.log.write(Level::Verbose, &text);
    }
}

/// Sets the options of a client's socket. One without them works, only less well.
fn prepare(stream: &TcpStream, keepalive_secs: u64) {
    let _ = stream.set_nodelay(true);
    if keepalive_secs > 0 {
        let interval = Duration::from_secs(keepalive_secs);
        let probe = (interval / 3).max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new()
            .with_time(interval)
            .with_interval(probe)
            .with_retries(3);
        let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
    }
}

/// Says why, once, without waiting for a client that does not read. A client that speaks TLS would
/// not understand it.
fn refuse<S>(mut stream: S, text: &'static [u8], with_tls: bool)
where
    S: AsyncWrite + Unpin + Send + 'static,
{
    if !with_tls {
        tokio::spawn(async move {
            let _ = timeout(ACCEPT_PAUSE, stream.write_all(text)).await;
        });
    }
}
