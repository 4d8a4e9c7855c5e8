//! One connection of a sentinel to a simulated server.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::{Buf as _, Bytes, BytesMut};
use codis_core::addr::Addr;
use codis_core::resp::{Limits, RequestScanner, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::Server;

/// Messages that wait for one subscriber; one that does not read misses some.
const MESSAGES_MAX: usize = 64;

/// Serves it until either side is gone.
pub(super) async fn serve(servers: Arc<Vec<Server>>, index: usize, stream: TcpStream) {
    let mut alive = servers[index].alive.subscribe();
    if !*alive.borrow_and_update() {
        return;
    }
    let mut connection = Connection {
        servers: &servers,
        index,
        queued: None,
        subscriber: None,
    };
    // An error is a sentinel that went away.
    tokio::select! {
        _ = connection.run(stream) => {}
        _ = alive.changed() => {}
    }
}

struct Connection<'a> {
    servers: &'a [Server],
    index: usize,
    /// The commands of an open transaction.
    queued: Option<Vec<Vec<Bytes>>>,
    subscriber: Option<mpsc::Sender<Bytes>>,
}

impl Connection<'_> {
    async fn run(&mut self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (sender, mut messages) = mpsc::channel(MESSAGES_MAX);
        self.subscriber = Some(sender);
        let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
        let mut scanner = RequestScanner::new(Limits::default());
        loop {
            tokio::select! {
                read = stream.read_buf(&mut input) => if read? == 0 {
                    return Ok(());
                },
                Some(message) = messages.recv() => output.extend_from_slice(&message),
            }
            while let Ok(Some(length)) = scanner.scan(&input) {
                let word =
                    |range: &std::ops::Range<usize>| Bytes::copy_from_slice(&input[range.clone()]);
                let words: Vec<Bytes> = scanner.args().iter().map(word).collect();
                scanner.reset();
                input.advance(length);
                self.obey(words).encode(&mut output);
            }
            stream.write_all_buf(&mut output).await?;
        }
    }

    fn me(&self) -> &Server {
        &self.servers[self.index]
    }

    fn obey(&mut self, words: Vec<Bytes>) -> Value {
        self.me().served.fetch_add(1, Ordering::Relaxed);
        let name = words.first().map(|it| it.to_ascii_lowercase());
        let name = name.unwrap_or_default();
        if let Some(queued) = &mut self.queued
            && name != b"exec"
        {
            queued.push(words);
            return Value::simple("QUEUED");
        }
        match name.as_slice() {
            b"ping" => Value::simple("PONG"),
            b"info" => Value::bulk(self.info()),
            b"publish" => self.publish(&words),
            b"subscribe" => self.subscribe(&words),
            b"multi" => {
                self.queued = Some(Vec::new());
                Value::ok()
            }
            b"exec" => {
                let queued = self.queued.take().unwrap_or_default();
                Value::array(queued.iter().map(|words| self.change(words)))
            }
            _ => Value::ok(),
        }
    }

    /// A command of a transaction: only SLAVEOF does something.
    fn change(&self, words: &[Bytes]) -> Value {
        let text = |index: usize| words.get(index).map(|it| String::from_utf8_lossy(it));
        let is_order = text(0).is_some_and(|it| it.eq_ignore_ascii_case("slaveof"));
        if let (true, Some(host), Some(port)) = (is_order, text(1), text(2)) {
            let mut state = self.me().state();
            if host.eq_ignore_ascii_case("no") {
                state.master = None;
                state.promoted = Some(Instant::now());
            } else {
                state.master = Some(Addr::new(host, port.parse().unwrap_or(0)));
            }
        }
        Value::ok()
    }

    fn publish(&self, words: &[Bytes]) -> Value {
        let [_, channel, payload] = words else {
            return Value::error("ERR wrong number of arguments for 'publish' command");
        };
        let kind = Value::bulk("message");
        let message = Value::array([
            kind,
            Value::bulk(channel.clone()),
            Value::bulk(payload.clone()),
        ]);
        let message = message.to_bytes();
        let mut state = self.me().state();
        state.subscribers.retain(|it| !it.is_closed());
        for subscriber in &state.subscribers {
            // A slow one misses a message, as from a server that drops it.
            let _ = subscriber.try_send(message.clone());
        }
        Value::Integer(state.subscribers.len() as i64)
    }

    fn subscribe(&self, words: &[Bytes]) -> Value {
        self.me()
            .state()
            .subscribers
            .extend(self.subscriber.clone());
        let channel = words.get(1).cloned().unwrap_or_default();
        let kind = Value::bulk("subscribe");
        Value::array([kind, Value::bulk(channel), Value::Integer(1)])
    }

    fn info(&self) -> String {
        let me = self.me();
        let mut text = format!("# Server\r\nrun_id:{}\r\n# Replication\r\n", me.run_id);
        let partner = &self.servers[me.partner];
        let master = me.state().master.clone();
        if let Some(master) = master {
            let up = self.lives(&master);
            let status = if up { "up" } else { "down" };
            text += &format!(
                "role:slave\r\nmaster_host:{}\r\nmaster_port:{}\r\nmaster_link_status:{status}\r\n\
                 slave_repl_offset:1000\r\nslave_priority:100\r\n",
                master.host(),
                master.port(),
            );
            if !up {
                text += "master_link_down_since_seconds:1\r\n";
            }
            return text;
        }
        text += "role:master\r\n";
        let follows = partner.state().master.as_ref() == Some(&me.addr);
        if follows && *partner.alive.borrow() {
            text += &format!(
                "connected_slaves:1\r\nslave0:ip={},port={},state=online,offset=1000,lag=0\r\n",
                partner.addr.host(),
                partner.addr.port(),
            );
        }
        text + "master_repl_offset:1000\r\n"
    }

    /// Whether the server at that address, which can only be our partner, lives.
    fn lives(&self, addr: &Addr) -> bool {
        let partner = &self.servers[self.me().partner];
        partner.addr == *addr && *partner.alive.borrow()
    }
}
