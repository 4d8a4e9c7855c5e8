//! Opening the port and accepting clients.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::{Shared, Stats, session};
use crate::conf::Server;
use crate::log::Log;

/// Pause after an accept that failed, for instance because descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const DENIED: &[u8] = b"-DENIED Running in protected mode: there is no password and no bind \
address, so only connections from the loopback interface are accepted. Set a password, a bind \
address, or `protected-mode no`.\r\n";

/// An address that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr}: {error}")]
pub struct BindError {
    /// The address.
    pub addr: SocketAddr,
    /// What the system says.
    pub error: io::Error,
}

/// Opens the port on every configured address; an optional one may fail.
pub fn bind(server: &Server) -> Result<Vec<std::net::TcpListener>, BindError> {
    let mut listeners = Vec::new();
    for bind in &server.bind {
        let ip = match bind.host.as_str() {
            "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            "::*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            host => match host.parse() {
                Ok(ip) => ip,
                Err(_) => {
                    let addr = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), server.port);
                    let text = format!("`{host}` is not an IP address");
                    let error = io::Error::new(io::ErrorKind::InvalidInput, text);
                    return Err(BindError { addr, error });
                }
            },
        };
        let addr = SocketAddr::new(ip, server.port);
        match listen(addr, server.tcp_backlog) {
            Ok(listener) => listeners.push(listener),
            Err(_) if bind.optional => {}
            Err(error) => return Err(BindError { addr, error }),
        }
    }
    Ok(listeners)
}

fn listen(addr: SocketAddr, backlog: u32) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Accepts clients for ever.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, log: Log) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => admit(stream, peer, &shared),
            Err(error) => {
                log.write(
                    crate::log::Level::Verbose,
                    &format!("Accepting a client connection failed: {error}"),
                );
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    if shared.protected && !peer.ip().to_canonical().is_loopback() {
        tokio::spawn(refuse(stream, DENIED));
        return;
    }
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let admitted = shared.clients().add(peer, local, shared.clients_max);
    let Some(id) = admitted else {
        Stats::add(&shared.stats.rejected, 1);
        tokio::spawn(refuse(stream, b"-ERR max number of clients reached\r\n"));
        return;
    };
    Stats::add(&shared.stats.connections, 1);
    // A socket without these options works, only less well.
    let _ = stream.set_nodelay(true);
    if shared.tcp_keepalive_secs > 0 {
        let interval = Duration::from_secs(shared.tcp_keepalive_secs);
        let probe = (interval / 3).max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new()
            .with_time(interval)
            .with_interval(probe)
            .with_retries(3);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    }
    tokio::spawn(session::run(stream, id, Arc::clone(shared)));
}

/// Says why, once, without waiting for a client that does not read.
async fn refuse(mut stream: TcpStream, text: &'static [u8]) {
    let _ = tokio::time::timeout(ACCEPT_PAUSE, stream.write_all(text)).await;
}
