//! Scripts that tell the world about events: queued, run a few at a time, killed when they hang,
//! tried again when they ask for it.
//!
//! The queue decides and the tasks of `run` obey, so a change of [`Limits`] counts for scripts
//! that run already. Nothing here waits: a script on a hung disk delays nothing but its own place
//! among those that run.

use std::collections::VecDeque;
use std::time::Duration;

use codis_sentinel_proto::event::{Event, Level};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

pub mod record;
mod run;

use run::{Ending, News};
pub use run::{Report, keep_descriptors};

/// Jobs in the queue, the running ones included.
const QUEUE_LEN: usize = 256;

/// Scripts that run at the same time.
const RUNNING_MAX: usize = 16;

/// Times that one job is run at most.
const TRIES_MAX: u32 = 10;

/// Pause after the system could not make a process.
const NO_PROCESS_PAUSE: Duration = Duration::from_millis(100);

/// Times that an operator may change. Each is more than 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// `script-max-runtime`: a script that runs longer is killed.
    pub runtime_max: Duration,
    /// `script-retry-delay`: before the second run; doubled for each further one.
    pub retry_delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            runtime_max: Duration::from_secs(60),
            retry_delay: Duration::from_secs(30),
        }
    }
}

/// What is to be run.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Path and arguments.
    pub argv: Vec<String>,
    /// What the script can read from its standard input: at most [`record::BYTES_MAX`].
    pub stdin: Option<Vec<u8>>,
}

impl From<Vec<String>> for Order {
    fn from(argv: Vec<String>) -> Self {
        Self { argv, stdin: None }
    }
}

#[derive(Debug)]
struct Job {
    id: u64,
    order: Order,
    tries: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Due(Instant),
    Running {
        since: Instant,
        /// Unknown until the system has made the process.
        pid: Option<u32>,
        /// Taken when the process is killed.
        kill: Option<oneshot::Sender<()>>,
    },
}

impl Job {
    fn path(&self) -> &str {
        self.order.argv.first().map_or("", String::as_str)
    }

    const fn runs(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// When its process has run for too long, unless it is being killed already.
    fn overdue_at(&self, limits: Limits) -> Option<Instant> {
        match &self.state {
            State::Running {
                since,
                pid: Some(_),
                kill: Some(_),
            } => since.checked_add(limits.runtime_max),
            State::Running { .. } | State::Due(_) => None,
        }
    }
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
    /// The present limits.
    pub limits: Limits,
    jobs: VecDeque<Job>,
    last_id: u64,
    reports: mpsc::Sender<Report>,
}

impl Scripts {
    /// An empty queue; reports of running scripts come on the receiver.
    pub fn new() -> (Self, mpsc::Receiver<Report>) {
        let (reports, receiver) = mpsc::channel(RUNNING_MAX);
        let scripts = Self {
            limits: Limits::default(),
            jobs: VecDeque::new(),
            last_id: 0,
            reports,
        };
        (scripts, receiver)
    }

    /// Queues a run. When the queue is full the oldest job that does not run is dropped.
    pub fn push(&mut self, order: Order) {
        if self.jobs.len() >= QUEUE_LEN
            && let Some(oldest) = self.jobs.iter().position(|job| !job.runs())
        {
            self.jobs.remove(oldest);
        }
        self.last_id += 1;
        self.jobs.push_back(Job {
            id: self.last_id,
            order,
            tries: 0,
            state: State::Due(Instant::now()),
        });
    }

    /// Kills what has run for too long and starts what is due, as far as there is room.
    pub fn advance(&mut self) -> Vec<Event> {
        let now = Instant::now();
        let limits = self.limits;
        let mut events = Vec::new();
        for job in &mut self.jobs {
            if job.overdue_at(limits).is_some_and(|at| at <= now)
                && let State::Running { pid, kill, .. } = &mut job.state
            {
                // The task is gone only when the process has ended already.
                let _ = kill.take().map(|kill| kill.send(()));
                let text = format!("{} {}", job.order.argv[0], pid.unwrap_or(0));
                events.push(event("-script-timeout", text, Level::Warning));
            }
        }
        let room = RUNNING_MAX.saturating_sub(self.running());
        let due = |job: &&mut Job| matches!(job.state, State::Due(at) if at <= now);
        for job in self.jobs.iter_mut().filter(due).take(room) {
            job.tries += 1;
            let (kill, killed) = oneshot::channel();
            job.state = State::Running {
                since: now,
                pid: None,
                kill: Some(kill),
            };
            let reports = self.reports.clone();
            tokio::spawn(run::run(job.id, job.order.clone(), killed, reports));
        }
        events
    }

    /// When [`Self::advance`] is wanted.
    pub fn next_due(&self) -> Option<Instant> {
        let has_room = self.running() < RUNNING_MAX;
        let at = |job: &Job| match job.state {
            State::Due(at) => has_room.then_some(at),
            State::Running { .. } => job.overdue_at(self.limits),
        };
        self.jobs.iter().filter_map(at).min()
    }

    /// Takes a report in. The events that it causes.
    pub fn handle(&mut self, report: Report) -> Vec<Event> {
        let Report { job: id, news } = report;
        let Some(index) = self.jobs.iter().position(|job| job.id == id) else {
            return Vec::new();
        };
        match news {
            News::Started(started) => {
                if let State::Running { since, pid, .. } = &mut self.jobs[index].state {
                    *pid = Some(started);
                    *since = Instant::now();
                }
                vec![event("+script-child", started.to_string(), Level::Debug)]
            }
            News::Ended(ending) => self.ended(index, ending),
        }
    }

    /// Jobs that run.
    pub fn running(&self) -> usize {
        self.jobs.iter().filter(|job| job.runs()).count()
    }

    /// All jobs.
    pub fn jobs(&self) -> impl Iterator<Item = JobView<'_>> {
        let now = Instant::now();
        self.jobs.iter().map(move |job| {
            let (running, delay) = match job.state {
                State::Due(at) => (None, at.saturating_duration_since(now)),
                State::Running { since, pid, .. } => {
                    (Some((pid.unwrap_or(0), now - since)), Duration::ZERO)
                }
            };
            JobView {
                argv: &job.order.argv,
                running,
                delay,
                tries: job.tries,
            }
        })
    }

    fn ended(&mut self, index: usize, ending: Ending) -> Vec<Event> {
        let retry_delay = self.limits.retry_delay;
        let job = &mut self.jobs[index];
        let path = job.path().to_owned();
        let (code, signal) = match ending {
            Ending::Exit(code) => (code, 0),
            Ending::Signal(signal) => (0, signal),
            Ending::NoProcess => {
                // It was not run, so this was no try.
                job.tries -= 1;
                job.state = State::Due(Instant::now() + NO_PROCESS_PAUSE);
                let text = format!("{path} 99 0");
                return vec![event("-script-error", text, Level::Warning)];
            }
        };
        let pid = match job.state {
            State::Running { pid, .. } => pid.unwrap_or(0),
            State::Due(_) => 0,
        };
        let text = format!("{pid} {code} {signal}");
        let mut events = vec![event("-script-child", text, Level::Debug)];
        if ending.wants_retry() && job.tries < TRIES_MAX {
            let delay = retry_delay.saturating_mul(1 << (job.tries - 1));
            let now = Instant::now();
            job.state = State::Due(now.checked_add(delay).unwrap_or_else(|| now + FAR));
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

/// A delay beyond what the clock can count.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn event(name: &'static str, payload: String, level: Level) -> Event {
    Event {
        name,
        payload,
        level,
        script: None,
    }
}

#[cfg(test)]
mod tests;
