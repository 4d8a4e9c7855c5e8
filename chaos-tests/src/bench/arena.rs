//! Two servers with all keys, and the contenders in front of them, on addresses of one run.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use codis_core::addr::Addr;

use crate::process::{Plan, Process};
use crate::query;

use super::contender::{Contender, Programs};
use super::load::{self, Command, Script, Stop, Work};

/// How long a program may take until it answers.
const START_MAX: Duration = Duration::from_secs(30);
/// How often it is asked.
const START_POLL: Duration = Duration::from_millis(20);
/// Ports of the servers; contenders are above.
const SERVER_PORTS: [u16; 2] = [6379, 6380];
const CONTENDER_PORT: u16 = 19000;
/// Requests in one write while keys are loaded.
const PRELOAD_BATCH: u32 = 500;

/// The servers.
#[derive(Debug)]
pub struct Arena {
    programs: Programs,
    dir: PathBuf,
    host: String,
    servers: Vec<Process>,
    addrs: Vec<Addr>,
    stop: Stop,
}

/// A contender that answers.
#[derive(Debug)]
pub struct Entrant {
    /// Who.
    pub contender: Contender,
    /// Where.
    pub addr: SocketAddr,
    process: Option<Process>,
}

impl Entrant {
    /// The process; a direct server has none.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let process = self.process.as_ref();
        process.map_or_else(String::new, |process| process.log_tail(10))
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.stop.request();
    }
}

impl Arena {
    /// Starts the servers with their files below `dir`.
    ///
    /// # Errors
    /// A server does not come up.
    pub async fn up(programs: Programs, dir: &Path, works: &[Work]) -> anyhow::Result<Self> {
        let mut arena = Self {
            programs,
            dir: dir.to_owned(),
            host: own_host(),
            servers: Vec::new(),
            addrs: Vec::new(),
            stop: Stop::default(),
        };
        for port in SERVER_PORTS {
            let addr = Addr::new(arena.host.as_str(), port);
            let process = Process::start(redis(&arena.programs.redis, &addr, dir)?)?;
            arena.servers.push(process);
            arena.addrs.push(addr);
        }
        for (server, addr) in arena.servers.iter_mut().zip(&arena.addrs) {
            answers(server, addr, &["PING"]).await?;
        }
        for (addr, work) in arena
            .addrs
            .iter()
            .flat_map(|a| works.iter().map(move |w| (a, w)))
        {
            preload(socket_addr(addr)?, work).with_context(|| format!("load keys into {addr}"))?;
        }
        Ok(arena)
    }

    /// Stops the loads of this run.
    pub const fn stop(&self) -> &Stop {
        &self.stop
    }

    /// The processes of the servers.
    pub fn server_pids(&self) -> Vec<u32> {
        self.servers.iter().map(Process::id).collect()
    }

    /// Starts a contender in front of the servers; ready when it answers a GET of `work`.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn enter(&self, contender: Contender, work: &Work) -> anyhow::Result<Entrant> {
        let place = Contender::ALL.iter().position(|one| *one == contender);
        let port = CONTENDER_PORT + 10 * place.unwrap_or(Contender::ALL.len()) as u16;
        let addr = Addr::new(self.host.as_str(), port);
        let dir = self.dir.join(contender.name());
        std::fs::create_dir_all(&dir)?;
        let Some(plan) = contender.plan(&self.programs, &addr, &self.addrs, &dir)? else {
            return Ok(Entrant {
                contender,
                addr: socket_addr(&self.addrs[0])?,
                process: None,
            });
        };
        let mut process = Process::start(plan).with_context(|| contender.name())?;
        let up = answers(&mut process, &addr, &["GET", &work.key(0)]).await;
        up.with_context(|| contender.name())?;
        Ok(Entrant {
            contender,
            addr: socket_addr(&addr)?,
            process: Some(process),
        })
    }
}

/// An address that no other run uses at the same time.
fn own_host() -> String {
    let pid = std::process::id();
    format!("127.78.{}.{}", pid / 250 % 250, 1 + pid % 250)
}

fn redis(program: &Path, addr: &Addr, dir: &Path) -> anyhow::Result<Plan> {
    let dir = dir.join(format!("redis-{}", addr.port()));
    std::fs::create_dir_all(&dir)?;
    let port = addr.port().to_string();
    let words = ["--bind", addr.host(), "--port", &port, "--save", ""];
    let more = ["--appendonly", "no", "--protected-mode", "no"];
    Ok(Plan {
        program: program.to_owned(),
        args: words
            .iter()
            .chain(&more)
            .map(|word| (*word).to_owned())
            .collect(),
        env: Vec::new(),
        log: dir.join("log"),
        dir,
    })
}

/// Waits until the process answers `words` with something else than an error or null.
async fn answers(process: &mut Process, addr: &Addr, words: &[&str]) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_MAX;
    loop {
        let answer = match query::ask(addr, words).await {
            Ok(redis::Value::Nil) => "no value".to_owned(),
            Ok(_) => return Ok(()),
            Err(error) => error.to_string(),
        };
        if process.ended().is_some() || Instant::now() >= deadline {
            let log = process.log_tail(10);
            anyhow::bail!("{addr} does not answer: {answer}; its log ends:\n{log}");
        }
        tokio::time::sleep(START_POLL).await;
    }
}

fn socket_addr(addr: &Addr) -> anyhow::Result<SocketAddr> {
    addr.to_string().parse().with_context(|| addr.to_string())
}

/// Writes every key of `work` into one server.
fn preload(server: SocketAddr, work: &Work) -> anyhow::Result<()> {
    const REPLY: &[u8] = b"+OK\r\n";
    let set = Script::new(Work {
        command: Command::Set,
        keys: 1,
        ..*work
    });
    let mut stream = load::connect(server, Ipv4Addr::UNSPECIFIED)?;
    stream.set_read_timeout(Some(START_MAX))?;
    for first in (0..work.keyspace).step_by(PRELOAD_BATCH as usize) {
        let (mut out, end) = (Vec::new(), work.keyspace.min(first + PRELOAD_BATCH));
        for number in first..end {
            set.write(number, &mut out);
        }
        stream.write_all(&out)?;
        let mut replies = vec![0; REPLY.len() * (end - first) as usize];
        stream.read_exact(&mut replies)?;
        if replies.chunks(REPLY.len()).any(|reply| reply != REPLY) {
            anyhow::bail!("SET failed: {}", replies.escape_ascii());
        }
    }
    Ok(())
}
