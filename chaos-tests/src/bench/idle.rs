//! What connections cost that have been used and are idle: memory, and no processor time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use crate::figures;

use super::arena::{Arena, Entrant};
use super::contender::Contender;
use super::load::{self, Reply, Script, Stop, Work};

/// Requests that each connection sends, in one write, before it is idle.
const REQUESTS: u32 = 8;
/// Connections that come and go before the first look at the memory.
const WARM_UP: usize = 50;
/// Files that are left for other things than connections.
const FILES_SPARE: u64 = 200;
/// How long a contender may take to give memory back.
const SETTLE: Duration = Duration::from_secs(2);
/// KiB of a connection of ours, at most.
const MEMORY_MAX: f64 = 2.5;
/// CPU milliseconds a second of all idle connections of ours, at most: a thousandth of a processor,
/// which is where the noise ends.
const CPU_MAX: f64 = 1.0;
/// Connections that are in use at the same time before they are idle.
const CROWD: usize = 100;

/// What idle connections cost one contender.
#[derive(Clone, Debug, Serialize)]
pub struct Idle {
    /// Its name.
    pub contender: String,
    /// How many there were.
    pub connections: usize,
    /// Memory of each, in KiB: the growth of the process.
    pub memory_each: f64,
    /// Memory of the process without them, in MiB.
    pub memory_before: f64,
    /// CPU milliseconds a second without connections.
    pub cpu_before: f64,
    /// CPU milliseconds a second with them.
    pub cpu_with: f64,
}

/// What idle connections of ours are held to.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// In words.
    pub target: String,
    /// What was found, in the unit of the target.
    pub found: f64,
    /// Whether it keeps to the limit.
    pub is_met: bool,
}

impl Idle {
    /// Whether the targets are met; they are those of ours.
    pub fn verdicts(&self) -> Vec<Verdict> {
        if self.contender != Contender::Ours(1).name() {
            return Vec::new();
        }
        let count = self.connections;
        let limits = [
            (
                "KiB of a connection".to_owned(),
                self.memory_each,
                MEMORY_MAX,
            ),
            (
                format!("CPU ms a second of {count} connections"),
                self.cpu_with - self.cpu_before,
                CPU_MAX,
            ),
        ];
        let verdicts = limits.into_iter().map(|(what, found, limit)| Verdict {
            target: format!("{what} of ours <= {limit:.2}"),
            found,
            is_met: found <= limit,
        });
        verdicts.collect()
    }
}

/// Who has an answer: a process with one worker thread that keeps clients and servers apart.
pub const fn is_asked(contender: Contender) -> bool {
    matches!(
        contender,
        Contender::Ours(1) | Contender::Baseline(1) | Contender::Twemproxy
    )
}

/// Opens `wanted` connections, uses each once, and watches for `watch` what they cost.
///
/// # Errors
/// A connection breaks or a reply is wrong.
pub async fn measure(
    arena: &Arena,
    entrant: &Entrant,
    work: Work,
    wanted: usize,
    watch: Duration,
) -> anyhow::Result<Idle> {
    let pid = entrant.pid().context("a direct server has no proxy")?;
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let wanted = wanted.min(files.saturating_sub(FILES_SPARE) as usize);
    drop(open(arena, entrant.addr, work, WARM_UP).await?);
    tokio::time::sleep(SETTLE.min(watch)).await;
    let memory_before = figures::memory_kib(pid, "VmRSS")?;
    let cpu_before = cpu_each_second(pid, watch).await?;
    let connections = open(arena, entrant.addr, work, wanted).await?;
    tokio::time::sleep(SETTLE.min(watch)).await;
    let cpu_with = cpu_each_second(pid, watch).await?;
    let memory_with = figures::memory_kib(pid, "VmRSS")?;
    let count = connections.len();
    drop(connections);
    let growth = memory_with as f64 - memory_before as f64;
    Ok(Idle {
        contender: entrant.contender.name(),
        connections: count,
        memory_each: growth / count as f64,
        memory_before: memory_before as f64 / 1024.0,
        cpu_before,
        cpu_with,
    })
}

/// Milliseconds of processor time in a second, as it is over `watch`.
async fn cpu_each_second(pid: u32, watch: Duration) -> anyhow::Result<f64> {
    let before = figures::cpu_nanos(pid)?;
    tokio::time::sleep(watch).await;
    let spent = figures::cpu_nanos(pid)? - before;
    Ok(spent as f64 / 1e6 / watch.as_secs_f64())
}

/// Opens connections and uses all of them, a crowd at a time.
async fn open(
    arena: &Arena,
    addr: SocketAddr,
    work: Work,
    count: usize,
) -> anyhow::Result<Vec<TcpStream>> {
    let stop = arena.stop().clone();
    let opened = tokio::task::spawn_blocking(move || use_each(addr, work, count, &stop)).await?;
    opened.context("open idle connections")
}

fn use_each(
    addr: SocketAddr,
    work: Work,
    count: usize,
    stop: &Stop,
) -> anyhow::Result<Vec<TcpStream>> {
    const REPLY_MAX: Duration = Duration::from_secs(20);
    let script = Script::new(work);
    let mut open = Vec::with_capacity(count);
    for client in 0..count as u64 {
        let stream = load::connect(addr, load::source(client))?;
        stream.set_read_timeout(Some(REPLY_MAX))?;
        open.push(stream);
    }
    for crowd in open.chunks_mut(CROWD) {
        if stop.is_requested() {
            anyhow::bail!("stopped");
        }
        for stream in crowd.iter_mut() {
            let mut out = Vec::new();
            (0..REQUESTS).for_each(|number| script.write(number, &mut out));
            stream.write_all(&out)?;
        }
        for stream in crowd {
            take_replies(stream, &script)?;
        }
    }
    Ok(open)
}

fn take_replies(stream: &mut TcpStream, script: &Script) -> anyhow::Result<()> {
    let mut replies = vec![0; script.reply_len() * REQUESTS as usize];
    stream.read_exact(&mut replies)?;
    for (number, reply) in (0..REQUESTS).zip(replies.chunks(script.reply_len())) {
        if script.check(number, reply) != Reply::Whole(reply.len()) {
            anyhow::bail!("wrong reply to request {number}: {}", reply.escape_ascii());
        }
    }
    Ok(())
}
