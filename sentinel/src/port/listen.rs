//! Opening the port: on TCP in clear and with TLS, and on a unix socket.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, Socket, Type};

use crate::conf::Server;

/// Where clients are waited for.
#[derive(Debug)]
pub enum Listener {
    /// In clear.
    Tcp(std::net::TcpListener),
    /// With TLS.
    Tls(std::net::TcpListener),
    /// On this machine.
    Unix(std::os::unix::net::UnixListener, PathBuf),
}

/// A place that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {place}: {error}")]
pub struct BindError {
    /// The address or the path.
    pub place: String,
    /// What the system says.
    pub error: io::Error,
}

impl BindError {
    fn at(place: impl fmt::Display, error: io::Error) -> Self {
        Self {
            place: place.to_string(),
            error,
        }
    }
}

/// A unix socket, removed when this is dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody removed it before: nothing left to do.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// The file that is to be removed at the end.
    pub fn file(&self) -> Option<SocketFile> {
        match self {
            Self::Tcp(_) | Self::Tls(_) => None,
            Self::Unix(_, path) => Some(SocketFile(path.clone())),
        }
    }
}

/// Opens everything that is configured. Port 0 opens nothing; an optional address may fail.
///
/// # Errors
/// A place that is not optional cannot be opened.
pub fn bind(server: &Server) -> Result<Vec<Listener>, BindError> {
    let mut listeners = Vec::new();
    if server.port != 0 {
        let opened = bind_port(server, server.port)?;
        listeners.extend(opened.into_iter().map(Listener::Tcp));
    }
    if server.tls_port != 0 {
        let opened = bind_port(server, server.tls_port)?;
        listeners.extend(opened.into_iter().map(Listener::Tls));
    }
    if let Some(path) = &server.unixsocket {
        let opened = bind_unix(path, server.unixsocket_mode, server.tcp_backlog);
        let listener = opened.map_err(|error| BindError::at(path.display(), error))?;
        listeners.push(Listener::Unix(listener, path.clone()));
    }
    Ok(listeners)
}

fn bind_port(server: &Server, port: u16) -> Result<Vec<std::net::TcpListener>, BindError> {
    let mut listeners = Vec::new();
    for bind in &server.bind {
        let ip = match bind.host.as_str() {
            "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            "::*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            host => match host.parse() {
                Ok(ip) => ip,
                Err(_) => {
                    let error = io::Error::new(io::ErrorKind::InvalidInput, "not an IP address");
                    return Err(BindError::at(format_args!("`{host}`"), error));
                }
            },
        };
        let addr = SocketAddr::new(ip, port);
        match listen(addr, server.tcp_backlog) {
            Ok(listener) => listeners.push(listener),
            Err(_) if bind.optional => {}
            Err(error) => return Err(BindError::at(addr, error)),
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

/// Opens a unix socket in place of one that a crash left behind. Its permissions are set before
/// anybody can connect, which needs `listen`.
fn bind_unix(path: &Path, mode: u32, backlog: u32) -> io::Result<std::os::unix::net::UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    if mode != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
