//! Requests that are almost right: cut, doubled, with flipped bytes and impossible lengths.
//!
//! Nothing in here can be taken for an order, a vote or a hello: what a stranger may do to a
//! sentinel without a password is not what is tested.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::resp::encode_command;
use codis_core::rng::SplitMix64;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Blowing;

const PATIENCE: Duration = Duration::from_millis(20);
/// Pause after a connection that failed.
const PAUSE: Duration = Duration::from_millis(10);

const SEEDS: &[&[&str]] = &[
    &["PING"],
    &["PING", "hello"],
    &["INFO", "sentinel"],
    &["ROLE"],
    &["SENTINEL", "MASTERS"],
    &["SENTINEL", "REPLICAS", "lab"],
    &["SENTINEL", "TOPOLOGY", "*"],
    &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "lab"],
    &["SENTINEL", "CKQUORUM", "lab"],
    &["SENTINEL", "INFO-CACHE", "lab"],
    &["HELLO", "3"],
    &["CLIENT", "SETNAME", "noise"],
    &["COMMAND", "DOCS"],
    &["SUBSCRIBE", "+sdown", "-sdown"],
    &["PSUBSCRIBE", "*[a-"],
    &["UNSUBSCRIBE"],
    &["PUBLISH", "__sentinel__:hello", ",,,,,,,"],
    &["AUTH", "nobody", "nothing"],
];

/// Pieces that break parsers.
const SHARDS: &[&[u8]] = &[
    b"*1000000000\r\n",
    b"*-1\r\n",
    b"*2147483648\r\n",
    b"$999999999999\r\n",
    b"$-1\r\n",
    b"*3\r\n$3\r\nfoo\r\n:1\r\n",
    b"\r\n\r\n",
    b"\0\0\0\0",
    b"\"unbalanced",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"*1\r\n$1\r\n",
    b"~3\r\n%1\r\n",
];

/// Makes noise until told to stop.
pub(super) async fn make(addr: Addr, seed: u64, blowing: Arc<Blowing>) {
    let mut rng = SplitMix64::new(seed);
    let mut stream = None;
    let mut answer = vec![0; 64 * 1024];
    while blowing.goes_on() {
        let Some(open) = &mut stream else {
            stream = TcpStream::connect((addr.host(), addr.port())).await.ok();
            if stream.is_none() {
                tokio::time::sleep(PAUSE).await;
            }
            continue;
        };
        let sent = open.write_all(&message(&mut rng)).await;
        blowing.sent.fetch_add(1, Ordering::Relaxed);
        let read = tokio::time::timeout(PATIENCE, open.read(&mut answer)).await;
        let ended = matches!(read, Ok(Ok(0) | Err(_)));
        if sent.is_err() || ended || rng.percent(5) {
            stream = None;
        }
    }
}

fn message(rng: &mut SplitMix64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=rng.below(4) {
        if let Some(words) = rng.pick(SEEDS) {
            encode_command(&mut bytes, words);
        }
        if rng.percent(30) {
            bytes.extend_from_slice(rng.pick(SHARDS).copied().unwrap_or_default());
        }
    }
    for _ in 0..rng.below(6) {
        let at = rng.below(bytes.len() as u64) as usize;
        match rng.below(4) {
            0 => bytes[at] = rng.next_u64() as u8,
            1 => bytes.truncate(at.max(1)),
            2 => bytes.insert(at, rng.next_u64() as u8),
            _ => bytes.extend_from_within(at..),
        }
    }
    bytes
}
