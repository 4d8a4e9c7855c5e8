//! Many connections that stay open.

use std::time::Duration;

use codis_core::addr::Addr;
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Connections that are being opened at the same time.
const AT_ONCE: usize = 200;
const PATIENCE: Duration = Duration::from_secs(10);

/// Who came in.
pub(super) struct Crowd {
    /// Those that got an answer to PING.
    pub taken: Vec<TcpStream>,
    /// Those that were refused in words.
    pub refused: usize,
}

/// Opens the connections; each asks PING once.
pub(super) async fn gather(addr: &Addr, count: usize) -> Crowd {
    let opened = futures_util::stream::iter(0..count).map(|_| open(addr));
    let mut opened = opened.buffer_unordered(AT_ONCE);
    let mut crowd = Crowd {
        taken: Vec::with_capacity(count),
        refused: 0,
    };
    while let Some(outcome) = opened.next().await {
        match outcome {
            Some((stream, answer)) if answer.starts_with(b"+PONG") => crowd.taken.push(stream),
            Some((_, answer)) if answer.starts_with(b"-ERR max number") => crowd.refused += 1,
            _ => {}
        }
    }
    crowd
}

async fn open(addr: &Addr) -> Option<(TcpStream, Vec<u8>)> {
    let talk = async {
        let mut stream = TcpStream::connect((addr.host(), addr.port())).await?;
        let mut answer = vec![0; 64];
        // A refusal may come, and the connection end, before the question is out.
        let _ = stream.write_all(b"PING\r\n").await;
        let length = stream.read(&mut answer).await?;
        answer.truncate(length);
        std::io::Result::Ok((stream, answer))
    };
    tokio::time::timeout(PATIENCE, talk).await.ok()?.ok()
}
