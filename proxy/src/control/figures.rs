//! Counters of all workers, summed when somebody asks.
//!
//! Workers never stop for a reader: this reads their counters as they are. What happens once a
//! second (requests per second, CPU use) is sampled by [`Figures::sample`].

mod slots;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use codis_core::api::{CommandStats, Ops, OpsRedis, ProxyStats, Rusage, Sessions};
use codis_runtime::metrics::put;
use codis_runtime::{host, process};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::data::counters::{Counter, Counters, command_name};
use crate::data::worker::Shared;

/// How often [`Figures::sample`] is to be called.
pub const SAMPLE_PERIOD: Duration = Duration::from_secs(1);

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

    fn sum(&self, of: impl Fn(&Counters) -> &Counter) -> u64 {
        self.shared
            .ports
            .iter()
            .map(|port| of(&port.counters).get())
            .sum()
    }

    fn alive(&self) -> u64 {
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

    /// Calls, microseconds, fails and errors by command.
    fn commands(&self) -> Vec<[u64; 4]> {
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

    /// The figures of the API.
    pub fn stats(&self, commands: bool) -> ProxyStats {
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
                cmd: if commands {
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
            ..ProxyStats::default()
        }
    }
}

/// The same counters for `/metrics`, never reset.
#[derive(Debug)]
pub struct Exposed(pub Arc<super::Control>);

impl Collector for Exposed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let figures = &self.0.figures;
        let counters: [(&str, &str, u64); 6] = [
            ("requests", "Requests decoded", figures.sum(|c| &c.total)),
            (
                "fails",
                "Requests and sessions that the proxy failed",
                figures.sum(|c| &c.fails),
            ),
            (
                "error_replies",
                "Error replies delivered",
                figures.sum(|c| &c.errors),
            ),
            (
                "sessions",
                "Sessions accepted",
                figures.sum(|c| &c.sessions),
            ),
            (
                "retries",
                "Requests sent again",
                figures.sum(|c| &c.retries),
            ),
            (
                "writes_unknown",
                "Writes whose outcome the client was told is unknown",
                figures.sum(|c| &c.unknown),
            ),
        ];
        for (name, help, value) in counters {
            put(&mut encoder, name, help, &ConstCounter::new(value))?;
        }
        let table = self.0.shared.table.load();
        let offline = table
            .routes
            .iter()
            .filter(|route| route.master.is_none())
            .count();
        let gauges: [(&str, &str, u64); 7] = [
            ("sessions_alive", "Sessions open", figures.alive()),
            (
                "sessions_alive_max",
                "Sessions allowed",
                self.0.settings().proxy_max_clients as u64,
            ),
            (
                "requests_held",
                "Requests that wait for a route",
                figures.sum(|c| &c.waiting),
            ),
            (
                "backend_links",
                "Links to backends that are up",
                figures.sum(|c| &c.links),
            ),
            (
                "online",
                "Whether clients are served",
                u64::from(self.0.is_online()),
            ),
            ("slots_offline", "Slots without a backend", offline as u64),
            ("route_version", "Version of the route table", table.version),
        ];
        for (name, help, value) in gauges {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            put(&mut encoder, name, help, &ConstGauge::new(value))?;
        }
        slots::encode(&self.0, &mut encoder)
    }
}
