//! One child process: started into a log file, stopped by its own id and never by name.
//!
//! A child that has ended stays a zombie until this handle reaps it, so its id cannot be given to
//! a stranger while a signal may still be sent to it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use crate::unsafe_spawn;

/// How often a wait looks again.
const POLL: Duration = Duration::from_millis(5);

/// How to start a process.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program's file.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its working directory.
    pub dir: PathBuf,
    /// Variables added to its environment.
    pub env: Vec<(String, String)>,
    /// Takes standard output and standard error.
    pub log: PathBuf,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// In time, after SIGTERM.
    Orderly(ExitStatus),
    /// By SIGKILL after the deadline.
    Forced,
    /// It had ended before.
    Already(ExitStatus),
}

/// A running child, or one that has ended and was not asked for yet.
///
/// Dropping the handle kills the process and whatever is left of its group.
#[derive(Debug)]
pub struct Process {
    plan: Plan,
    child: Child,
    ended: Option<ExitStatus>,
    frozen: bool,
}

impl Process {
    /// Starts the process in a group of its own, so that Ctrl-C on a terminal does not reach it.
    ///
    /// # Errors
    /// The log cannot be opened or the program cannot be run.
    pub fn start(plan: Plan) -> io::Result<Self> {
        let log = open_log(&plan.log)?;
        let mut command = Command::new(&plan.program);
        command
            .args(&plan.args)
            .current_dir(&plan.dir)
            .envs(plan.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        unsafe_spawn::die_with_parent(&mut command);
        let child = command.spawn()?;
        Ok(Self {
            plan,
            child,
            ended: None,
            frozen: false,
        })
    }

    /// The operating system's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What was started.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The end of the process, if it came.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() && self.is_zombie() {
            self.reap();
        }
        self.ended
    }

    /// `kill -9`; returns when the process is gone and its sockets are closed.
    pub fn kill(&mut self) -> Stopped {
        if let Some(status) = self.ended() {
            return Stopped::Already(status);
        }
        self.signal(Signal::KILL);
        self.reap();
        Stopped::Forced
    }

    /// SIGSTOP: the process keeps its sockets and answers nothing from the return of this on: a
    /// thread of it may serve for a moment after the signal was sent.
    pub fn freeze(&mut self) {
        if self.ended().is_none() {
            self.signal(Signal::STOP);
            let seen = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let _stands_or_gone = self.pid().map(|pid| waitid(WaitId::Pid(pid), seen));
            self.frozen = true;
        }
    }

    /// SIGCONT.
    pub fn thaw(&mut self) {
        if self.frozen && self.ended().is_none() {
            self.signal(Signal::CONT);
        }
        self.frozen = false;
    }

    /// Asks the process to end, without a wait.
    pub fn terminate(&mut self) {
        self.thaw();
        if self.ended().is_none() {
            self.signal(Signal::TERM);
        }
    }

    /// Asks the process to end, and kills it when it has not by `deadline`.
    pub fn stop(&mut self, deadline: Instant) -> Stopped {
        if let Some(status) = self.ended() {
            return Stopped::Already(status);
        }
        self.terminate();
        loop {
            if let Some(status) = self.ended() {
                return Stopped::Orderly(status);
            }
            if Instant::now() >= deadline {
                return self.kill();
            }
            std::thread::sleep(POLL);
        }
    }

    /// The last lines of the log, for messages.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.plan.log, lines)
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Sends to the child alone; it has not been reaped, so the id is still its own.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _gone = kill_process(pid, signal);
        }
    }

    fn is_zombie(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.pid()
            .is_some_and(|pid| matches!(waitid(WaitId::Pid(pid), look), Ok(Some(_)) | Err(_)))
    }

    /// Ends what is left of the group (scripts of a sentinel) while the id is surely ours, then
    /// collects the child.
    fn reap(&mut self) {
        let wait_only = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        if let Some(pid) = self.pid() {
            let _ended = waitid(WaitId::Pid(pid), wait_only);
            let _gone = kill_process_group(pid, Signal::KILL);
        }
        let lost = ExitStatus::from_raw(0);
        self.ended = Some(self.child.wait().unwrap_or(lost));
        self.frozen = false;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill();
        }
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// The last `lines` lines of a text file; empty when it cannot be read.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// What an exit status means, in words.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown reason".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(dir: &Path, script: &str) -> Plan {
        Plan {
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            dir: dir.to_owned(),
            env: vec![("WORD".to_owned(), "hello".to_owned())],
            log: dir.join("log"),
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = soon();
        while !is_so() {
            assert!(Instant::now() < deadline, "not so in time: {what}");
            std::thread::sleep(POLL);
        }
    }

    #[test]
    fn output_goes_to_the_log_and_the_end_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Process::start(plan(dir.path(), "echo $WORD; exit 3")).unwrap();
        wait_for("the end", || child.ended().is_some());
        assert_eq!(describe(child.ended().unwrap()), "exit code 3");
        assert_eq!(child.log_tail(5), "hello");
    }

    #[test]
    fn what_ignores_sigterm_is_killed_at_the_deadline_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; sleep 600 & echo $!; wait; wait";
        let mut child = Process::start(plan(dir.path(), script)).unwrap();
        wait_for("the child's child", || !child.log_tail(1).is_empty());
        let below = child.log_tail(1);
        assert_eq!(child.stop(Instant::now()), Stopped::Forced);
        let proc = PathBuf::from(format!("/proc/{below}/stat"));
        wait_for("the group's end", || {
            fs::read_to_string(&proc).map_or(true, |stat| stat.contains(") Z "))
        });
    }

    #[test]
    fn a_frozen_process_still_stops() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Process::start(plan(dir.path(), "exec sleep 600")).unwrap();
        child.freeze();
        let stat = PathBuf::from(format!("/proc/{}/stat", child.id()));
        wait_for("the stop", || {
            fs::read_to_string(&stat).unwrap().contains(") T ")
        });
        assert!(matches!(child.stop(soon()), Stopped::Orderly(_)));
    }
}
