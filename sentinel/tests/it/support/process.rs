//! Processes that are killed with the test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use codis_bed::process::Signal;
use codis_core::resp::Value;
use tempfile::TempDir;

use super::client::{field, show};
use super::{Client, free_port, own_host, wait_for};

/// A process.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a program; its output goes to a file.
    pub fn start(program: &Path, args: &[&str], output: &Path) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(output)
            .unwrap();
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("start {}: {error}", program.display()));
        Self { child }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Any signal.
    pub fn signal(&self, signal: Signal) {
        codis_bed::process::signal(&self.child, signal);
    }

    /// SIGTERM, and the exit status.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// The exit status, once there is one.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("a process ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Redis server.
pub struct Server {
    pub host: String,
    pub port: u16,
    pub process: Process,
    dir: TempDir,
    lines: String,
    program: PathBuf,
}

impl Server {
    /// Starts an empty one.
    pub fn start() -> Self {
        Self::with("")
    }

    /// Starts one with these lines in its config file. A password, if any, is `secret`.
    pub fn with(lines: &str) -> Self {
        Self::run_by(Path::new("redis-server"), lines)
    }

    /// Starts one with another program, which may start a server in an environment of its own.
    pub fn run_by(program: &Path, lines: &str) -> Self {
        let host = own_host();
        let port = free_port(&host);
        Self::at(program, host, port, lines)
    }

    /// The same at a given place.
    pub fn at(program: &Path, host: String, port: u16, lines: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let process = Self::spawn(program, &host, port, dir.path(), lines);
        let server = Self {
            host,
            port,
            process,
            dir,
            lines: lines.to_owned(),
            program: program.to_owned(),
        };
        server.wait_until_up();
        server
    }

    /// Starts a replica of another.
    pub fn replica_of(master: &Self) -> Self {
        let replica = Self::with(&master.lines);
        let order = format!("REPLICAOF {} {}", master.host, master.port);
        assert_eq!(show(&replica.client().call(&order)), "+OK");
        wait_for("a replica is in sync", || {
            show(&replica.call("ROLE")).contains("connected")
        });
        replica
    }

    /// Starts it again after it was killed.
    pub fn restart(&mut self) {
        let dir = self.dir.path();
        self.process = Self::spawn(&self.program, &self.host, self.port, dir, &self.lines);
        self.wait_until_up();
    }

    /// A connection.
    pub fn client(&self) -> Client {
        self.try_client().unwrap()
    }

    fn try_client(&self) -> Option<Client> {
        let mut client = Client::try_connect(&self.host, self.port)?;
        if self.lines.contains("requirepass") {
            client.write("AUTH secret");
            client.read()?;
        }
        Some(client)
    }

    /// Sends a command that changes nothing. It is sent again when a sentinel that reconfigures
    /// the server closes the connection of its clients.
    pub fn call(&self, line: &str) -> Value {
        let mut reply = None;
        wait_for("a server replies", || {
            reply = self.try_client().and_then(|mut client| {
                client.write(line);
                client.read()
            });
            reply.is_some()
        });
        reply.unwrap()
    }

    /// `master` or `slave`.
    pub fn role(&self) -> String {
        let role = self.call("ROLE");
        role.as_array().unwrap()[0].as_str().unwrap().to_owned()
    }

    /// `host port`, as in events.
    pub fn words(&self) -> String {
        format!("{} {}", self.host, self.port)
    }

    fn spawn(program: &Path, host: &str, port: u16, dir: &Path, lines: &str) -> Process {
        // A config file, so that CONFIG REWRITE works as in production.
        let config = dir.join("redis.conf");
        if !config.exists() {
            let dir = dir.display();
            let text = format!(
                "bind {host}\nport {port}\nprotected-mode no\nsave \"\"\ndir {dir}\n\
                 replica-announce-ip {host}\nrepl-diskless-sync-delay 0\n{lines}"
            );
            std::fs::write(&config, text).unwrap();
        }
        let path = config.to_str().unwrap();
        Process::start(program, &[path], &dir.join("log"))
    }

    fn wait_until_up(&self) {
        wait_for("a server answers", || {
            self.try_client()
                .is_some_and(|mut client| show(&client.call("PING")) == "+PONG")
        });
    }
}

/// A sentinel, ours or a stock one.
pub struct Sentinel {
    pub host: String,
    pub port: u16,
    pub process: Process,
    pub dir: TempDir,
    /// Where its output goes: not to the disk of its state.
    logs: TempDir,
    program: PathBuf,
    args: Vec<String>,
    /// Its default user has the password `secret`.
    secret: bool,
}

impl Sentinel {
    /// Starts one of ours with these lines in its config file.
    pub fn ours(lines: &str) -> Self {
        Self::with(Self::our_program(), lines, &[])
    }

    /// Starts one of ours whose config file is below a directory.
    pub fn ours_in(place: &Path, lines: &str) -> Self {
        let dir = tempfile::tempdir_in(place).unwrap();
        Self::at(dir, Self::our_program(), lines, &[])
    }

    /// Starts one of ours with `--state-dir`.
    pub fn ours_with_state_dir(lines: &str) -> Self {
        Self::with(Self::our_program(), lines, &["--state-dir"])
    }

    /// Starts a stock one.
    pub fn stock(lines: &str) -> Self {
        Self::with(PathBuf::from("redis-sentinel"), lines, &[])
    }

    /// Starts one by another program.
    pub fn run_by(program: &Path, lines: &str) -> Self {
        Self::with(program.to_owned(), lines, &[])
    }

    /// Our program.
    pub fn our_program() -> PathBuf {
        PathBuf::from(env!("CARGO_BIN_EXE_codis-sentinel"))
    }

    fn with(program: PathBuf, lines: &str, options: &[&str]) -> Self {
        Self::at(tempfile::tempdir().unwrap(), program, lines, options)
    }

    fn at(dir: TempDir, program: PathBuf, lines: &str, options: &[&str]) -> Self {
        let host = own_host();
        let port = free_port(&host);
        let logs = tempfile::tempdir().unwrap();
        let text = format!(
            "bind {host}\nport {port}\ndir {}\nsentinel announce-ip {host}\n{lines}",
            dir.path().display()
        );
        let config = dir.path().join("sentinel.conf");
        std::fs::write(&config, text).unwrap();
        let mut args = vec![config.to_str().unwrap().to_owned()];
        if options.contains(&"--state-dir") {
            let state = dir.path().join("state");
            args.extend(["--state-dir".to_owned(), state.to_str().unwrap().to_owned()]);
        }
        let process = Self::spawn(&program, &args, logs.path());
        let sentinel = Self {
            host,
            port,
            process,
            dir,
            logs,
            program,
            args,
            secret: lines.contains("requirepass secret"),
        };
        sentinel.wait_until_up();
        sentinel
    }

    /// Starts it again after it ended.
    pub fn restart(&mut self) {
        self.process = Self::spawn(&self.program, &self.args, self.logs.path());
        self.wait_until_up();
    }

    /// Starts a second one on the same files, which must not start; what it says.
    pub fn refused(&self) -> String {
        let output = self.logs.path().join("refused");
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let mut second = Process::start(&self.program, &args, &output);
        assert_eq!(second.wait().code(), Some(1));
        std::fs::read_to_string(output).unwrap()
    }

    /// Lets another program take over the same config file.
    pub fn restart_as(&mut self, program: PathBuf) {
        self.program = program;
        self.restart();
    }

    /// A connection.
    pub fn client(&self) -> Client {
        let mut client = Client::try_connect(&self.host, self.port)
            .unwrap_or_else(|| panic!("no connection; log:\n{}", self.log()));
        if self.secret {
            assert_eq!(show(&client.call("AUTH secret")), "+OK");
        }
        client
    }

    /// Sends one command.
    pub fn call(&self, line: &str) -> Value {
        self.client().call(line)
    }

    /// A field of `SENTINEL MASTER m`.
    pub fn master_field(&self, name: &str) -> String {
        field(&self.call("SENTINEL MASTER m"), name).unwrap_or_default()
    }

    /// `host port` of the master `m`.
    pub fn master(&self) -> String {
        let addr = self.call("SENTINEL GET-MASTER-ADDR-BY-NAME m");
        let parts: Vec<String> = addr
            .as_array()
            .unwrap_or_default()
            .iter()
            .map(show)
            .collect();
        parts.join(" ")
    }

    /// The text of its config file.
    pub fn config(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("sentinel.conf")).unwrap()
    }

    /// The text of its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.logs.path().join("log")).unwrap_or_default()
    }

    fn spawn(program: &Path, args: &[String], dir: &Path) -> Process {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Process::start(program, &args, &dir.join("log"))
    }

    fn wait_until_up(&self) {
        wait_for("a sentinel answers", || {
            let client = Client::try_connect(&self.host, self.port);
            client.is_some_and(|mut client| {
                let reply = show(&client.call("PING"));
                reply == "+PONG" || reply.starts_with("-NOAUTH")
            })
        });
    }
}
