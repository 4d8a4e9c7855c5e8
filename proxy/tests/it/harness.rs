//! Real servers, a proxy in this process, and a client that speaks plain RESP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use codis_core::api::{ProxyStats, Slot};
use codis_core::epoch::Epoch;
use codis_core::resp::{Limits, ReplyScanner, Value, encode_command};
use codis_core::slot::{SLOTS, SlotId};
use codis_core::xauth;
use codis_proxy::run::{Options, Proxy};
use codis_proxy::settings::Settings;
use codis_runtime::http;
use codis_runtime::shutdown::Shutdown;
use tempfile::TempDir;

/// How long anything may take that is not expected to take long.
pub const SOON: Duration = Duration::from_secs(15);

/// Waits for a condition.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
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

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
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

/// Settings for a test: own ports, few databases, quick deadlines.
pub fn settings() -> Settings {
    Settings {
        proxy_addr: "127.0.0.1:0".to_owned(),
        admin_addr: "127.0.0.1:0".to_owned(),
        ..Settings::default()
    }
}

/// A proxy with two workers, and the runtime that its control side lives in.
pub struct Fixture {
    pub runtime: tokio::runtime::Runtime,
    pub http: http::Client,
    proxy: Option<Proxy>,
    settings: Settings,
    shutdown: Shutdown,
}

impl Fixture {
    pub fn start(settings: Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let shutdown = Shutdown::new();
        let options = Options {
            workers: 2,
            ..Options::default()
        };
        let started = Proxy::start(settings.clone(), options, shutdown.clone());
        let proxy = runtime.block_on(started).unwrap();
        let http = http::Client::new(Duration::from_secs(1), Duration::from_secs(20));
        Self {
            runtime,
            http,
            proxy: Some(proxy),
            settings,
            shutdown,
        }
    }

    /// A proxy that is online with all slots spread over `servers`, server n in group n + 1.
    pub fn online(settings: Settings, servers: &[&Server]) -> Self {
        let fixture = Self::start(settings);
        fixture.fill(&spread(servers, 0)).unwrap();
        fixture.put("start").unwrap();
        fixture
    }

    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().unwrap()
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.proxy().addr.to_string())
    }

    pub fn xauth(&self) -> String {
        let token = &self.proxy().control.model.token;
        xauth::proxy(
            &self.settings.product_name,
            &self.settings.product_auth,
            token,
        )
    }

    pub fn admin(&self) -> String {
        self.proxy().admin_addr.to_string()
    }

    pub fn put(&self, what: &str) -> Result<serde_json::Value, http::ClientError> {
        let path = format!("/api/proxy/{what}/{}", self.xauth());
        self.runtime.block_on(self.http.put(&self.admin(), &path))
    }

    pub fn put_body<B: serde::Serialize>(&self, what: &str, body: &B) -> Result<(), String> {
        let path = format!("/api/proxy/{what}/{}", self.xauth());
        let admin = self.admin();
        let asked = self
            .http
            .put_json::<B, serde_json::Value>(&admin, &path, body);
        let answer = self.runtime.block_on(asked);
        answer.map(|_| ()).map_err(|error| error.to_string())
    }

    pub fn fill(&self, slots: &[Slot]) -> Result<(), String> {
        self.put_body("fillslots", &slots)
    }

    pub fn stats(&self) -> ProxyStats {
        self.runtime
            .block_on(self.http.get(&self.admin(), "/proxy/stats"))
            .unwrap()
    }

    pub fn slot_table(&self) -> Vec<Slot> {
        self.runtime
            .block_on(self.http.get(&self.admin(), "/proxy/slots"))
            .unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.shutdown.request("end of test");
        if let Some(proxy) = self.proxy.take() {
            self.runtime.block_on(proxy.stop());
        }
    }
}

/// All slots over `servers`, slot s to server s mod n of group s mod n + 1, at an epoch.
pub fn spread(servers: &[&Server], epoch: u64) -> Vec<Slot> {
    (0..SLOTS as u16)
        .map(|id| {
            let n = usize::from(id) % servers.len();
            slot(id, n as u32 + 1, &servers[n].addr(), epoch)
        })
        .collect()
}

pub fn slot(id: u16, group: u32, addr: &str, epoch: u64) -> Slot {
    Slot {
        id,
        backend_addr: addr.to_owned(),
        backend_addr_group_id: group,
        backend_addr_epoch: Epoch(epoch),
        ..Slot::default()
    }
}

/// The n-th key of a family whose slot goes to server `index` of `of`.
pub fn key_on(index: usize, of: usize, n: usize) -> String {
    (0..)
        .map(|i| format!("k:{i}"))
        .filter(|key| usize::from(SlotId::of_key(key.as_bytes()).get()) % of == index)
        .nth(n)
        .unwrap()
}
