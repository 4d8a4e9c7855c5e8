//! A storm on the command ports of a quorum while its master dies: thousands of connections, bytes
//! that mean nothing, subscribers that do not read. Sentinels must stay up, keep their memory
//! bounded, cut off who does not read, and fail over on time.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use super::breed::{Breed, Breeds};
use super::lab::{Lab, Member, Spec};
use super::watch::Watch;
use crate::figures;
use crate::query;
use crate::scenario::table;
use crate::talk::Talk;

mod crowd;
mod flood;
mod noise;

const DOWN_AFTER: Duration = Duration::from_secs(1);
/// The storm blows this long before the master dies, and after it was replaced.
const BEFORE: Duration = Duration::from_secs(3);
const AFTER: Duration = Duration::from_secs(1);
const SWITCH_MAX: Duration = Duration::from_secs(60);
/// Descriptors of this process for other things than the crowd.
const DESCRIPTORS_SPARE: u64 = 1000;

/// How hard it blows.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Connections to the first sentinel that are held open.
    pub connections: usize,
    /// Connections to each sentinel that send noise.
    pub noisy: usize,
    /// Subscribers of the second sentinel that do not read, while it has much to say.
    pub deaf: usize,
    /// The first three bytes of addresses.
    pub net: String,
}

/// Less than the default, so that a subscriber that does not read is cut off soon.
const UNREAD_MAX: &str = "client-output-buffer-limit pubsub 4mb 2mb 60\n";

/// What is shared by everything that blows.
#[derive(Debug, Default)]
struct Blowing {
    stop: AtomicBool,
    sent: AtomicU64,
    events: AtomicU64,
}

impl Blowing {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
}

/// What became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Connections that the first sentinel took, and those that it refused with the reason.
    pub connections: (usize, usize),
    /// Messages of noise.
    pub noise: u64,
    /// Events that deaf subscribers were to get.
    pub events: u64,
    /// Deaf subscribers that were cut off, of how many.
    pub cut_off: (usize, usize),
    /// Memory of each sentinel before the storm, in MiB.
    pub memory_before_mib: Vec<f64>,
    /// Greatest memory of each sentinel, in MiB.
    pub memory_peak_mib: Vec<f64>,
    /// Down-after in milliseconds.
    pub down_after_ms: u64,
    /// Milliseconds from the kill to `+switch-master` at a subscriber of each sentinel.
    pub switch_ms: Vec<u64>,
    /// Milliseconds from the kill to the first write on the new master.
    pub write_ms: u64,
}

/// Lets it blow.
///
/// # Errors
/// The quorum does not come up, a sentinel ends or panics, or no failover comes.
pub async fn run(
    breeds: &Breeds,
    plan: &Plan,
    state: &Path,
    talk: &Talk,
) -> anyhow::Result<Results> {
    raise_descriptors(plan.connections as u64 + DESCRIPTORS_SPARE)?;
    let spec = Spec {
        net: plan.net.clone(),
        sentinels: vec![Breed::Ours; 3],
        replicas: 2,
        quorum: 2,
        down_after: DOWN_AFTER,
        lines: UNREAD_MAX.to_owned(),
        env: Vec::new(),
    };
    let mut lab = Lab::start(breeds, &spec, state).await?;
    let results = blow(&mut lab, plan, talk).await;
    if let Err(error) = results {
        let kept = lab.keep();
        return Err(error.context(format!("files are kept in {}", kept.display())));
    }
    results
}

async fn blow(lab: &mut Lab, plan: &Plan, talk: &Talk) -> anyhow::Result<Results> {
    let memory_before = memory(&lab.sentinels, "VmRSS")?;
    let mut watch = Watch::start(&lab.sentinels).await?;
    let blowing = Arc::new(Blowing::default());
    let mut tasks = tokio::task::JoinSet::new();
    talk.step(format!("opening {} connections", plan.connections));
    let crowd = crowd::gather(&lab.sentinels[0].addr, plan.connections).await;
    let deaf = flood::deaf(&lab.sentinels[1].addr, plan.deaf).await?;
    for writer in 0..flood::WRITERS {
        let addr = lab.sentinels[1].addr.clone();
        tasks.spawn(flood::write(addr, writer, Arc::clone(&blowing)));
    }
    for (index, sentinel) in lab.sentinels.iter().enumerate() {
        for number in 0..plan.noisy {
            let seed = (index * plan.noisy + number) as u64;
            let addr = sentinel.addr.clone();
            tasks.spawn(noise::make(addr, seed, Arc::clone(&blowing)));
        }
    }
    talk.step("the storm blows");
    listen(&mut watch, BEFORE).await?;
    let begin = Instant::now();
    lab.servers[0].process.kill();
    talk.step("the master is dead");
    let (switches, write) = failover(&mut watch, begin).await?;
    listen(&mut watch, AFTER).await?;
    blowing.stop.store(true, Ordering::Relaxed);
    while tasks.join_next().await.is_some() {}
    let cut_off = flood::cut_off(deaf).await;
    let (taken, refused) = (crowd.taken.len(), crowd.refused);
    drop(crowd);
    talk.rest();
    check(lab).await?;
    Ok(Results {
        connections: (taken, refused),
        noise: blowing.sent.load(Ordering::Relaxed),
        events: blowing.events.load(Ordering::Relaxed),
        cut_off: (cut_off, plan.deaf),
        memory_before_mib: memory_before,
        memory_peak_mib: memory(&lab.sentinels, "VmHWM")?,
        down_after_ms: millis(DOWN_AFTER),
        switch_ms: switches.into_iter().map(millis).collect(),
        write_ms: millis(write),
    })
}

/// Takes what the sentinels say for a while: a watcher that does not read would be cut off too.
async fn listen(watch: &mut Watch, span: Duration) -> anyhow::Result<()> {
    let until = tokio::time::Instant::now() + span;
    while tokio::time::timeout_at(until, watch.next(SWITCH_MAX))
        .await
        .is_ok()
    {}
    Ok(())
}

/// When each sentinel said that the master has another address, and when that one took a write.
async fn failover(watch: &mut Watch, begin: Instant) -> anyhow::Result<(Vec<Duration>, Duration)> {
    let mut switches = vec![None; 3];
    let mut write = None;
    while switches.contains(&None) {
        anyhow::ensure!(begin.elapsed() < SWITCH_MAX, "no failover: {switches:?}");
        let said = watch.next(SWITCH_MAX).await?;
        let Some(new) = said.switched_to() else {
            continue;
        };
        switches[said.from].get_or_insert(said.at - begin);
        if write.is_none() {
            query::ask(&new, &["SET", "storm", "1"]).await?;
            write = Some(begin.elapsed());
        }
    }
    let switches: Vec<Duration> = switches.into_iter().flatten().collect();
    Ok((switches, write.context("no write")?))
}

/// All sentinels live, answer, and none has panicked.
async fn check(lab: &mut Lab) -> anyhow::Result<()> {
    for sentinel in &mut lab.sentinels {
        let addr = &sentinel.addr;
        anyhow::ensure!(sentinel.process.ended().is_none(), "{addr} has ended");
        query::pings(addr).await.with_context(|| addr.to_string())?;
        let log = std::fs::read_to_string(&sentinel.process.plan().log)?;
        let panic = log.lines().find(|line| line.contains("PANIC"));
        anyhow::ensure!(panic.is_none(), "{addr}: {}", panic.unwrap_or_default());
    }
    Ok(())
}

/// How many of the `wanted` connections this process may hold open.
pub fn room_for(wanted: usize) -> usize {
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let room = usize::try_from(most.saturating_sub(DESCRIPTORS_SPARE)).unwrap_or(usize::MAX);
    wanted.min(room)
}

/// Lets this process open so many files, if it may.
fn raise_descriptors(wanted: u64) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).with_context(|| {
        format!(
            "{wanted} open files are needed; the limit (`ulimit -Hn`) is {:?}",
            limit.maximum
        )
    })
}

fn memory(sentinels: &[Member], field: &str) -> anyhow::Result<Vec<f64>> {
    sentinels
        .iter()
        .map(|it| figures::memory_mib(it.process.id(), field))
        .collect()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = table(&["a storm on three of our sentinels", ""]);
        let mib = |values: &[f64]| {
            let texts: Vec<String> = values.iter().map(|it| format!("{it:.1}")).collect();
            texts.join(" / ")
        };
        let (taken, refused) = self.connections;
        let (cut, deaf) = self.cut_off;
        let switches: Vec<String> = self.switch_ms.iter().map(u64::to_string).collect();
        table.add_row(["connections taken, refused", &format!("{taken}, {refused}")]);
        table.add_row(["messages of noise", &self.noise.to_string()]);
        table.add_row(["events for deaf subscribers", &self.events.to_string()]);
        table.add_row(["deaf subscribers cut off", &format!("{cut} of {deaf}")]);
        table.add_row(["memory before, MiB", &mib(&self.memory_before_mib)]);
        table.add_row(["greatest memory, MiB", &mib(&self.memory_peak_mib)]);
        table.add_row(["down-after, ms", &self.down_after_ms.to_string()]);
        table.add_row(["kill to +switch-master of each, ms", &switches.join(" / ")]);
        table.add_row(["kill to first write, ms", &self.write_ms.to_string()]);
        write!(f, "{table}")
    }
}
