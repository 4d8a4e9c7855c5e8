//! Subscribers that do not read, and much for them to read.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::resp::encode_command;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::Blowing;
use crate::quorum::lab::NAME;

/// Clients that cause events.
pub(super) const WRITERS: usize = 32;
/// Bytes of one event, below the limit of a payload.
const EVENT_BYTES: usize = 900;
/// Events of one request.
const EVENTS: u64 = 50;
const RECEIVE_BYTES: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(10);

/// Subscribes to everything and reads no more.
pub(super) async fn deaf(addr: &Addr, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let socket = TcpSocket::new_v4()?;
        SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BYTES)?;
        let place = format!("{}:{}", addr.host(), addr.port()).parse()?;
        let mut stream = socket.connect(place).await?;
        stream.write_all(b"PSUBSCRIBE *\r\n").await?;
        streams.push(stream);
    }
    Ok(streams)
}

/// Renames a command that nobody uses to long names, again and again: each is one event.
pub(super) async fn write(addr: Addr, number: usize, blowing: Arc<Blowing>) {
    let Ok(mut stream) = TcpStream::connect((addr.host(), addr.port())).await else {
        return;
    };
    let command = format!("UNUSED-{number}");
    let mut answer = [0; 256];
    let mut turn = 0_u64;
    while blowing.goes_on() {
        let mut words: Vec<String> = ["SENTINEL", "SET", NAME].map(str::to_owned).into();
        for _ in 0..EVENTS {
            turn += 1;
            let new = format!("{turn:0>EVENT_BYTES$}");
            words.extend(["rename-command".to_owned(), command.clone(), new]);
        }
        let mut request = Vec::new();
        encode_command(&mut request, &words);
        let sent = stream.write_all(&request).await;
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await;
        let (Ok(()), Ok(Ok(1..))) = (sent, read) else {
            return;
        };
        blowing.events.fetch_add(EVENTS, Ordering::Relaxed);
    }
}

/// How many of them have been cut off: what is left to read ends.
pub(super) async fn cut_off(deaf: Vec<TcpStream>) -> usize {
    let mut count = 0;
    for mut stream in deaf {
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest);
        let ended = tokio::time::timeout(Duration::from_secs(1), read).await;
        count += usize::from(ended.is_ok());
    }
    count
}
