//! One run of one script: a process of its own, started without a shell.
//!
//! The process leads a process group of its own, so that what it has started can be killed with
//! it. It inherits the environment, the directory, standard output and standard error; no other
//! descriptor. Its output is not read here: it goes where that of the sentinel goes.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Order;

/// Exit code of a script that cannot be executed.
const CANNOT_EXECUTE: i32 = 2;

/// The first descriptor that no script inherits.
const DESCRIPTORS_PRIVATE: i32 = 3;

/// How long a script is offered its standard input. A pipe takes the whole at once, so this is
/// for systems that have no memory left for pipes.
const STDIN_TIMEOUT: Duration = Duration::from_secs(1);

/// What a running script reports.
#[derive(Debug)]
pub struct Report {
    pub(super) job: u64,
    pub(super) news: News,
}

#[derive(Debug)]
pub(super) enum News {
    Started(u32),
    Ended(Ending),
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    Exit(i32),
    Signal(i32),
    /// The system could not make a process now.
    NoProcess,
}

impl Ending {
    fn of(status: ExitStatus) -> Self {
        status
            .signal()
            .map_or_else(|| Self::Exit(status.code().unwrap_or(0)), Self::Signal)
    }

    /// A process that could not be made is tried again; a file that cannot be executed is not.
    pub(super) fn of_failed_start(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => Self::NoProcess,
            _ => Self::Exit(CANNOT_EXECUTE),
        }
    }

    /// Whether the script asks to be run again.
    pub(super) const fn wants_retry(self) -> bool {
        matches!(self, Self::Signal(_) | Self::Exit(1))
    }
}

/// Keeps the descriptors that this process inherited from the scripts that it will start. Those
/// that it opens itself are private from the start.
pub fn keep_descriptors() {
    close_fds::set_fds_cloexec(DESCRIPTORS_PRIVATE, &[]);
}

/// Runs a script to its end, or until `killed` is told.
pub(super) async fn run(
    job: u64,
    order: Order,
    killed: oneshot::Receiver<()>,
    reports: mpsc::Sender<Report>,
) {
    let send = async |news| {
        // The loop is gone only when the process is about to end.
        let _ = reports.send(Report { job, news }).await;
    };
    let Order { argv, stdin } = order;
    let reads = stdin.is_some();
    // It waits until the file is executed, which may be on a disk that hangs.
    let started = tokio::task::spawn_blocking(move || start(&argv, reads)).await;
    let mut child = match started.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(child) => child,
        Err(error) => return send(News::Ended(Ending::of_failed_start(&error))).await,
    };
    let pid = child.id();
    send(News::Started(pid.unwrap_or(0))).await;
    if let (Some(mut pipe), Some(record)) = (child.stdin.take(), stdin) {
        // A script that does not read it, or has ended, needs none of it.
        let _ = timeout(STDIN_TIMEOUT, pipe.write_all(&record)).await;
    }
    let ended = tokio::select! {
        ended = child.wait() => ended,
        Ok(()) = killed => {
            kill(&mut child, pid);
            child.wait().await
        }
    };
    let ending = ended.map_or(Ending::Exit(CANNOT_EXECUTE), Ending::of);
    send(News::Ended(ending)).await;
}

/// Kills a script and what it has started. Its id is its own until it has been waited for.
fn kill(child: &mut Child, pid: Option<u32>) {
    let group = pid.and_then(|pid| Pid::from_raw(pid.cast_signed()));
    if let Some(group) = group {
        // Nobody is left in it: then there is nobody to kill.
        let _ = kill_process_group(group, Signal::KILL);
    }
    // It may have left its group. An error means that it has ended.
    let _ = child.start_kill();
}

fn start(argv: &[String], reads: bool) -> io::Result<Child> {
    let (path, args) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let stdin = if reads { Stdio::piped() } else { Stdio::null() };
    let mut command = if path.contains('/') {
        Command::new(path)
    } else {
        // A name alone is a file of the directory, and not looked for elsewhere.
        Command::new(format!("./{path}"))
    };
    command.arg0(path).args(args);
    command.stdin(stdin).process_group(0).spawn()
}
