//! Processes of their own: what is tested here is what happens to a process as a whole.
//!
//! A child is this test binary again, told to run one ignored test, which then does as its
//! environment says and talks to its parent through stdout.

pub mod stores;

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use codis_bed::process::Signal;
use codis_runtime::coordinator::{self, Coordinator, FileSystem, Takeover};
use codis_runtime::shutdown::Shutdown;
use codis_runtime::telemetry;

use crate::support::eventually;

/// A child that is killed when it is dropped.
pub struct Process {
    child: Child,
    lines: io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Process {
    /// Runs the ignored test `child::{role}` with `argument`.
    pub fn start(role: &str, argument: &str) -> Self {
        Self::spawn(
            role,
            argument,
            &mut Command::new(std::env::current_exe().unwrap()),
        )
    }

    /// The same, to be struck at the points that the file `faults` will name.
    pub fn start_with_faults(role: &str, argument: &str, faults: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(codis_runtime::fault::VARIABLE, faults);
        Self::spawn(role, argument, &mut command)
    }

    fn spawn(role: &str, argument: &str, command: &mut Command) -> Self {
        let mut child = command
            .args([
                "--exact",
                &format!("child::{role}"),
                "--ignored",
                "--nocapture",
            ])
            .env("CODIS_TEST_CHILD", argument)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads until the child says `word`.
    pub fn wait_for(&mut self, word: &str) {
        let said = self
            .lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains(word));
        assert!(said, "the child ended without saying {word}");
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        codis_bed::process::signal(&self.child, signal);
    }

    /// Waits until it is stopped.
    pub async fn wait_stopped(&self) {
        let stat = format!("/proc/{}/stat", self.id());
        eventually("the process stops", || async {
            let stat = std::fs::read_to_string(&stat).unwrap();
            let (_, state) = stat.rsplit_once(") ").unwrap();
            state.starts_with('T').then_some(())
        })
        .await;
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn code(mut self) -> Option<i32> {
        self.lines.by_ref().for_each(drop);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn argument() -> String {
    std::env::var("CODIS_TEST_CHILD").expect("run by a parent test only")
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn holds_a_lock() {
    let store = FileSystem::open(argument()).await.unwrap();
    let _lock = store
        .lock("/codis3/p/topom", b"the child", Takeover::Refuse)
        .await
        .unwrap();
    println!("locked");
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn holds_a_record_and_a_lock() {
    let argument = argument();
    let (name, addr) = argument.split_once(' ').unwrap();
    let session = Duration::from_secs(2);
    let store = coordinator::open_with(name, addr, "", session)
        .await
        .unwrap();
    let path = "/jodis/p/proxy-1";
    let _record = store
        .create_ephemeral(path, b"the child", None)
        .await
        .unwrap();
    let _lock = store
        .lock("/l", b"the child", Takeover::Refuse)
        .await
        .unwrap();
    println!("holding");
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn writes_until_killed() {
    let store = FileSystem::open(argument()).await.unwrap();
    println!("writing");
    for round in 0_u64.. {
        let value = vec![(round % 251) as u8; 64 * 1024];
        store.update("/d/r", &value).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn waits_for_signals() {
    let shutdown = Shutdown::on_signals().unwrap();
    println!("ready");
    shutdown.requested().await;
    println!("requested by {}", shutdown.reason().unwrap());
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[test]
#[ignore = "a child process of another test"]
fn logs_to_a_file() {
    let file = Some(argument().into());
    let level = telemetry::Level::Info;
    let log = telemetry::init(telemetry::Options { level, file }).unwrap();
    tracing::debug!("too small at first");
    tracing::info_span!("session", id = 7).in_scope(|| {
        tracing::warn!(slot = 3, name = "a b", "something happened");
    });
    tracing::warn!(target: "hyper::proto", "a library warns");
    tracing::info!(target: "hyper::proto", "a library chats");
    log.set_level(telemetry::Level::Debug);
    tracing::debug!("shown after the change");
    let panicked = std::thread::spawn(|| panic!("on purpose")).join();
    assert!(panicked.is_err());
    log.set_level(telemetry::Level::None);
    tracing::error!("silenced");
    log.flush();
}
