//! Counters of all workers, summed when somebody asks.
//!
//! Workers never stop for a reader: this reads their counters as they are. What happens once a
//! second (requests per second, CPU use) is sampled by [`Figures::sample`].

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use codis_core::api::{
    CommandStats, Ops, OpsRedis, ProxyStats, Runtime, RuntimeGeneral, RuntimeHeap, Rusage, Sessions,
};
use codis_runtime::{host, process};

use crate::data::counters::{Counter, Counters, command_name};
use crate::data::latency::{self, CLASSES, Class, Sums};
use crate::data::worker::Shared;

/// How often [`Figures::sample`] is to be called.
pub const SAMPLE_PERIOD: Duration = Duration::from_secs(1);

/// Bit of the statistics' flags that asks for the list of commands. Bit 2 would ask for slots,
/// which only the overview has.
pub const FLAG_COMMANDS: i64 = 1;
/// Bit of the statistics' flags that asks for figures of the runtime.
pub const FLAG_RUNTIME: i64 = 4;
/// All parts of the statistics.
pub const FLAG_ALL: i64 = FLAG_COMMANDS | FLAG_RUNTIME;

/// By address: connections, those that are up, queued and in-flight requests, replies, losses.
pub type Backends = BTreeMap<Arc<str>, [u64; 6]>;

/// Sums since start or reset.
#[derive(Debug)]
pub struct Figures {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    base: Base,
    last_total: u64,
    qps: u64,
    cpu: f64,
    sample: Option<process::Sample>,
}

/// What the counters said at the last reset.
#[derive(Debug, Default)]
struct Base {
    total: u64,
    fails: u64,
    errors: u64,
    sessions: u64,
    commands: Vec<[u64; 4]>,
}

impl Figures {
    /// Figures of the workers behind `shared`.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A counter, summed over the workers since the start.
    pub fn sum(&self, of: impl Fn(&Counters) -> &Counter) -> u64 {
        let ports = self.shared.ports.iter();
        ports.map(|port| of(&port.counters).get()).sum()
    }

    /// Requests decoded in the last second.
    pub fn qps(&self) -> u64 {
        self.state().qps
    }

    /// Cores in use in the last second.
    pub fn cores(&self) -> f64 {
        self.state().cpu
    }

    /// Tasks of all workers.
    pub fn tasks(&self) -> u64 {
        let ports = self.shared.ports.iter();
        let metrics = ports.filter_map(|port| port.runtime.get());
        metrics.map(|m| m.num_alive_tasks() as u64).sum()
    }

    /// Requests that the slow log has taken.
    pub fn slow_total(&self) -> u64 {
        self.shared.slow().next().map_or(0, |ring| ring.taken())
    }

    /// The times of a class of commands since the start.
    pub fn latency(&self, class: Class) -> Sums {
        let mut sums = latency::EMPTY;
        for port in &self.shared.ports {
            port.counters.latency.add_to(class, &mut sums);
        }
        sums
    }

    /// Seconds that requests of each class took, summed.
    pub fn seconds_by_class(&self) -> [f64; CLASSES.len()] {
        let mut out = [0.0; CLASSES.len()];
        let counters = &self.shared.ports[0].counters;
        for (index, [_, micros, ..]) in self.commands().into_iter().enumerate() {
            out[counters.class(index)] += micros as f64 / 1e6;
        }
        out
    }

    /// What the connections of all workers show, by backend.
    pub fn backends(&self) -> Backends {
        let mut out = Backends::new();
        let links = self.shared.ports.iter().flat_map(|port| port.links());
        for link in links {
            let sums = out.entry(link.address.clone()).or_default();
            let shown = [
                1,
                link.up.get(),
                link.queued.get(),
                link.in_flight.get(),
                link.replies.get(),
                link.losses.get(),
            ];
            for (sum, value) in sums.iter_mut().zip(shown) {
                *sum += value;
            }
        }
        out
    }

    /// The number of open sessions.
    pub fn alive(&self) -> u64 {
        self.shared.alive.load(Ordering::Relaxed) as u64
    }

    /// Takes the once-a-second figures.
    pub fn sample(&self) {
        let total = self.sum(|c| &c.total);
        let now = process::Sample::take().ok();
        let mut state = self.state();
        state.qps = total.saturating_sub(state.last_total);
        state.last_total = total;
        if let (Some(now), Some(before)) = (&now, &state.sample) {
            state.cpu = now.cores_since(before);
        }
        state.sample = now;
    }

    /// Counts from zero again.
    pub fn reset(&self) {
        let base = Base {
            total: self.sum(|c| &c.total),
            fails: self.sum(|c| &c.fails),
            errors: self.sum(|c| &c.errors),
            sessions: self.sum(|c| &c.sessions).saturating_sub(self.alive()),
            commands: self.commands(),
        };
        self.state().base = base;
    }

    /// Calls, microseconds, fails and errors by command, since the start.
    pub fn commands(&self) -> Vec<[u64; 4]> {
        let mut out = vec![[0; 4]; self.shared.ports[0].counters.commands.len()];
        for port in &self.shared.ports {
            for (sums, command) in out.iter_mut().zip(&port.counters.commands) {
                let counters = [
                    &command.calls,
                    &command.usecs,
                    &command.fails,
                    &command.errors,
                ];
                for (sum, counter) in sums.iter_mut().zip(counters) {
                    *sum += counter.get();
                }
            }
        }
        out
    }

    fn command_stats(&self, base: &Base) -> Vec<CommandStats> {
        let mut out = Vec::new();
        for (index, mut sums) in self.commands().into_iter().enumerate() {
            if let Some(before) = base.commands.get(index) {
                for (sum, before) in sums.iter_mut().zip(before) {
                    *sum = sum.saturating_sub(*before);
                }
            }
            let [calls, usecs, fails, redis_errtype] = sums;
            if calls > 0 || fails > 0 {
                let opstr = command_name(index).to_owned();
                let usecs_percall = usecs.checked_div(calls).unwrap_or(0);
                out.push(CommandStats {
                    opstr,
                    calls,
                    usecs,
                    usecs_percall,
                    fails,
                    redis_errtype,
                });
            }
        }
        out.sort_by(|a, b| a.opstr.cmp(&b.opstr));
        out
    }

    fn runtime(&self) -> Runtime {
        let memory = process::Memory::now();
        Runtime {
            general: RuntimeGeneral {
                alloc: memory.resident,
                sys: memory.reserved,
                ..RuntimeGeneral::default()
            },
            heap: RuntimeHeap {
                alloc: memory.resident,
                sys: memory.reserved,
                idle: memory.reserved.saturating_sub(memory.resident),
                inuse: memory.resident,
                objects: 0,
            },
            num_procs: self.shared.started().count() as u64,
            num_goroutines: self.tasks() + self.alive(),
            ..Runtime::default()
        }
    }

    /// The figures of the API, with the parts that `flags` names.
    pub fn stats(&self, flags: i64) -> ProxyStats {
        let state = self.state();
        let base = &state.base;
        let mut raw = state
            .sample
            .as_ref()
            .map(|s| s.raw.clone())
            .unwrap_or_default();
        if let Ok(now) = process::Sample::take() {
            raw = now.raw;
        }
        ProxyStats {
            ops: Ops {
                total: self.sum(|c| &c.total).saturating_sub(base.total),
                fails: self.sum(|c| &c.fails).saturating_sub(base.fails),
                redis: OpsRedis {
                    errors: self.sum(|c| &c.errors).saturating_sub(base.errors),
                },
                qps: state.qps,
                cmd: if flags & FLAG_COMMANDS != 0 {
                    self.command_stats(base)
                } else {
                    Vec::new()
                },
            },
            sessions: Sessions {
                total: self.sum(|c| &c.sessions).saturating_sub(base.sessions),
                alive: self.alive(),
            },
            rusage: Rusage {
                now: host::now_text(),
                cpu: state.cpu,
                mem: raw.vm_rss,
                raw,
            },
            runtime: (flags & FLAG_RUNTIME != 0).then(|| self.runtime()),
            ..ProxyStats::default()
        }
    }
}
