//! Dialling a backend: connect, authenticate, select the database, and hear an answer.

use std::io;
use std::os::fd::OwnedFd;
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

/// Dials, authenticates and selects the database.
pub(super) async fn open(worker: &Worker, conn: &Conn) -> Result<Stream, String> {
    let opened = tokio::time::timeout(DIAL_MAX, dial(worker, conn)).await;
    match opened {
        Ok(Ok(stream)) => {
            let stream = stream.into_std().map_err(|error| error.to_string())?;
            Ok(Stream::from(OwnedFd::from(stream)))
        }
        Ok(Err(reason)) => Err(reason),
        Err(_) => Err(format!("dial {}: i/o timeout", conn.address)),
    }
}

async fn dial(worker: &Worker, conn: &Conn) -> Result<TcpStream, String> {
    let settings = worker.settings();
    let address: &str = &conn.address;
    let say = |error: io::Error| format!("dial {address}: {error}");
    let mut stream = connect(address, settings).await.map_err(say)?;
    let mut hello = Vec::new();
    // A frozen server accepts connections: only an answer shows that somebody is there.
    let mut expected = 1;
    if !settings.product_auth.is_empty() {
        encode_command(&mut hello, &["AUTH", &settings.product_auth]);
        expected += 1;
    }
    if conn.db != 0 {
        encode_command(&mut hello, &["SELECT", &conn.db.to_string()]);
        expected += 1;
    }
    encode_command(&mut hello, &["PING"]);
    stream.write_all(&hello).await.map_err(say)?;
    let mut buf = BytesMut::new();
    let mut scanner = ReplyScanner::new(Limits::default());
    while expected > 0 {
        match scanner
            .scan(&buf)
            .map_err(|error| format!("dial {address}: {error}"))?
        {
            Some(len) => {
                let reply = buf.split_to(len);
                // The last reply is that of PING; a server that is loading is there.
                let is_there = expected == 1 && rule::is_alive(&reply);
                if reply.first() != Some(&b'+') && !is_there {
                    let text = String::from_utf8_lossy(&reply);
                    return Err(format!("dial {address}: {}", text.trim()));
                }
                scanner.reset();
                expected -= 1;
            }
            None => {
                if stream.read_buf(&mut buf).await.map_err(say)? == 0 {
                    return Err(format!("dial {address}: EOF"));
                }
            }
        }
    }
    Ok(stream)
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
