//! Real coordinators: etcd and ZooKeeper of Debian, one process for each test that wants one.
//!
//! Servers listen on a loopback address that is this process's own, on ports that no package uses.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::process::Signal;
use tempfile::TempDir;

/// How long a server may take to start on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);
/// The session times that ZooKeeper accepts are 2 to 20 of these.
const TICK_MILLIS: u32 = 250;
const ZOOKEEPER_JAR: &str = "/usr/share/java/zookeeper.jar";
const LOG_JAR: &str = "/usr/share/java/slf4j-simple.jar";

/// An address for servers of this process, the same each time.
fn host() -> String {
    let pid = std::process::id();
    let [_, high, middle, low] = pid.to_be_bytes();
    format!("127.{}.{middle}.{low}", 70 + high % 100)
}

fn next_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(12_001);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A kind of coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Etcd,
    ZooKeeper,
}

/// A running server, killed when this is dropped.
pub struct Store {
    kind: Kind,
    host: String,
    port: u16,
    peer_port: u16,
    /// More arguments of etcd.
    args: Vec<String>,
    scheme: &'static str,
    child: Option<Child>,
    dir: TempDir,
}

impl Store {
    pub fn start(kind: Kind) -> Self {
        Self::start_with(kind, "http", &[])
    }

    /// A server with more arguments; `scheme` is `https` when they make etcd ask for TLS.
    pub fn start_with(kind: Kind, scheme: &'static str, args: &[String]) -> Self {
        let mut store = Self {
            kind,
            host: host(),
            port: next_port(),
            peer_port: next_port(),
            args: args.to_vec(),
            scheme,
            child: None,
            dir: tempfile::tempdir().unwrap(),
        };
        store.restart();
        store
    }

    /// The address that servers of this process have.
    pub fn host() -> String {
        host()
    }

    /// `host:port`.
    pub fn addr(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The name of the setting `coordinator_name`.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Etcd => "etcd",
            Kind::ZooKeeper => "zookeeper",
        }
    }

    /// Kills the server as `kill -9` does; its data stays.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn signal(&self, signal: Signal) {
        crate::process::signal(self.child.as_ref().unwrap(), signal);
    }

    /// Starts the server again, with the same address and data.
    pub fn restart(&mut self) {
        self.kill();
        let log = File::create(self.dir.path().join("log")).unwrap();
        let mut command = match self.kind {
            Kind::Etcd => self.etcd(),
            Kind::ZooKeeper => self.zookeeper(),
        };
        let child = command
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error} (scripts/setup)", self.kind));
        self.child = Some(child);
        let deadline = Instant::now() + START_MAX;
        while !self.is_serving() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            let late = Instant::now() > deadline;
            assert!(ended.is_none() && !late, "{:?}: {}", self.kind, self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// ZooKeeper listens before it serves, and says which by a word of four letters.
    fn is_serving(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.addr()) else {
            return false;
        };
        if self.kind == Kind::Etcd {
            return true;
        }
        // A server that is still starting may take the word and say nothing.
        stream
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let mut told = String::new();
        let asked = stream.write_all(b"srvr").is_ok() && stream.read_to_string(&mut told).is_ok();
        asked && told.contains("Mode:")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn etcd(&self) -> Command {
        let client = format!("{}://{}", self.scheme, self.addr());
        let peer = format!("http://{}:{}", self.host, self.peer_port);
        let mut command = Command::new("etcd");
        command
            .args([
                "--name=t",
                "--data-dir=data",
                "--log-level=warn",
                "--logger=zap",
            ])
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=t={peer}"))
            .args(&self.args)
            // Debian starts its own with settings from the environment.
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    fn zookeeper(&self) -> Command {
        assert!(
            Path::new(ZOOKEEPER_JAR).exists(),
            "{ZOOKEEPER_JAR} is missing: run scripts/setup"
        );
        let settings = format!(
            "tickTime={TICK_MILLIS}\ndataDir=data\nclientPort={}\nclientPortAddress={}\n\
             admin.enableServer=false\nforceSync=no\n",
            self.port, self.host
        );
        std::fs::write(self.dir.path().join("zoo.cfg"), settings).unwrap();
        let mut command = Command::new("java");
        command
            .args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
            .args(["-cp", &format!("{ZOOKEEPER_JAR}:{LOG_JAR}")])
            .args(["org.apache.zookeeper.server.ZooKeeperServerMain", "zoo.cfg"]);
        command
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.kill();
    }
}
