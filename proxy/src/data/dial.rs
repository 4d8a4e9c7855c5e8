//! Dialling a backend: connect, authenticate, select the database, and hear an answer.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use codis_core::addr::unix_path;
use codis_core::resp::{Limits, ReplyScanner, encode_command};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::conn::Conn;
use super::listen::keepalive;
use super::rule;
use super::socket;
use super::stream::Stream;
use super::worker::Worker;
use crate::settings::Settings;

/// How long a dial and its handshake may take.
const DIAL_MAX: Duration = Duration::from_secs(5);

/// Dials, authenticates, agrees on the protocol and selects the database.
pub(super) async fn open(worker: &Worker, conn: &Conn) -> Result<Stream, String> {
    let opened = tokio::time::timeout(DIAL_MAX, dial(worker, conn)).await;
    match opened {
        Ok(Ok(stream)) => {
            let stream = stream.into_std().map_err(|error| error.to_string())?;
            Ok(Stream::from(OwnedFd::from(stream)))
        }
        Ok(Err(reason)) => Err(format!("dial {}: {reason}", conn.address)),
        Err(_) => Err(format!("dial {}: i/o timeout", conn.address)),
    }
}

/// A request of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Auth,
    Hello,
    Select,
    /// A frozen server accepts connections: only an answer shows that somebody is there.
    Ping,
}

/// The whole handshake, which is sent at once.
fn handshake(settings: &Settings, conn: &Conn) -> (Vec<Step>, Vec<u8>) {
    let (mut steps, mut out) = (Vec::new(), Vec::new());
    let mut ask = |step, words: &[&str]| {
        steps.push(step);
        encode_command(&mut out, words);
    };
    if !settings.product_auth.is_empty() {
        ask(Step::Auth, &["AUTH", &settings.product_auth]);
    }
    if conn.lane.is_resp3() {
        ask(Step::Hello, &["HELLO", "3"]);
    }
    if conn.db != 0 {
        ask(Step::Select, &["SELECT", &conn.db.to_string()]);
    }
    ask(Step::Ping, &["PING"]);
    (steps, out)
}

async fn dial(worker: &Worker, conn: &Conn) -> Result<TcpStream, String> {
    let say = |error: io::Error| error.to_string();
    let mut stream = connect(&conn.address, worker.settings())
        .await
        .map_err(say)?;
    let (steps, asked) = handshake(worker.settings(), conn);
    stream.write_all(&asked).await.map_err(say)?;
    let mut buf = BytesMut::new();
    for step in steps {
        let reply = read_reply(&mut stream, &mut buf).await?;
        if step == Step::Hello && rule::lacks_resp3(&reply) {
            let text = String::from_utf8_lossy(&reply);
            worker.decline_resp3(&conn.address, text.trim());
            return Err("the server does not know HELLO 3, the client must use RESP2".to_owned());
        }
        let is_right = match step {
            Step::Auth | Step::Select => reply.starts_with(b"+"),
            Step::Hello => reply.starts_with(b"%"),
            // A server that is loading is there.
            Step::Ping => reply.starts_with(b"+") || rule::is_alive(&reply),
        };
        if !is_right {
            return Err(String::from_utf8_lossy(&reply).trim().to_owned());
        }
        if step == Step::Hello {
            worker.shared.knows_resp3.store(true, Ordering::Relaxed);
        }
    }
    Ok(stream)
}

async fn read_reply(stream: &mut TcpStream, buf: &mut BytesMut) -> Result<BytesMut, String> {
    let mut scanner = ReplyScanner::new(Limits::default());
    loop {
        let scanned = scanner.scan(buf).map_err(|error| error.to_string())?;
        if let Some(len) = scanned {
            return Ok(buf.split_to(len));
        }
        let read = stream.read_buf(buf).await;
        if read.map_err(|error| error.to_string())? == 0 {
            return Err("EOF".to_owned());
        }
    }
}

async fn connect(address: &str, settings: &Settings) -> io::Result<TcpStream> {
    if let Some(path) = unix_path(address) {
        return socket::dial_path(path).await;
    }
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    keepalive(&stream, settings.backend_keepalive_period.duration())?;
    Ok(stream)
}
