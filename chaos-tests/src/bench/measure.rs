//! One measurement: a load on one contender, and what it cost.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use crate::figures;

use super::arena::{Arena, Entrant};
use super::load::{Failure, Load, Seen, Stop};
use super::shape::{Pace, Shape};

/// The part of the requests that is sent beforehand and not counted.
const WARM_UP_PART: u64 = 20;
/// How long everything rests before processor times are read: threads that sleep have exact ones.
const REST: Duration = Duration::from_millis(3);

/// The figures of one measurement.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// CPU seconds of the proxy for a million requests; a direct server has no proxy.
    pub cpu: Option<f64>,
    /// CPU seconds of both servers for a million requests.
    pub cpu_servers: f64,
    /// Requests a second.
    pub rate: f64,
    /// Half of the requests took at most so many microseconds.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p999: f64,
    /// Memory of the proxy at the end, in MiB.
    pub memory: Option<f64>,
    /// The part of the time in which the load generator was busy.
    pub load_busy: f64,
}

/// A part of the work that is done on a thread of its own.
struct Task {
    addr: SocketAddr,
    pids: (Option<u32>, Vec<u32>),
    shape: Shape,
    requests: u64,
    stop: Stop,
}

/// Measures `entrant` once, with `requests` requests.
///
/// # Errors
/// A connection breaks, a reply is wrong, or the contender died.
pub async fn measure(
    arena: &Arena,
    entrant: &Entrant,
    shape: &Shape,
    requests: u64,
) -> anyhow::Result<Sample> {
    let task = Task {
        addr: entrant.addr,
        pids: (entrant.pid(), arena.server_pids()),
        shape: *shape,
        requests,
        stop: arena.stop().clone(),
    };
    let done = tokio::task::spawn_blocking(move || task.run()).await?;
    done.with_context(|| {
        let (name, log) = (entrant.contender.name(), entrant.log_tail());
        match log.is_empty() {
            true => format!("{} of {name}", shape.name),
            false => format!("{} of {name}; its log ends:\n{log}", shape.name),
        }
    })
}

impl Task {
    fn run(&self) -> anyhow::Result<Sample> {
        let shape = &self.shape;
        let mut load = Load::new(self.addr, shape.work, &self.stop)?;
        match shape.pace {
            Pace::Closed { .. } | Pace::Open { .. } => load.connect(shape.connections)?,
            Pace::Churn => {}
            Pace::Idle => anyhow::bail!("no requests are sent over idle connections"),
        }
        self.send(&mut load, (self.requests / WARM_UP_PART).max(1))?;
        let before = self.cpu()?;
        let seen = self.send(&mut load, self.requests)?;
        let after = self.cpu()?;
        let million = seen.requests as f64 / 1e6;
        let cost = |before: u64, after: u64| (after - before) as f64 / 1e9 / million;
        let micros = |part: f64| seen.latency.value_at_quantile(part) as f64 / 1e3;
        let memory = self.pids.0.map(|pid| figures::memory_mib(pid, "VmRSS"));
        Ok(Sample {
            cpu: before
                .0
                .zip(after.0)
                .map(|(before, after)| cost(before, after)),
            cpu_servers: cost(before.1, after.1),
            rate: seen.requests as f64 / seen.span.as_secs_f64(),
            p50: micros(0.5),
            p99: micros(0.99),
            p999: micros(0.999),
            memory: memory.transpose()?,
            load_busy: seen.busy,
        })
    }

    fn send(&self, load: &mut Load, requests: u64) -> Result<Seen, Failure> {
        match self.shape.pace {
            Pace::Closed { pipeline } => load.closed(requests, pipeline),
            Pace::Open { rate } => load.open(requests, rate),
            Pace::Churn | Pace::Idle => load.churn(requests, self.shape.connections),
        }
    }

    /// Nanoseconds of the proxy and of the servers so far.
    fn cpu(&self) -> anyhow::Result<(Option<u64>, u64)> {
        std::thread::sleep(REST);
        let proxy = self.pids.0.map(figures::cpu_nanos).transpose()?;
        let mut servers = 0;
        for pid in &self.pids.1 {
            servers += figures::cpu_nanos(*pid)?;
        }
        Ok((proxy, servers))
    }
}
