//! The binary: flags, signals, exit codes.

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use super::harness::{Client, Server, Text, free_port, spread, wait_for};
use codis_bed::process::Signal;

fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_codis-proxy"))
}

fn run(args: &[&str]) -> Output {
    binary().args(args).output().unwrap()
}

/// A proxy as a process of its own, killed when the test ends early.
pub struct Process {
    child: Child,
    pub addr: String,
    dir: tempfile::TempDir,
}

impl Process {
    pub fn start(slots: &[codis_core::api::Slot]) -> Self {
        Self::start_with(slots, "")
    }

    /// With more lines for its `proxy.toml`.
    pub fn start_with(slots: &[codis_core::api::Slot], more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let addr = format!("127.0.0.1:{}", free_port());
        let config = format!(
            "product_name = \"t\"\nproxy_addr = \"{addr}\"\nadmin_addr = \"127.0.0.1:{}\"\n\
             {more}\n",
            free_port()
        );
        std::fs::write(dir.path().join("proxy.toml"), config).unwrap();
        std::fs::write(
            dir.path().join("slots.json"),
            serde_json::to_vec(slots).unwrap(),
        )
        .unwrap();
        let child = binary()
            .current_dir(dir.path())
            .args(["--config=proxy.toml", "--fillslots=slots.json", "--ncpu=2"])
            .args([
                "--log=p.log",
                "--pidfile=p.pid",
                "--max-ncpu=4",
                "--log-level=DEBUG",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Self { child, addr, dir };
        wait_for("the proxy serves", || {
            std::net::TcpStream::connect(&process.addr).is_ok_and(|_| {
                let mut client = Client::connect(&process.addr);
                client.text(&["PING"]) == "PONG"
            })
        });
        process
    }

    /// Memory that the process has in use now.
    pub fn resident_mib(&self) -> u64 {
        self.status_mib("VmRSS:")
    }

    /// The most memory that the process has had in use.
    pub fn peak_mib(&self) -> u64 {
        self.status_mib("VmHWM:")
    }

    fn status_mib(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with(what)).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1024
    }

    fn signal(&self, signal: Signal) {
        codis_bed::process::signal(&self.child, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn information_is_printed_and_mistakes_exit_with_one() {
    let version = String::from_utf8(run(&["--version"]).stdout).unwrap();
    assert!(
        version.starts_with("version: ") && version.contains("\ncompile: "),
        "{version}"
    );
    let config = String::from_utf8(run(&["--default-config"]).stdout).unwrap();
    assert!(config.contains("product_name = \"codis-demo\""), "{config}");
    for bad in [
        &["--config=/nonexistent"][..],
        &["--no-such-flag"],
        &["--ulimit=100000000000"],
        &["--product_name=-x"],
        &["--dashboard=a:1", "--filesystem=/tmp"],
    ] {
        let output = run(bad);
        assert_eq!(output.status.code(), Some(1), "{bad:?}");
        assert!(!output.stderr.is_empty(), "{bad:?}");
    }
}

#[test]
fn a_port_in_use_is_said() {
    let server = Server::start(&[]);
    let process = Process::start(&spread(&[&server], 0));
    let config = process.dir.path().join("proxy.toml");
    let second = run(&[&format!("--config={}", config.display()), "--ncpu=2"]);
    assert_eq!(second.status.code(), Some(1));
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        told.contains(&format!("listen on tcp4 {}", process.addr)),
        "{told}"
    );
}

#[test]
fn sigterm_lets_requests_in_flight_end() {
    let server = Server::start(&[]);
    let mut process = Process::start(&spread(&[&server], 0));
    let pid = std::fs::read_to_string(process.dir.path().join("p.pid")).unwrap();
    assert_eq!(pid, process.child.id().to_string());
    let mut client = Client::connect(&process.addr);
    assert_eq!(client.text(&["SET", "k", "v"]), "OK");
    let mut idle = Client::connect(&process.addr);
    assert_eq!(idle.text(&["PING"]), "PONG");
    server.signal(Signal::STOP);
    client.send(&["APPEND", "k", "w"]);
    assert!(client.is_silent_for(Duration::from_millis(200)));
    process.signal(Signal::TERM);
    assert!(idle.try_read().is_none(), "idle sessions end at once");
    assert!(client.is_silent_for(Duration::from_millis(200)));
    server.signal(Signal::CONT);
    assert_eq!(client.read().text(), "2");
    assert!(client.try_read().is_none());
    assert!(process.child.wait().unwrap().success());
    assert!(!process.dir.path().join("p.pid").exists());
}

/// What will not change by waiting is said at once.
#[test]
fn a_coordinator_without_a_valid_address_ends_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let config = "proxy_addr = \"127.0.0.1:0\"\nadmin_addr = \"127.0.0.1:0\"\n";
    std::fs::write(dir.path().join("proxy.toml"), config).unwrap();
    let began = std::time::Instant::now();
    let output = binary()
        .current_dir(dir.path())
        .args(["--config=proxy.toml", "--etcd=127.0.0.1:none", "--ncpu=1"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(20));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let wrong = "invalid address `127.0.0.1:none` of coordinator `etcd`";
    assert!(told.contains(wrong), "{told}");
}
