//! Real servers, and a client that speaks plain RESP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use codis_bed::process::Signal;
pub use codis_bed::process::free_port;
use codis_core::resp::{Limits, ReplyScanner, Value, encode_command};
use tempfile::TempDir;

/// How long anything may take that is not expected to take long, on a machine that is busy.
pub const SOON: Duration = Duration::from_secs(60);

/// Waits for a condition.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A redis-server of its own.
pub struct Server {
    pub port: u16,
    child: Child,
    dir: TempDir,
}

impl Server {
    pub fn start(args: &[&str]) -> Self {
        Self::start_at(free_port(), args)
    }

    pub fn start_at(port: u16, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = Command::new("redis-server")
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--save",
                "",
            ])
            .args(["--appendonly", "no", "--enable-debug-command", "yes"])
            .args([
                "--repl-diskless-sync-delay",
                "0",
                "--dir",
                dir.path().to_str().unwrap(),
            ])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server must be installed (scripts/setup)");
        let server = Self { port, child, dir };
        wait_for("redis-server answers", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        server
    }

    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.addr())
    }

    /// One command on a connection of its own.
    pub fn run(&self, args: &[&str]) -> Value {
        self.client().run(args)
    }

    pub fn signal(&self, signal: Signal) {
        codis_bed::process::signal(&self.child, signal);
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn follow(&self, master: &Server) {
        self.run(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
        wait_for("replica in sync", || {
            self.run(&["INFO", "replication"])
                .text()
                .contains("master_link_status:up")
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = self.dir.path();
    }
}

/// Reads what a test wants to know from a reply.
pub trait Text {
    fn text(&self) -> String;
}

impl Text for Value {
    /// The content of a reply; an error with its `-`.
    fn text(&self) -> String {
        match self {
            Value::Simple(text) | Value::Bulk(Some(text)) => {
                String::from_utf8_lossy(text).into_owned()
            }
            Value::Error(text) => format!("-{}", String::from_utf8_lossy(text)),
            Value::Integer(number) => number.to_string(),
            Value::Bulk(None) => "(nil)".to_owned(),
            Value::Array(None) => "(nil array)".to_owned(),
            Value::Array(Some(all)) => all.iter().map(Text::text).collect::<Vec<_>>().join(" "),
            Value::Set(all) | Value::Push(all) => {
                all.iter().map(Text::text).collect::<Vec<_>>().join(" ")
            }
            Value::Map(pairs) => {
                let pairs = pairs
                    .iter()
                    .map(|(k, v)| format!("{} {}", k.text(), v.text()));
                pairs.collect::<Vec<_>>().join(" ")
            }
            Value::Null => "(nil)".to_owned(),
            Value::Boolean(truth) => truth.to_string(),
            Value::Double(text) | Value::BigNumber(text) | Value::Verbatim { text, .. } => {
                String::from_utf8_lossy(text).into_owned()
            }
        }
    }
}

pub struct Client {
    pub stream: TcpStream,
    buf: BytesMut,
}

impl Client {
    pub fn connect(addr: &str) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self {
            stream,
            buf: BytesMut::new(),
        }
    }

    pub fn send(&mut self, args: &[&str]) {
        let mut out = Vec::new();
        encode_command(&mut out, args);
        self.send_raw(&out);
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next reply, or `None` at the end of the stream.
    pub fn try_read(&mut self) -> Option<Value> {
        loop {
            if let Some((value, len)) = Value::parse(&self.buf, &Limits::default()).unwrap() {
                let _ = self.buf.split_to(len);
                return Some(value);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// The bytes of the next reply, or `None` at the end of the stream.
    pub fn try_read_raw(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(len) = ReplyScanner::new(Limits::default())
                .scan(&self.buf)
                .unwrap()
            {
                return Some(self.buf.split_to(len).to_vec());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Reads once. Gives whether there was anything before the end of the stream.
    fn fill(&mut self) -> bool {
        let mut chunk = vec![0; 256 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(n) => {
                self.buf.extend_from_slice(&chunk[..n]);
                n > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("read a reply: {error}"),
        }
    }

    pub fn read(&mut self) -> Value {
        self.try_read().expect("a reply and not the end")
    }

    pub fn run(&mut self, args: &[&str]) -> Value {
        self.send(args);
        self.read()
    }

    pub fn text(&mut self, args: &[&str]) -> String {
        self.run(args).text()
    }

    /// Whether a reply is there within a moment. For showing that nothing comes.
    pub fn is_silent_for(&mut self, span: Duration) -> bool {
        self.stream.set_read_timeout(Some(span)).unwrap();
        let mut byte = [0u8; 1];
        let peeked = self.stream.peek(&mut byte);
        self.stream.set_read_timeout(Some(SOON)).unwrap();
        peeked.is_err()
    }
}
