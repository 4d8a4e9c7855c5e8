//! The binary as a process that a test starts, stops and asks.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use codis_bed::process::Signal;
use codis_core::api::Slot;
use codis_core::{model, xauth};
use codis_runtime::http;
use tempfile::TempDir;

use super::harness::{Client, Text, free_port, wait_for};

/// A directory with settings, in which proxies are started one after the other.
pub struct Place {
    pub dir: TempDir,
    pub addr: String,
    pub admin: String,
}

impl Place {
    /// Settings on free ports, with `more` lines.
    pub fn new(more: &str) -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
            addr: format!("127.0.0.1:{}", free_port()),
            admin: format!("127.0.0.1:{}", free_port()),
        };
        place.write_settings(more);
        place
    }

    pub fn write_settings(&self, more: &str) {
        let text = format!(
            "product_name = \"t\"\nproxy_addr = \"{}\"\nadmin_addr = \"{}\"\n{more}\n",
            self.addr, self.admin
        );
        std::fs::write(self.path("proxy.toml"), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write_slots(&self, slots: &[Slot]) {
        let text = serde_json::to_vec(slots).unwrap();
        std::fs::write(self.path("slots.json"), text).unwrap();
    }

    /// The command that starts a proxy here.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codis-proxy"));
        command
            .current_dir(self.dir.path())
            .arg("--config=proxy.toml")
            .args(args)
            .stdout(Stdio::null());
        if !args.iter().any(|arg| arg.starts_with("--ncpu")) {
            command.arg("--ncpu=2");
        }
        command
    }

    pub fn start(&self, args: &[&str]) -> Daemon {
        Daemon::of(self.command(args), &self.path("err.log"))
    }

    /// What the processes of this place have said.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.path("err.log")).unwrap_or_default()
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.addr)
    }

    pub fn is_served(&self) -> bool {
        std::net::TcpStream::connect(&self.addr).is_ok() && {
            let mut client = self.client();
            client.stream.write_all(b"PING\r\n").is_ok()
                && client
                    .try_read()
                    .is_some_and(|reply| reply.text() == "PONG")
        }
    }

    pub fn wait_served(&self) {
        wait_for("the proxy serves", || self.is_served());
    }

    /// The status of an admin route, or 0 when nobody answers.
    pub fn status(&self, path: &str) -> u16 {
        let ask = || {
            let mut stream = std::net::TcpStream::connect(&self.admin)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
            )?;
            std::io::read_to_string(stream)
        };
        let text: String = ask().unwrap_or_default();
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        status.unwrap_or(0)
    }

    /// Does as a dashboard would: fills, starts, names sentinels.
    pub fn bring_online(&self, slots: &[Slot], sentinels: &[String]) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let http = http::Client::new(Duration::from_secs(1), Duration::from_secs(20));
        wait_for("the admin API answers", || {
            let asked = http.get::<model::Proxy>(&self.admin, "/proxy/model");
            runtime.block_on(asked).is_ok()
        });
        let asked = http.get::<model::Proxy>(&self.admin, "/proxy/model");
        let token = runtime.block_on(asked).unwrap().token;
        let xauth = xauth::proxy("t", "", &token);
        let fill = format!("/api/proxy/fillslots/{xauth}");
        let filled = http.put_json::<_, serde_json::Value>(&self.admin, &fill, &slots);
        runtime.block_on(filled).unwrap();
        let start = format!("/api/proxy/start/{xauth}");
        let started = http.put::<serde_json::Value>(&self.admin, &start);
        runtime.block_on(started).unwrap();
        let named = model::Sentinel {
            servers: sentinels.to_vec(),
            out_of_sync: false,
        };
        let path = format!("/api/proxy/sentinels/{xauth}");
        let watched = http.put_json::<_, serde_json::Value>(&self.admin, &path, &named);
        runtime.block_on(watched).unwrap();
    }
}

/// A process, killed when the test ends early.
pub struct Daemon(pub Child);

impl Daemon {
    pub fn of(mut command: Command, errors: &Path) -> Self {
        let errors = std::fs::File::options()
            .create(true)
            .append(true)
            .open(errors);
        command.stderr(errors.unwrap());
        Self(command.spawn().unwrap())
    }

    pub fn signal(&self, signal: Signal) {
        codis_bed::process::signal(&self.0, signal);
    }

    /// The exit code, once it has ended.
    pub fn wait(&mut self) -> Option<i32> {
        let mut code = None;
        wait_for("the process ends", || {
            code = self.0.try_wait().unwrap();
            code.is_some()
        });
        code.and_then(|status| status.code())
    }

    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    pub fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1024
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
