//! Taking clients in: each worker accepts from a listening socket of its own.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_nodelay;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::unix::AsyncFd;

use super::packets;
use super::reply;
use super::socket::{self, Bound, Listener};
use super::stream::Stream;
use super::unsafe_io::watch;
use super::worker::{Shared, Worker};

/// Refused clients of one worker that are given the time to read why.
const LEAVING_MAX: usize = 1024;
/// The pause after a failed accept: out of file descriptors, most often.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Turns TCP keepalive on, unless the period is zero.
pub(super) fn keepalive(stream: &impl AsFd, period: Duration) -> io::Result<()> {
    if period.is_zero() {
        return Ok(());
    }
    let keepalive = TcpKeepalive::new().with_time(period).with_interval(period);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Counts a session as long as it lives.
#[derive(Debug)]
pub struct Alive(Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Accepts clients until the worker stops accepting. Those that wait in the kernel's queue then
/// are still taken, unless a successor listens on the same socket.
pub(super) async fn accept(worker: Rc<Worker>, listener: Listener) {
    let period = worker.settings().session_keepalive_period.duration();
    let door = match Door::new(listener, period) {
        Ok(door) => door,
        Err(error) => return tracing::error!(%error, "cannot accept clients"),
    };
    let mut closing = worker.closing_door.subscribe();
    let mut accepting = worker.shared.accepting.subscribe();
    let mut failing = false;
    tokio::select! {
        _ = closing.wait_for(|closing| *closing) => return,
        _ = accepting.wait_for(|accepting| *accepting) => {}
    }
    loop {
        let accepted = tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => break,
            accepted = door.accept() => accepted,
        };
        match accepted {
            Ok((accepted, peer)) => {
                failing = false;
                greet(&worker, accepted, peer);
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "accept failed, clients wait");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    if !worker.shared.handed_over.load(Ordering::Relaxed) {
        while let Ok((accepted, peer)) = door.accept_now() {
            greet(&worker, accepted, peer);
        }
    }
}

/// A listening socket that is watched.
struct Door {
    listener: AsyncFd<OwnedFd>,
    has_packets: bool,
}

impl Door {
    /// What is set on a listening socket holds for the clients that it accepts.
    fn new(listener: Listener, keepalive_period: Duration) -> io::Result<Self> {
        let has_packets = listener.has_packets()?;
        let is_tcp = matches!(listener.bound()?, Bound::Tcp(_));
        let listener = OwnedFd::from(listener);
        if is_tcp {
            set_tcp_nodelay(&listener, true)?;
            keepalive(&listener, keepalive_period)?;
        }
        Ok(Self {
            listener: watch(listener)?,
            has_packets,
        })
    }

    async fn accept(&self) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
        loop {
            let mut ready = self.listener.readable().await?;
            match self.accept_now() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                accepted => return accepted,
            }
        }
    }

    /// A client that is in the queue now.
    fn accept_now(&self) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
        let (accepted, peer) = socket::accept(self.listener.get_ref())?;
        if self.has_packets {
            Ok((packets::as_stream(accepted)?, None))
        } else {
            Ok((accepted, peer))
        }
    }
}

fn greet(worker: &Rc<Worker>, accepted: OwnedFd, peer: Option<SocketAddr>) {
    worker.local.tick();
    let settings = worker.settings();
    let counters = worker.local.counters();
    let alive = worker.shared.alive.fetch_add(1, Ordering::Relaxed) + 1;
    let alive_guard = Alive(worker.shared.clone());
    counters.sessions.add(1);
    let refusal = if !worker.shared.online.load(Ordering::Relaxed) {
        Some(reply::NOT_ONLINE)
    } else if alive > settings.proxy_max_clients {
        Some(reply::MAX_CLIENTS)
    } else {
        None
    };
    let stream = Stream::from(accepted);
    match refusal {
        Some(refusal) => {
            counters.fails.add(1);
            // It takes no place of those that could be served.
            drop(alive_guard);
            refuse(worker, stream, refusal);
        }
        None => {
            if let Err(error) = super::io::start(worker, stream, peer, alive_guard) {
                tracing::warn!(%error, "session ended before it began");
            }
        }
    }
}

/// Says why, and stays for a moment so that the client can read it; unless too many do.
fn refuse(worker: &Rc<Worker>, stream: Stream, refusal: &'static [u8]) {
    if stream.write(refusal).is_err() || worker.leaving.get() >= LEAVING_MAX {
        return;
    }
    worker.leaving.set(worker.leaving.get() + 1);
    let worker = worker.clone();
    tokio::task::spawn_local(async move {
        super::io::linger(stream).await;
        worker.leaving.set(worker.leaving.get() - 1);
    });
}
