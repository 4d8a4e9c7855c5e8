//! Listening for clients: one socket for each worker on the same address.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::reply;
use super::session;
use super::worker::{Shared, Worker};

/// Connections that wait in the kernel for one worker.
const BACKLOG: i32 = 1024;
/// Refused clients of one worker that are given the time to read why.
const LEAVING_MAX: usize = 1024;
/// The pause after a failed accept: out of file descriptors, most often.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One listening socket for each of `workers`, all on one address.
///
/// # Errors
/// The address does not resolve, is in use, or is not of this host.
pub fn bind(proto: &str, address: &str, workers: usize) -> io::Result<Vec<StdListener>> {
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("listen on {proto} {address}: {error}"),
        )
    };
    let target = resolve(proto, address).map_err(named)?;
    // With SO_REUSEPORT alone a second proxy would silently share the port.
    let first = socket(target, false).map_err(named)?;
    let bound = first.local_addr().map_err(named)?;
    if workers <= 1 {
        return Ok(vec![first]);
    }
    drop(first);
    (0..workers)
        .map(|_| socket(bound, true).map_err(named))
        .collect()
}

fn resolve(proto: &str, address: &str) -> io::Result<SocketAddr> {
    let fits = |found: &SocketAddr| match proto {
        "tcp4" => found.is_ipv4(),
        "tcp6" => found.is_ipv6(),
        _ => true,
    };
    let mut found = address.to_socket_addrs()?;
    found
        .find(fits)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no address of that kind"))
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Turns TCP keepalive on, unless the period is zero.
pub(super) fn keepalive(stream: &TcpStream, period: Duration) -> io::Result<()> {
    if period.is_zero() {
        return Ok(());
    }
    let keepalive = TcpKeepalive::new().with_time(period).with_interval(period);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Counts a session as long as it lives.
struct Alive(Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Accepts clients until it is aborted.
pub(super) async fn accept(worker: Rc<Worker>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => greet(&worker, stream),
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn greet(worker: &Rc<Worker>, stream: TcpStream) {
    worker.local.tick();
    let settings = worker.settings();
    let counters = worker.local.counters();
    let alive = worker.shared.alive.fetch_add(1, Ordering::Relaxed) + 1;
    let alive_guard = Alive(worker.shared.clone());
    counters.sessions.add(1);
    let prepared = stream
        .set_nodelay(true)
        .and_then(|()| keepalive(&stream, settings.session_keepalive_period.duration()));
    if let Err(error) = prepared {
        tracing::debug!(%error, "session ended before it began");
        return;
    }
    let refusal = if !worker.shared.online.load(Ordering::Relaxed) {
        Some(reply::NOT_ONLINE)
    } else if alive > settings.proxy_max_clients {
        Some(reply::MAX_CLIENTS)
    } else {
        None
    };
    let worker = worker.clone();
    match refusal {
        Some(refusal) => {
            counters.fails.add(1);
            // It takes no place of those that could be served.
            drop(alive_guard);
            tokio::task::spawn_local(refuse(worker, stream, refusal));
        }
        None => {
            tokio::task::spawn_local(async move {
                session::run(worker, stream).await;
                drop(alive_guard);
            });
        }
    }
}

/// Says why, and stays for a moment so that the client can read it; unless too many do.
async fn refuse(worker: Rc<Worker>, mut stream: TcpStream, refusal: &'static [u8]) {
    if stream.write_all(refusal).await.is_err() || worker.leaving.get() >= LEAVING_MAX {
        return;
    }
    worker.leaving.set(worker.leaving.get() + 1);
    session::linger(stream).await;
    worker.leaving.set(worker.leaving.get() - 1);
}
