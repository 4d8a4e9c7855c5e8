//! Taking clients in: each worker accepts from a listening socket of its own.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::packets;
use super::reply;
use super::session;
use super::socket::{self, Bound, Listener};
use super::worker::{Shared, Worker};

/// Refused clients of one worker that are given the time to read why.
const LEAVING_MAX: usize = 1024;
/// The pause after a failed accept: out of file descriptors, most often.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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

/// Accepts clients until the worker stops accepting. Those that wait in the kernel's queue then
/// are still taken, unless a successor listens on the same socket.
pub(super) async fn accept(worker: Rc<Worker>, listener: Listener) {
    let door = match Door::new(listener) {
        Ok(door) => door,
        Err(error) => return tracing::error!(%error, "cannot accept clients"),
    };
    let mut closing = worker.closing_door.subscribe();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => break,
            accepted = door.accept() => accepted,
        };
        match accepted {
            Ok(stream) => greet(&worker, stream, door.is_tcp()),
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    if !worker.shared.handed_over.load(Ordering::Relaxed) {
        while let Ok(stream) = door.accept_now() {
            greet(&worker, stream, door.is_tcp());
        }
    }
}

/// A listening socket that is watched.
enum Door {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        has_packets: bool,
    },
}

impl Door {
    fn new(listener: Listener) -> io::Result<Self> {
        let has_packets = listener.has_packets()?;
        match listener.bound()? {
            Bound::Tcp(_) => TcpListener::from_std(listener.into()).map(Self::Tcp),
            Bound::Unix(_) => {
                let listener = UnixListener::from_std(OwnedFd::from(listener).into())?;
                Ok(Self::Unix {
                    listener,
                    has_packets,
                })
            }
        }
    }

    fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| stream),
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                self.stream(stream.into_std()?.into())
            }
        }
    }

    /// A client that is in the queue now.
    fn accept_now(&self) -> io::Result<TcpStream> {
        match self {
            Self::Tcp(listener) => self.stream(socket::accept(listener)?),
            Self::Unix { listener, .. } => self.stream(socket::accept(listener)?),
        }
    }

    fn stream(&self, fd: OwnedFd) -> io::Result<TcpStream> {
        match self {
            Self::Unix {
                has_packets: true, ..
            } => packets::as_stream(fd),
            Self::Unix { .. } | Self::Tcp(_) => socket::stream(fd),
        }
    }
}

fn greet(worker: &Rc<Worker>, stream: TcpStream, is_tcp: bool) {
    worker.local.tick();
    let settings = worker.settings();
    let counters = worker.local.counters();
    let alive = worker.shared.alive.fetch_add(1, Ordering::Relaxed) + 1;
    let alive_guard = Alive(worker.shared.clone());
    counters.sessions.add(1);
    let prepare = || {
        stream.set_nodelay(true)?;
        keepalive(&stream, settings.session_keepalive_period.duration())
    };
    if is_tcp && let Err(error) = prepare() {
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
