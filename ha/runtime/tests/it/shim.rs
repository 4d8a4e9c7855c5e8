//! A network between a client and a server that a test makes slow, silent or broken.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What becomes of bytes on their way, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Each piece arrives this much later.
    Delay(Duration),
    /// Nothing arrives, and nobody is told.
    Swallow,
}

/// Listens in the place of a server.
pub struct Shim {
    addr: String,
    mode: watch::Sender<Mode>,
    task: tokio::task::JoinHandle<()>,
}

impl Shim {
    pub async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let (mode, modes) = watch::channel(Mode::Pass);
        let task = tokio::spawn(async move {
            let mut pipes = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (server, modes) = (server.clone(), modes.clone());
                pipes.spawn(async move {
                    let Ok(server) = TcpStream::connect(server).await else {
                        return;
                    };
                    let _ = client.set_nodelay(true);
                    let _ = server.set_nodelay(true);
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::select! {
                        () = carry(from_client, to_server, modes.clone()) => {}
                        () = carry(from_server, to_client, modes) => {}
                    }
                });
            }
        });
        Self { addr, mode, task }
    }

    pub fn addr(&self) -> &str {
        &self.addr
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How many pieces may be on their way.
const PIECES_MAX: usize = 1024;

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, modes: watch::Receiver<Mode>) {
    let (send, mut sent) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    let read = async move {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(len @ 1..) = from.read(&mut piece).await {
            let late = match *modes.borrow() {
                Mode::Pass => Duration::ZERO,
                Mode::Delay(late) => late,
                // What was swallowed once is lost; the rest of this connection makes no sense.
                Mode::Swallow => Duration::MAX,
            };
            if late == Duration::MAX {
                std::future::pending::<()>().await;
            }
            let piece = (Instant::now() + late, piece[..len].to_vec());
            if send.send(piece).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = sent.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}
