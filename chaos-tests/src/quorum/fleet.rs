//! Hundreds of simulated servers in one process, for quorums that watch more masters than a machine
//! has room for real ones.
//!
//! Each has an address of its own and speaks what a sentinel asks of a server: PING, INFO, PUBLISH
//! and SUBSCRIBE of the hello channel, and the transaction that changes its role. Servers come in
//! pairs: a master and its replica.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use codis_core::addr::Addr;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

mod connection;

const PORT: u16 = 6379;

/// The pairs, served by a thread of their own until this is dropped.
#[derive(Debug)]
pub struct Fleet {
    servers: Arc<Vec<Server>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One simulated server.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it listens.
    addr: Addr,
    /// The other one of its pair.
    partner: usize,
    run_id: String,
    /// It lives; nothing listens and no connection is open otherwise.
    alive: watch::Sender<bool>,
    state: Mutex<State>,
    /// Commands answered.
    served: AtomicU64,
}

/// What changes.
#[derive(Debug)]
struct State {
    /// Whom it follows; a master follows nobody.
    master: Option<Addr>,
    /// When it became master by an order.
    promoted: Option<Instant>,
    subscribers: Vec<mpsc::Sender<Bytes>>,
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fleet {
    /// Starts `pairs` masters at `<net>.0.1`, `<net>.0.2`, ..., 200 a block, each with its replica
    /// at the same place of `<net>.128.*`. `net` is the first two bytes.
    ///
    /// # Errors
    /// An address cannot be listened on, or a thread cannot be started.
    pub fn start(net: (u8, u8), pairs: usize) -> anyhow::Result<Self> {
        anyhow::ensure!(pairs <= 200 * 100, "more pairs than addresses: {pairs}");
        let place = |block: usize, number: usize| {
            let third = block + number / 200;
            Ipv4Addr::new(net.0, net.1, third as u8, (number % 200) as u8 + 1)
        };
        let addr = |ip: Ipv4Addr| Addr::new(ip.to_string(), PORT);
        let mut servers = Vec::with_capacity(2 * pairs);
        for number in 0..pairs {
            let partner = pairs + number;
            servers.push(server(addr(place(0, number)), partner, None));
        }
        for number in 0..pairs {
            let master = addr(place(0, number));
            servers.push(server(addr(place(128, number)), number, Some(master)));
        }
        let listeners: Vec<std::net::TcpListener> = servers
            .iter()
            .map(|server| listen(&server.addr))
            .collect::<anyhow::Result<_>>()?;
        let servers = Arc::new(servers);
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&servers);
        let thread = std::thread::Builder::new()
            .name("fleet".to_owned())
            .spawn(move || serve(&shared, listeners, stopped))?;
        Ok(Self {
            servers,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The masters as they were at the start.
    pub fn masters(&self) -> impl Iterator<Item = &Addr> {
        self.servers[..self.servers.len() / 2]
            .iter()
            .map(|it| &it.addr)
    }

    /// The replica of a pair.
    pub fn replica(&self, pair: usize) -> &Addr {
        &self.servers[self.servers[pair].partner].addr
    }

    /// The masters of the first `count` pairs die: their sockets are closed.
    pub fn kill_masters(&self, count: usize) {
        for server in &self.servers[..count] {
            server.alive.send_replace(false);
        }
    }

    /// When the replica of a pair was promoted.
    pub fn promoted(&self, pair: usize) -> Option<Instant> {
        self.servers[self.servers[pair].partner].state().promoted
    }

    /// Commands answered by all.
    pub fn served(&self) -> u64 {
        let served = |it: &Server| it.served.load(Ordering::Relaxed);
        self.servers.iter().map(served).sum()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panicked: its own message has been shown.
            let _ = thread.join();
        }
    }
}

fn server(addr: Addr, partner: usize, master: Option<Addr>) -> Server {
    let text: String = addr.host().bytes().map(|b| format!("{b:02x}")).collect();
    Server {
        run_id: format!("{text:0>40}")[..40].to_owned(),
        addr,
        partner,
        alive: watch::Sender::new(true),
        state: Mutex::new(State {
            master,
            promoted: None,
            subscribers: Vec::new(),
        }),
        served: AtomicU64::new(0),
    }
}

fn listen(addr: &Addr) -> anyhow::Result<std::net::TcpListener> {
    let place: Ipv4Addr = addr.host().parse()?;
    let listener = std::net::TcpListener::bind(SocketAddrV4::new(place, addr.port()))
        .with_context(|| format!("listen on {addr}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn serve(
    servers: &Arc<Vec<Server>>,
    listeners: Vec<std::net::TcpListener>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return;
    };
    runtime.block_on(async {
        for (index, listener) in listeners.into_iter().enumerate() {
            if let Ok(listener) = TcpListener::from_std(listener) {
                tokio::spawn(accept(Arc::clone(servers), index, listener));
            }
        }
        // The sender is dropped, never used.
        let _ = stopped.await;
    });
}

async fn accept(servers: Arc<Vec<Server>>, index: usize, listener: TcpListener) {
    let mut alive = servers[index].alive.subscribe();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(connection::serve(Arc::clone(&servers), index, stream));
                }
                Err(_) => return,
            },
            _ = alive.changed() => return,
        }
    }
}
