//! Listening sockets: TCP and Unix ones, opened here or taken over from somebody else.
//!
//! All stream sockets of this process are handled as [`TcpStream`](tokio::net::TcpStream): reading,
//! writing and shutting down are the same calls for both families, and the data path has one type.

use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Connections that wait in the kernel for one listening socket.
const BACKLOG: i32 = 1024;

/// Where a listening socket is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A path.
    Unix(PathBuf),
}

impl Bound {
    /// The port, 0 for a path.
    pub fn port(&self) -> u16 {
        match self {
            Bound::Tcp(addr) => addr.port(),
            Bound::Unix(_) => 0,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Tcp(addr) => addr.fmt(f),
            Bound::Unix(path) => path.display().fmt(f),
        }
    }
}

/// What is to be listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// `tcp`, `tcp4`, `tcp6`, `unix` or `unixpacket`.
    pub proto: &'a str,
    /// `host:port`, or a path.
    pub address: &'a str,
    /// Permissions of a path; those of the process when `None`.
    pub mode: Option<u32>,
    /// Listening sockets, one for each worker.
    pub count: usize,
    /// More may be added later.
    pub may_grow: bool,
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener(Socket);

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> Self {
        listener.0.into()
    }
}

impl From<Listener> for std::net::TcpListener {
    fn from(listener: Listener) -> Self {
        listener.0.into()
    }
}

impl Listener {
    /// A listening socket that somebody else opened.
    ///
    /// # Errors
    /// It does not listen, or is of an unknown family.
    pub fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let listener = Self(Socket::from(fd));
        if !listener.0.is_listener()? {
            return Err(io::Error::other("the socket does not listen"));
        }
        listener.bound()?;
        listener.0.set_cloexec(true)?;
        listener.0.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Where it is bound.
    ///
    /// # Errors
    /// It is of an unknown family.
    pub fn bound(&self) -> io::Result<Bound> {
        let addr = self.0.local_addr()?;
        if let Some(addr) = addr.as_socket() {
            return Ok(Bound::Tcp(addr));
        }
        let path = addr.as_pathname().map(Path::to_path_buf);
        path.map(Bound::Unix)
            .ok_or_else(|| io::Error::other("a socket without an address"))
    }

    /// Whether accepted sockets carry packets instead of a stream.
    ///
    /// # Errors
    /// The socket cannot be asked.
    pub fn has_packets(&self) -> io::Result<bool> {
        Ok(self.0.r#type()? == Type::SEQPACKET)
    }

    /// The same socket, for another worker or another process.
    ///
    /// # Errors
    /// No more file descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Another socket on the same address if the kernel lets them share it, else the same one.
    ///
    /// # Errors
    /// The address cannot be used any more.
    pub fn sibling(&self) -> io::Result<Self> {
        match self.bound()? {
            Bound::Tcp(addr) if self.0.reuse_port()? => {
                tcp(addr, true, self.only_v6()).and_then(|socket| Self::listen(socket, BACKLOG))
            }
            Bound::Tcp(_) | Bound::Unix(_) => self.try_clone(),
        }
    }

    fn only_v6(&self) -> bool {
        self.0.only_v6().unwrap_or(false)
    }

    fn listen(socket: Socket, backlog: i32) -> io::Result<Self> {
        socket.listen(backlog)?;
        Ok(Self(socket))
    }
}

/// Opens what is wanted, each on the same address.
///
/// # Errors
/// The address does not resolve, is in use, or is not of this host.
pub fn bind(wanted: Wanted<'_>) -> io::Result<Vec<Listener>> {
    let Wanted { proto, address, .. } = wanted;
    let bound = match proto {
        "unix" => bind_path(wanted, Type::STREAM),
        "unixpacket" => bind_path(wanted, Type::SEQPACKET),
        _ => bind_tcp(wanted),
    };
    bound.map_err(|error| {
        let text = format!("listen on {proto} {address}: {error}");
        io::Error::new(error.kind(), text)
    })
}

fn bind_tcp(wanted: Wanted<'_>) -> io::Result<Vec<Listener>> {
    let target = resolve(wanted.proto, wanted.address)?;
    let only_v6 = wanted.proto == "tcp6";
    // With SO_REUSEPORT alone a second proxy would silently share the port.
    let first = tcp(target, false, only_v6)?;
    if wanted.count <= 1 && !wanted.may_grow {
        return Ok(vec![Listener::listen(first, BACKLOG)?]);
    }
    let unnamed = || io::Error::other("a socket without an address");
    let bound = first.local_addr()?.as_socket().ok_or_else(unnamed)?;
    drop(first);
    let sockets: io::Result<Vec<_>> = (0..wanted.count.max(1))
        .map(|_| tcp(bound, true, only_v6))
        .collect();
    sockets?
        .into_iter()
        .map(|socket| Listener::listen(socket, BACKLOG))
        .collect()
}

fn resolve(proto: &str, address: &str) -> io::Result<SocketAddr> {
    let fits = |found: &SocketAddr| match proto {
        "tcp4" => found.is_ipv4(),
        "tcp6" => found.is_ipv6(),
        _ => true,
    };
    // Nothing before the port stands for all addresses of the host.
    let any = if proto == "tcp4" { "0.0.0.0" } else { "[::]" };
    let whole = match address.strip_prefix(':') {
        Some(port) => format!("{any}:{port}"),
        None => address.to_owned(),
    };
    let mut found = whole.to_socket_addrs()?;
    found
        .find(fits)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no address of that kind"))
}

fn tcp(address: SocketAddr, shared: bool, only_v6: bool) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if domain == Domain::IPV6 {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn bind_path(wanted: Wanted<'_>, kind: Type) -> io::Result<Vec<Listener>> {
    let path = Path::new(wanted.address);
    remove_stale(path, kind)?;
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    if let Some(mode) = wanted.mode {
        // Nobody can connect before the socket listens.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    let first = Listener::listen(socket, BACKLOG)?;
    let others: io::Result<Vec<_>> = (1..wanted.count).map(|_| first.try_clone()).collect();
    let mut all = others?;
    all.push(first);
    Ok(all)
}

/// Removes a socket file that nobody listens on; a process that was killed leaves one behind.
fn remove_stale(path: &Path, kind: Type) -> io::Result<()> {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !meta.file_type().is_socket() {
        let text = "there is a file of this name that is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    let probe = Socket::new(Domain::UNIX, kind, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // It accepts, its queue is full, or it is of another kind: somebody is there.
        Ok(()) | Err(_) => Err(io::Error::from(io::ErrorKind::AddrInUse)),
    }
}

/// A connection that waits at a listening socket.
///
/// # Errors
/// None waits, or none can be taken.
pub(super) fn accept(listener: impl AsFd) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (accepted, peer) = rustix::net::acceptfrom_with(listener, flags)?;
    Ok((accepted, peer.and_then(|peer| peer.try_into().ok())))
}

/// Dials a path.
///
/// # Errors
/// Nobody listens there, or the queue is full.
pub async fn dial_path(path: &str) -> io::Result<tokio::net::TcpStream> {
    let dialled = tokio::net::UnixStream::connect(path).await?.into_std()?;
    stream(OwnedFd::from(dialled))
}

/// A stream socket of any family, watched by the runtime.
///
/// # Errors
/// The runtime cannot watch it.
pub fn stream(fd: OwnedFd) -> io::Result<tokio::net::TcpStream> {
    tokio::net::TcpStream::from_std(std::net::TcpStream::from(fd))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted<'a>(proto: &'a str, address: &'a str) -> Wanted<'a> {
        Wanted {
            proto,
            address,
            mode: None,
            count: 2,
            may_grow: false,
        }
    }

    #[test]
    fn a_port_belongs_to_one_proxy() {
        let held = bind(wanted("tcp4", "127.0.0.1:0")).unwrap();
        let addr = held[0].bound().unwrap().to_string();
        let error = bind(wanted("tcp4", &addr)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(
            error.to_string().contains(&format!("tcp4 {addr}")),
            "{error}"
        );
        let more = held[0].sibling().unwrap();
        assert_eq!(more.bound().unwrap(), held[0].bound().unwrap());
    }

    #[test]
    fn a_path_is_taken_only_when_nobody_listens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s").display().to_string();
        for proto in ["unix", "unixpacket"] {
            let mut with = wanted(proto, &path);
            with.mode = Some(0o600);
            let held = bind(with).unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert_eq!(held[0].has_packets().unwrap(), proto == "unixpacket");
            let error = bind(with).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
            drop(held);
            assert!(Path::new(&path).exists(), "the file stays behind");
            drop(bind(with).unwrap());
        }
        let file = dir.path().join("f").display().to_string();
        fs::write(&file, "precious").unwrap();
        assert!(bind(wanted("unix", &file)).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }

    #[test]
    fn a_port_alone_stands_for_all_addresses() {
        assert_eq!(resolve("tcp4", ":19").unwrap().to_string(), "0.0.0.0:19");
        assert_eq!(resolve("tcp", ":19").unwrap().to_string(), "[::]:19");
        assert!(resolve("tcp6", "127.0.0.1:19").is_err());
    }
}
