//! Lets stock servers give slots away: a front for each, which says the two commands of Codis that
//! move keys by the sync method in words that a stock server understands.
//!
//! `SLOTSMGRTTAGSLOT` and `SLOTSMGRTTAGONE` become a script around `MIGRATE`, which moves keys and
//! blocks its server meanwhile, as those commands do. One request stays one request and its reply
//! is not touched, so pipelines, replication links and subscriptions pass as they are. The server
//! itself listens elsewhere and announces the address of its front.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use codis_core::addr::Addr;
use codis_core::resp::{Limits, RequestScanner, encode_command};

/// How far the port of a server is above that of its front.
pub const PORT_OFFSET: u16 = 10_000;
/// Pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Moves the first tag of a slot that has keys, or the keys that share the tag of one key.
/// ARGV: `slot` or `one`, host, port, milliseconds, and the slot or the key.
const MOVE: &str = include_str!("front/move.lua");

/// Where the server of the front at `front` listens.
pub fn behind(front: &Addr) -> Addr {
    Addr::new(front.host(), front.port() + PORT_OFFSET)
}

/// Running fronts. Dropping it ends them.
#[derive(Debug)]
pub struct Fronts {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Fronts {
    /// Listens on `addrs`, before the servers [`behind`] them, on a thread of its own: the caller
    /// may block.
    ///
    /// # Errors
    /// An address is in use.
    pub fn before(addrs: Vec<Addr>) -> io::Result<Self> {
        let listeners: Vec<_> = addrs
            .into_iter()
            .map(|addr| {
                let listener = std::net::TcpListener::bind((addr.host(), addr.port()))?;
                listener.set_nonblocking(true)?;
                Ok((listener, behind(&addr)))
            })
            .collect::<io::Result<_>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("fronts".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    for (listener, server) in listeners {
                        match TcpListener::from_std(listener) {
                            Ok(listener) => drop(tokio::spawn(accept(listener, server))),
                            Err(error) => eprintln!("front of {server}: {error}"),
                        }
                    }
                    let _told_or_dropped = stopped.await;
                });
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Fronts {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, server: Addr) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => drop(tokio::spawn(carry(client, server.clone()))),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// One connection, until either side ends it. Without a server it is closed at once.
async fn carry(client: TcpStream, server: Addr) {
    let Ok(server) = TcpStream::connect((server.host(), server.port())).await else {
        return;
    };
    if client
        .set_nodelay(true)
        .and(server.set_nodelay(true))
        .is_err()
    {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ended = requests(from_client, to_server) => {}
        _ended = replies(from_server, to_client) => {}
    }
}

async fn replies(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
    tokio::io::copy(&mut from, &mut to).await.map(drop)
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
    let mut scanner = RequestScanner::new(Limits::default());
    let (mut buffer, mut out) = (BytesMut::new(), BytesMut::new());
    while from.read_buf(&mut buffer).await? > 0 {
        loop {
            let scanned = scanner.scan(&buffer);
            let Some(len) = scanned.map_err(|error| io::Error::other(error.to_string()))? else {
                break;
            };
            let words: Vec<&[u8]> = scanner
                .args()
                .iter()
                .map(|at| &buffer[at.clone()])
                .collect();
            match script(&words) {
                Some(script) => encode_command(&mut out, &script),
                None => out.extend_from_slice(&buffer[..len]),
            }
            scanner.reset();
            let _passed_on = buffer.split_to(len);
        }
        to.write_all_buf(&mut out).await?;
    }
    Ok(())
}

/// The request for a stock server, if it is one that it does not know.
fn script<'a>(words: &[&'a [u8]]) -> Option<[&'a [u8]; 8]> {
    let [name, host, port, millis, what] = words else {
        return None;
    };
    let kind: &[u8] = if name.eq_ignore_ascii_case(b"SLOTSMGRTTAGSLOT") {
        b"slot"
    } else if name.eq_ignore_ascii_case(b"SLOTSMGRTTAGONE") {
        b"one"
    } else {
        return None;
    };
    let script = MOVE.as_bytes();
    Some([b"EVAL", script, b"0", kind, host, port, millis, what])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_commands_are_put_in_other_words() {
        let words = |text: &'static str| text.split(' ').map(str::as_bytes).collect::<Vec<_>>();
        let one = script(&words("slotsmgrttagone h 1 3000 k")).unwrap();
        assert_eq!(one[3..], words("one h 1 3000 k"));
        let slot = script(&words("SLOTSMGRTTAGSLOT h 1 3000 7")).unwrap();
        assert_eq!(slot[3..], words("slot h 1 3000 7"));
        for other in [
            "SLOTSINFO",
            "SLOTSMGRTTAGONE h 1",
            "SET k v",
            "GET SLOTSMGRTTAGONE",
        ] {
            assert!(script(&words(other)).is_none(), "{other}");
        }
    }
}
