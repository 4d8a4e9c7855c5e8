//! A network in front of a peer that can go dark.
//!
//! No right of root is needed: the kernel itself drops what is sent to a listener whose queue is
//! full, as a firewall would.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use super::Process;

/// Places in the queue of a listener that answers.
const PLACES: i32 = 128;
/// A connection that takes longer than this on loopback is dropped.
const DROPPED: Duration = Duration::from_millis(100);

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Net {
    /// It arrives.
    Well,
    /// Connections are accepted, and nothing arrives.
    Mute,
    /// Nothing at all arrives, not even what opens a connection.
    Dark,
}

/// The way to a peer.
pub struct Shim {
    pub addr: String,
    wanted: watch::Sender<Net>,
    held: watch::Receiver<Net>,
}

impl Shim {
    /// A network that leads to `target`, where somebody may listen later.
    pub async fn before(target: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(PLACES as u32).unwrap();
        let addr = listener.local_addr().unwrap();
        let (wanted, net) = watch::channel(Net::Well);
        let (tell, held) = watch::channel(Net::Well);
        let target = target.to_owned();
        tokio::spawn(async move { serve(listener, addr, &target, net, &tell).await });
        Self {
            addr: addr.to_string(),
            wanted,
            held,
        }
    }

    /// Makes the network so; gives back once it is.
    pub async fn make(&self, net: Net) {
        self.wanted.send_replace(net);
        let mut held = self.held.clone();
        held.wait_for(|held| *held == net).await.unwrap();
    }
}

async fn serve(
    listener: TcpListener,
    addr: SocketAddr,
    target: &str,
    mut net: watch::Receiver<Net>,
    tell: &watch::Sender<Net>,
) {
    let mut taken = Vec::new();
    loop {
        let now = *net.borrow_and_update();
        if now == Net::Dark {
            rustix::net::listen(&listener, 0).unwrap();
            while let Ok(Ok(place)) = tokio::time::timeout(DROPPED, TcpStream::connect(addr)).await
            {
                taken.push(place);
            }
        } else {
            taken.clear();
            rustix::net::listen(&listener, PLACES).unwrap();
        }
        tell.send_replace(now);
        loop {
            tokio::select! {
                changed = net.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                Ok((stream, _)) = listener.accept(), if now != Net::Dark => {
                    tokio::spawn(pass(stream, target.to_owned(), net.clone()));
                }
            }
        }
    }
}

/// Passes on what arrives while the network is well, and keeps it until then.
async fn pass(stream: TcpStream, target: String, mut net: watch::Receiver<Net>) {
    if net.wait_for(|net| *net == Net::Well).await.is_err() {
        return;
    }
    let Ok(peer) = TcpStream::connect(&target).await else {
        return;
    };
    let ((from_here, to_here), (from_there, to_there)) = (stream.into_split(), peer.into_split());
    let back = net.clone();
    tokio::select! {
        () = copy(from_here, to_there, net) => {}
        () = copy(from_there, to_here, back) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut net: watch::Receiver<Net>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let passes = net.wait_for(|net| *net == Net::Well).await.is_ok();
        if !passes || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    // An end is heard no sooner than what came before it.
    let _ = net.wait_for(|net| *net == Net::Well).await;
}

/// How a peer hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hang {
    /// Its process is stopped; its kernel goes on.
    Stopped,
    /// Its network is.
    Behind(Net),
}

/// A process behind a network of its own.
pub struct Remote {
    pub process: Process,
    pub net: Shim,
}

impl Remote {
    pub fn addr(&self) -> &str {
        &self.net.addr
    }

    pub async fn hang(&self, how: Hang) {
        match how {
            Hang::Stopped => self.process.signal(Signal::STOP),
            Hang::Behind(net) => self.net.make(net).await,
        }
    }

    pub async fn go_on(&self) {
        self.process.signal(Signal::CONT);
        self.net.make(Net::Well).await;
    }
}
