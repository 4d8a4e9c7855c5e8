//! Everything that the proxy counts, in the form of Prometheus. Nothing here is ever reset.

mod slots;
mod stalls;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use codis_runtime::metrics::put;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Control;
use super::figures::{Backends, Figures};
use crate::data::counters::{Counter, Counters, ERROR_CODES, command_name};
use crate::data::latency::{self, CLASSES, Sums};
use crate::route::{Hold, Route, Table};

/// Reads all counters at each scrape.
#[derive(Debug)]
pub struct Exposed(pub Arc<Control>);

impl Collector for Exposed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let out = &mut encoder;
        let figures = &self.0.figures;
        counters(out, figures)?;
        gauges(out, &self.0)?;
        errors(out, figures)?;
        commands(out, figures)?;
        durations(out, figures)?;
        slots_by_state(out, &self.0)?;
        slots::encode(&self.0, out)?;
        stalls::encode(&self.0, out)?;
        backends(out, figures)?;
        epochs(out, &self.0)
    }
}

type Encoded = Result<(), fmt::Error>;

fn counters(out: &mut DescriptorEncoder<'_>, figures: &Figures) -> Encoded {
    type Row = (&'static str, &'static str, fn(&Counters) -> &Counter);
    let rows: [Row; 8] = [
        ("requests", "Requests decoded", |c| &c.total),
        (
            "fails",
            "Requests and sessions that the proxy failed",
            |c| &c.fails,
        ),
        ("error_replies", "Error replies delivered", |c| &c.errors),
        ("sessions", "Sessions accepted", |c| &c.sessions),
        ("retries", "Requests sent again", |c| &c.retries),
        (
            "writes_unknown",
            "Writes whose outcome the client was told is unknown",
            |c| &c.unknown,
        ),
        ("session_read_bytes", "Bytes read from clients", |c| {
            &c.bytes_in
        }),
        ("session_written_bytes", "Bytes written to clients", |c| {
            &c.bytes_out
        }),
    ];
    for (name, help, of) in rows {
        put(out, name, help, &ConstCounter::new(figures.sum(of)))?;
    }
    let slow = figures.slow_total();
    put(
        out,
        "slow_requests",
        "Requests that the slow log has taken",
        &ConstCounter::new(slow),
    )
}

fn gauges(out: &mut DescriptorEncoder<'_>, control: &Control) -> Encoded {
    let figures = &control.figures;
    let table = control.shared.table.load();
    let offline = |route: &&Route| route.master.is_none();
    let buffered = control.shared.buffered.load(Ordering::Relaxed);
    let rows: [(&str, &str, u64); 12] = [
        ("sessions_alive", "Sessions open", figures.alive()),
        (
            "sessions_buffered_bytes",
            "Unfinished requests and unread replies of sessions with 64 KiB or more",
            buffered as u64,
        ),
        (
            "sessions_buffered_bytes_max",
            "What session_max_buffered allows, 0 without limit",
            control.settings().session_max_buffered.as_usize() as u64,
        ),
        (
            "sessions_alive_max",
            "Sessions allowed",
            control.settings().proxy_max_clients as u64,
        ),
        (
            "requests_held",
            "Requests that wait for a route",
            figures.sum(|c| &c.waiting),
        ),
        (
            "requests_per_second",
            "Requests decoded in the last second",
            figures.qps(),
        ),
        (
            "backend_links",
            "Links to backends that are up",
            figures.sum(|c| &c.links),
        ),
        (
            "online",
            "Whether clients are served",
            u64::from(control.is_online()),
        ),
        (
            "slots_offline",
            "Slots without a backend",
            table.routes.iter().filter(offline).count() as u64,
        ),
        ("route_version", "Version of the route table", table.version),
        (
            "workers",
            "Worker threads",
            control.shared.started().count() as u64,
        ),
        ("tasks", "Tasks of all workers", figures.tasks()),
    ];
    for (name, help, value) in rows {
        put(out, name, help, &gauge(value))?;
    }
    let cores = ConstGauge::new(figures.cores());
    put(out, "cpu_cores", "Cores in use in the last second", &cores)
}

fn errors(out: &mut DescriptorEncoder<'_>, figures: &Figures) -> Encoded {
    let codes = ERROR_CODES.iter().copied().chain(["other"]);
    let rows = codes.enumerate().map(|(index, code)| {
        let value = figures.sum(|c| &c.codes[index]);
        ([("code", code)], ConstCounter::new(value))
    });
    family(
        out,
        "error_replies_by_code",
        "Error replies delivered, by the first word of their text",
        MetricType::Counter,
        rows,
    )
}

fn commands(out: &mut DescriptorEncoder<'_>, figures: &Figures) -> Encoded {
    let used: Vec<(&str, [u64; 4])> = figures
        .commands()
        .into_iter()
        .enumerate()
        .filter(|(_, sums)| sums[0] > 0)
        .map(|(index, sums)| (command_name(index), sums))
        .collect();
    let rows = |member: usize| {
        used.iter().map(move |(name, sums)| {
            let name = if name.is_empty() { "invalid" } else { name };
            ([("command", name)], ConstCounter::new(sums[member]))
        })
    };
    let kind = MetricType::Counter;
    family(out, "command_calls", "Requests answered", kind, rows(0))?;
    let seconds = used.iter().map(|(name, sums)| {
        let name = if name.is_empty() { "invalid" } else { name };
        let seconds = sums[1] as f64 / 1e6;
        ([("command", name)], ConstCounter::new(seconds))
    });
    let help = "Seconds from decoding to reply, summed";
    family(out, "command_seconds", help, kind, seconds)?;
    let help = "Requests that the proxy failed";
    family(out, "command_fails", help, kind, rows(2))?;
    family(out, "command_errors", "Error replies", kind, rows(3))
}

fn durations(out: &mut DescriptorEncoder<'_>, figures: &Figures) -> Encoded {
    let mut family = out.encode_descriptor(
        "request_duration_seconds",
        "From decoding to reply, by class of command",
        None,
        MetricType::Histogram,
    )?;
    let seconds = figures.seconds_by_class();
    for (class, name) in CLASSES {
        let counts: Sums = figures.latency(class);
        let bounds = (0..counts.len()).map(latency::bound);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let total = counts.iter().sum();
        let labels = [("class", name)];
        let mut one = family.encode_family(&labels)?;
        let sum = seconds[class.index()];
        one.encode_histogram::<NoLabelSet>(sum, total, &buckets, None)?;
    }
    Ok(())
}

fn slots_by_state(out: &mut DescriptorEncoder<'_>, control: &Control) -> Encoded {
    let rows = slot_states(&control.shared.table.load())
        .into_iter()
        .map(|(state, count)| ([("state", state)], gauge(count)));
    let help = "Slots by what happens to their requests";
    family(out, "slots", help, MetricType::Gauge, rows)
}

/// How many slots are in each state.
pub fn slot_states(table: &Table) -> BTreeMap<&'static str, u64> {
    let states = ["offline", "locked", "held", "migrating", "open"];
    let mut counts = BTreeMap::from(states.map(|state| (state, 0)));
    for route in &table.routes {
        *counts.entry(slot_state(route)).or_default() += 1;
    }
    counts
}

/// What happens to new requests of a slot.
fn slot_state(route: &Route) -> &'static str {
    if route.master.is_none() {
        "offline"
    } else if route.wire.locked {
        "locked"
    } else if matches!(route.hold, Hold::Held | Hold::Cut) {
        "held"
    } else if route.wire.migrate_from.is_empty() {
        "open"
    } else {
        "migrating"
    }
}

fn backends(out: &mut DescriptorEncoder<'_>, figures: &Figures) -> Encoded {
    let backends: Backends = figures.backends();
    type Row = (&'static str, &'static str, MetricType, usize);
    let rows: [Row; 6] = [
        (
            "backend_connections",
            "Connections, up or not",
            MetricType::Gauge,
            0,
        ),
        (
            "backend_connections_up",
            "Connections that are up",
            MetricType::Gauge,
            1,
        ),
        (
            "backend_queued_requests",
            "Requests that have not left",
            MetricType::Gauge,
            2,
        ),
        (
            "backend_in_flight_requests",
            "Requests that have left and have no reply",
            MetricType::Gauge,
            3,
        ),
        (
            "backend_replies",
            "Replies that came",
            MetricType::Counter,
            4,
        ),
        (
            "backend_losses",
            "Connections that were lost",
            MetricType::Counter,
            5,
        ),
    ];
    for (name, help, kind, member) in rows {
        let sums = backends.iter().map(|(address, sums)| {
            let labels = [("backend", address.as_ref())];
            (labels, sums[member])
        });
        if kind.as_str() == "counter" {
            let rows = sums.map(|(labels, value)| (labels, ConstCounter::new(value)));
            family(out, name, help, kind, rows)?;
        } else {
            let rows = sums.map(|(labels, value)| (labels, gauge(value)));
            family(out, name, help, kind, rows)?;
        }
    }
    Ok(())
}

fn epochs(out: &mut DescriptorEncoder<'_>, control: &Control) -> Encoded {
    let epochs = control.sentinels().epochs;
    let rows = epochs
        .iter()
        .map(|(group, epoch)| ([("group", group.as_str())], gauge(epoch.0)));
    let help = "The config epoch that the proxy routes a group by";
    family(out, "group_epoch", help, MetricType::Gauge, rows)
}

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

/// One metric for each value of a label.
fn family<'a, M: EncodeMetric>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    kind: MetricType,
    rows: impl Iterator<Item = ([(&'a str, &'a str); 1], M)>,
) -> Encoded {
    let mut family = out.encode_descriptor(name, help, None, kind)?;
    for (labels, metric) in rows {
        metric.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
