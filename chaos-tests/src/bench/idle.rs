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
/// KiB of a connection, at most.
const MEMORY_TARGET: f64 = 2.5;

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

impl Idle {
    /// Whether the memory of a connection is what it should be; said of ours alone.
    pub fn is_met(&self) -> Option<bool> {
        let ours = self.contender == Contender::Ours(1).name();
        ours.then_some(self.memory_each <= MEMORY_TARGET)
    }

    /// The target in words.
    pub fn target() -> String {
        format!("KiB of a connection of ours <= {MEMORY_TARGET:.2}")
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

/// Opens connections one after the other and uses each.
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
    let (mut out, mut replies) = (Vec::new(), vec![0; script.reply_len() * REQUESTS as usize]);
    for client in 0..count as u64 {
        if stop.is_requested() {
            anyhow::bail!("stopped");
        }
        let mut stream = load::connect(addr, load::source(client))?;
        stream.set_read_timeout(Some(REPLY_MAX))?;
        let first = client as u32 * REQUESTS;
        let numbers = (first..first + REQUESTS).map(|number| number % work.keyspace);
        out.clear();
        for number in numbers.clone() {
            script.write(number, &mut out);
        }
        stream.write_all(&out)?;
        stream.read_exact(&mut replies)?;
        for (number, reply) in numbers.zip(replies.chunks(script.reply_len())) {
            if script.check(number, reply) != Reply::Whole(reply.len()) {
                anyhow::bail!("wrong reply to request {number}: {}", reply.escape_ascii());
            }
        }
        open.push(stream);
    }
    Ok(open)
}
