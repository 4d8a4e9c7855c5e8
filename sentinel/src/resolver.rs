//! Looking up host names, away from the event loop.
//!
//! The system's resolver (files, DNS, whatever the host is set up for) blocks, sometimes for a
//! minute. Each lookup is a task of its own; at most one for a name is under way, a name is looked
//! up at most once a second, and what takes too long is answered as a failure while the lookup goes
//! on. So a resolver that hangs delays nothing but the names that nobody knows yet.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Time between two lookups of one name.
const PAUSE: Duration = Duration::from_secs(1);

/// Lookups at the same time. Each holds a thread for as long as the system takes.
const LOOKUPS_MAX: usize = 64;

/// Answers that may wait for the event loop.
const ANSWERS_LEN: usize = 256;

/// What knows where names lead.
pub trait LookUp: std::fmt::Debug + Send + Sync + 'static {
    /// The addresses of a host, the preferred one first. May block.
    ///
    /// # Errors
    /// Why there are none.
    fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the operating system.
#[derive(Debug)]
pub struct System;

impl LookUp for System {
    fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = (host, 0).to_socket_addrs()?;
        Ok(found.map(|addr| addr.ip()).collect())
    }
}

/// The answer for a name.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name, as it was asked for first.
    pub host: String,
    /// Where it leads; empty when that cannot be told.
    pub answers: Vec<IpAddr>,
    /// The lookup has ended.
    is_last: bool,
}

/// Names that are being looked up.
#[derive(Debug)]
pub struct Resolver {
    source: Arc<dyn LookUp>,
    permits: Arc<Semaphore>,
    under_way: BTreeMap<String, Progress>,
    ended: BTreeMap<String, Instant>,
    answers: mpsc::Sender<Answer>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    Awaited,
    /// A failure was answered, and the lookup goes on.
    GivenUp,
}

impl Resolver {
    /// A resolver that asks `source`; answers come on the receiver and are to be passed to
    /// [`Self::answered`].
    pub fn new(source: Arc<dyn LookUp>) -> (Self, mpsc::Receiver<Answer>) {
        let (answers, receiver) = mpsc::channel(ANSWERS_LEN);
        let resolver = Self {
            source,
            permits: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            under_way: BTreeMap::new(),
            ended: BTreeMap::new(),
            answers,
        };
        (resolver, receiver)
    }

    /// Looks a name up. True when the answer will come; false when there is none to wait for,
    /// because a lookup hangs.
    pub fn resolve(&mut self, host: &str) -> bool {
        let key = host.to_ascii_lowercase();
        if let Some(progress) = self.under_way.get(&key) {
            return *progress == Progress::Awaited;
        }
        let now = Instant::now();
        self.ended.retain(|_, at| *at + PAUSE > now);
        let begin = self.ended.get(&key).map_or(now, |at| *at + PAUSE);
        self.under_way.insert(key, Progress::Awaited);
        let job = Job {
            host: host.to_owned(),
            source: Arc::clone(&self.source),
            permits: Arc::clone(&self.permits),
            answers: self.answers.clone(),
        };
        tokio::spawn(job.run(begin));
        true
    }

    /// Takes note of an answer.
    pub fn answered(&mut self, answer: &Answer) {
        let key = answer.host.to_ascii_lowercase();
        if answer.is_last {
            self.under_way.remove(&key);
            self.ended.insert(key, Instant::now());
        } else {
            self.under_way.insert(key, Progress::GivenUp);
        }
    }

    /// Looks up names before anything else runs, for as long as an answer is waited for. Names
    /// without an answer stay under way.
    pub async fn resolve_all(
        &mut self,
        hosts: &BTreeSet<String>,
        answers: &mut mpsc::Receiver<Answer>,
    ) -> Vec<(String, IpAddr)> {
        let mut missing: BTreeSet<String> = BTreeSet::new();
        for host in hosts {
            self.resolve(host);
            missing.insert(host.to_ascii_lowercase());
        }
        let (mut known, deadline) = (Vec::new(), Instant::now() + PATIENCE);
        while !missing.is_empty() {
            let Ok(Some(answer)) = timeout_at(deadline, answers.recv()).await else {
                break;
            };
            self.answered(&answer);
            missing.remove(&answer.host.to_ascii_lowercase());
            known.extend(answer.answers.first().map(|ip| (answer.host.clone(), *ip)));
        }
        known
    }
}

/// One lookup.
struct Job {
    host: String,
    source: Arc<dyn LookUp>,
    permits: Arc<Semaphore>,
    answers: mpsc::Sender<Answer>,
}

impl Job {
    async fn run(self, begin: Instant) {
        sleep_until(begin).await;
        let (source, host) = (Arc::clone(&self.source), self.host.clone());
        let permits = Arc::clone(&self.permits);
        let mut lookup = tokio::spawn(async move {
            // Held until the thread is free again.
            let _permit = permits.acquire_owned().await.ok()?;
            let found = tokio::task::spawn_blocking(move || source.look_up(&host)).await;
            found.ok()?.ok()
        });
        let found = match timeout(PATIENCE, &mut lookup).await {
            Ok(found) => found,
            Err(_) => {
                self.answer(Vec::new(), false).await;
                lookup.await
            }
        };
        let found = found.ok().flatten().unwrap_or_default();
        self.answer(found, true).await;
    }

    /// Answers. Without an event loop there is nobody to answer to.
    async fn answer(&self, answers: Vec<IpAddr>, is_last: bool) {
        let host = self.host.clone();
        let answer = Answer {
            host,
            answers,
            is_last,
        };
        let _ = self.answers.send(answer).await;
    }
}

#[cfg(test)]
mod tests;
