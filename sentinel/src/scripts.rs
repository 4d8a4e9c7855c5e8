//! Scripts that tell the world about events: queued, run a few at a time, killed when they hang,
//! tried again when they ask for it.
//!
//! A script is started directly, without a shell. The start happens on a thread that may block,
//! and the rest in a task, so that a script on a hung disk delays nothing.

use std::collections::VecDeque;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use codis_sentinel_proto::event::{Event, Level};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Jobs in the queue, the running ones included.
const QUEUE_LEN: usize = 256;

/// Scripts that run at the same time.
const RUNNING_MAX: usize = 16;

/// How long a script may run.
const RUNTIME_MAX: Duration = Duration::from_secs(60);

/// Delay before the first retry; doubled for each further one.
const RETRY_DELAY: Duration = Duration::from_secs(30);

/// Retries of one job.
const RETRIES_MAX: u32 = 10;

/// Exit code of a script that cannot be executed.
const CANNOT_EXECUTE: i32 = 2;

/// What a running script reports.
#[derive(Debug)]
pub struct Report {
    job: u64,
    news: News,
}

#[derive(Debug)]
enum News {
    Started(u32),
    Overdue(u32),
    Ended(Ending),
}

/// How a script ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    Exit(i32),
    Signal(i32),
    /// The system could not start a process now.
    NoProcess,
}

impl Ending {
    fn of(status: ExitStatus) -> Self {
        status
            .signal()
            .map_or_else(|| Self::Exit(status.code().unwrap_or(0)), Self::Signal)
    }

    /// Whether the script asks to be run again.
    const fn wants_retry(self) -> bool {
        matches!(self, Self::Signal(_) | Self::Exit(1))
    }
}

#[derive(Debug)]
struct Job {
    id: u64,
    argv: Vec<String>,
    tries: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Due(Instant),
    Running { since: Instant, pid: Option<u32> },
}

/// A job, for PENDING-SCRIPTS.
#[derive(Debug, PartialEq, Eq)]
pub struct JobView<'a> {
    /// Path and arguments.
    pub argv: &'a [String],
    /// Process id and how long it has run; `None` while it waits.
    pub running: Option<(u32, Duration)>,
    /// How long until it is due, while it waits.
    pub delay: Duration,
    /// Runs so far.
    pub tries: u32,
}

/// The queue of jobs.
#[derive(Debug)]
pub struct Scripts {
    jobs: VecDeque<Job>,
    last_id: u64,
    reports: mpsc::Sender<Report>,
}

impl Scripts {
    /// An empty queue; reports of running scripts come on the receiver.
    pub fn new() -> (Self, mpsc::Receiver<Report>) {
        let (reports, receiver) = mpsc::channel(RUNNING_MAX);
        let scripts = Self {
            jobs: VecDeque::new(),
            last_id: 0,
            reports,
        };
        (scripts, receiver)
    }

    /// Queues a run. When the queue is full the oldest job that does not run is dropped.
    pub fn push(&mut self, argv: Vec<String>) {
        if self.jobs.len() >= QUEUE_LEN {
            let waiting = |job: &Job| matches!(job.state, State::Due(_));
            if let Some(oldest) = self.jobs.iter().position(waiting) {
                self.jobs.remove(oldest);
            }
        }
        self.last_id += 1;
        self.jobs.push_back(Job {
            id: self.last_id,
            argv,
            tries: 0,
            state: State::Due(Instant::now()),
        });
    }

    /// Starts what is due, as far as there is room.
    pub fn start_due(&mut self) {
        let now = Instant::now();
        let mut room = RUNNING_MAX.saturating_sub(self.running());
        for job in &mut self.jobs {
            if room == 0 {
                return;
            }
            if matches!(job.state, State::Due(at) if at <= now) {
                room -= 1;
                job.tries += 1;
                job.state = State::Running {
                    since: now,
                    pid: None,
                };
                tokio::spawn(run(job.id, job.argv.clone(), self.reports.clone()));
            }
        }
    }

    /// When a waiting job is due, if there is room to run it.
    pub fn next_due(&self) -> Option<Instant> {
        if self.running() >= RUNNING_MAX {
            return None;
        }
        let due = |job: &Job| match job.state {
            State::Due(at) => Some(at),
            State::Running { .. } => None,
        };
        self.jobs.iter().filter_map(due).min()
    }

    /// Takes a report; the events to tell.
    pub fn handle(&mut self, report: Report) -> Vec<Event> {
        let Report { job: id, news } = report;
        let Some(index) = self.jobs.iter().position(|job| job.id == id) else {
            return Vec::new();
        };
        let job = &mut self.jobs[index];
        let path = job.argv.first().map_or("", String::as_str);
        match news {
            News::Started(started) => {
                if let State::Running { pid, .. } = &mut job.state {
                    *pid = Some(started);
                }
                vec![event("+script-child", started.to_string(), Level::Debug)]
            }
            News::Overdue(pid) => {
                vec![event(
                    "-script-timeout",
                    format!("{path} {pid}"),
                    Level::Warning,
                )]
            }
            News::Ended(ending) => self.ended(index, ending),
        }
    }

    /// Jobs that run.
    pub fn running(&self) -> usize {
        let running = |job: &&Job| matches!(job.state, State::Running { .. });
        self.jobs.iter().filter(running).count()
    }

    /// All jobs.
    pub fn jobs(&self) -> impl Iterator<Item = JobView<'_>> {
        let now = Instant::now();
        self.jobs.iter().map(move |job| {
            let (running, delay) = match job.state {
                State::Due(at) => (None, at.saturating_duration_since(now)),
                State::Running { since, pid } => {
                    (Some((pid.unwrap_or(0), now - since)), Duration::ZERO)
                }
            };
            JobView {
                argv: &job.argv,
                running,
                delay,
                tries: job.tries,
            }
        })
    }

    fn ended(&mut self, index: usize, ending: Ending) -> Vec<Event> {
        let job = &mut self.jobs[index];
        let path = job.argv.first().cloned().unwrap_or_default();
        let (code, signal) = match ending {
            Ending::Exit(code) => (code, 0),
            Ending::Signal(signal) => (0, signal),
            Ending::NoProcess => {
                // It was not run, so this was no try.
                job.tries -= 1;
                job.state = State::Due(Instant::now() + Duration::from_millis(100));
                return vec![event(
                    "-script-error",
                    format!("{path} 99 0"),
                    Level::Warning,
                )];
            }
        };
        let pid = match job.state {
            State::Running { pid, .. } => pid.unwrap_or(0),
            State::Due(_) => 0,
        };
        let mut events = vec![event(
            "-script-child",
            format!("{pid} {code} {signal}"),
            Level::Debug,
        )];
        if ending.wants_retry() && job.tries <= RETRIES_MAX {
            let factor = 1 << (job.tries - 1);
            job.state = State::Due(Instant::now() + RETRY_DELAY * factor);
            return events;
        }
        self.jobs.remove(index);
        if ending != Ending::Exit(0) {
            let text = format!("{path} {signal} {code}");
            events.push(event("-script-error", text, Level::Warning));
        }
        events
    }
}

fn event(name: &'static str, payload: String, level: Level) -> Event {
    Event {
        name,
        payload,
        level,
        script: None,
    }
}

async fn run(job: u64, argv: Vec<String>, reports: mpsc::Sender<Report>) {
    let send = async |news| {
        // The loop is gone only when the process is about to end.
        let _ = reports.send(Report { job, news }).await;
    };
    let started = tokio::task::spawn_blocking(move || spawn(&argv)).await;
    let mut child = match started.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(child) => child,
        Err(error) => return send(News::Ended(failed_start(&error))).await,
    };
    let pid = child.id().unwrap_or(0);
    send(News::Started(pid)).await;
    let ended = match timeout(RUNTIME_MAX, child.wait()).await {
        Ok(ended) => ended,
        Err(_) => {
            send(News::Overdue(pid)).await;
            // A process that cannot be killed has ended: the wait tells.
            let _ = child.start_kill();
            child.wait().await
        }
    };
    let ending = ended.map_or(Ending::Exit(CANNOT_EXECUTE), Ending::of);
    send(News::Ended(ending)).await;
}

fn spawn(argv: &[String]) -> io::Result<Child> {
    let (path, args) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    Command::new(path).args(args).stdin(Stdio::null()).spawn()
}

/// A process that could not be made is tried again; a file that cannot be executed is not.
fn failed_start(error: &io::Error) -> Ending {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => Ending::NoProcess,
        _ => Ending::Exit(CANNOT_EXECUTE),
    }
}

#[cfg(test)]
mod tests;
