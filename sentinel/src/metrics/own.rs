//! The figures that only this sentinel tells.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::families::{Families, Labels};
use super::{Figures, MasterFigures};

/// Tells them; the names start with `codis_sentinel_`.
#[derive(Debug)]
pub struct Own(pub Figures);

const PREFIX: &str = "codis_sentinel_";

/// A figure of a master.
type Row = (&'static str, &'static str, fn(&MasterFigures) -> f64);

const MASTER: [Row; 5] = [
    ("master_s_down", "The master is S_DOWN", |m| truth(m.s_down)),
    ("master_o_down", "The master is O_DOWN", |m| truth(m.o_down)),
    (
        "master_failover_in_progress",
        "A failover is under way",
        |m| truth(m.failing_over),
    ),
    ("master_config_epoch", "Epoch of the address", |m| {
        m.config_epoch as f64
    }),
    (
        "master_fence_epoch",
        "Highest epoch of an own vote about the master",
        |m| m.fence_epoch as f64,
    ),
];

/// Counters, and the event that each counts.
const COUNTED: [(&str, &str, &str); 6] = [
    (
        "votes_given",
        "Votes given, own ones included",
        "+vote-for-leader",
    ),
    ("failovers_started", "Elections stood for", "+try-failover"),
    ("elections_won", "Elections won", "+elected-leader"),
    (
        "elections_lost",
        "Elections not won in time",
        "-failover-abort-not-elected",
    ),
    (
        "promotions",
        "Replicas promoted as leader",
        "+promoted-slave",
    ),
    ("master_switches", "Masters that moved", "+switch-master"),
];

fn truth(is: bool) -> f64 {
    f64::from(u8::from(is))
}

impl Collector for Own {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(figures) = self;
        let mut out = Families::new(encoder);
        for (name, help, value) in [
            (
                "current_epoch",
                "Highest epoch seen",
                figures.current_epoch as f64,
            ),
            ("connected_clients", "Clients", figures.clients as f64),
            (
                "subscribers",
                "Clients with a subscription",
                figures.subscribers as f64,
            ),
            (
                "unread_event_bytes",
                "Bytes of events that subscribers have not read",
                figures.unread_bytes as f64,
            ),
            (
                "disk_refuses",
                "The state cannot be written",
                truth(figures.disk_refuses),
            ),
        ] {
            out.gauge(&format!("{PREFIX}{name}"), help, value)?;
        }
        for (name, help, value) in [
            ("commands", "Requests", figures.commands),
            ("connections", "Connections accepted", figures.connections),
            (
                "connections_rejected",
                "Connections over the limit",
                figures.rejected,
            ),
            (
                "subscribers_cut_off",
                "Subscribers that fell behind",
                figures.cut_off,
            ),
            (
                "persist_failures",
                "Writes of the state that failed",
                figures.persist_failures,
            ),
            ("tilts", "How often TILT was entered", figures.tilts),
        ] {
            out.counter(&format!("{PREFIX}{name}"), help, value)?;
        }
        for (name, help, event) in COUNTED {
            let count = figures.events.get(event).copied().unwrap_or_default();
            out.counter(&format!("{PREFIX}{name}"), help, count)?;
        }
        let events = figures.events.iter();
        out.counters(
            &format!("{PREFIX}events"),
            "Events told, by name",
            events.map(|(name, count)| (vec![("event", (*name).to_owned())], *count)),
        )?;
        for (name, help, value) in MASTER {
            let rows = figures.masters.iter().map(|m| (labels(m), value(m)));
            out.gauges(&format!("{PREFIX}{name}"), help, rows)?;
        }
        last_failovers(&mut out, &figures.masters)
    }
}

fn last_failovers(out: &mut Families<'_>, masters: &[MasterFigures]) -> fmt::Result {
    let last = || {
        let moved = |m| Some((m, MasterFigures::last_failover(m)?));
        masters.iter().filter_map(moved)
    };
    out.gauges(
        &format!("{PREFIX}last_failover_timestamp_seconds"),
        "When the last failover that moved the master began",
        last().map(|(master, failover)| (labels(master), failover.start.as_secs_f64())),
    )?;
    out.gauges(
        &format!("{PREFIX}last_failover_stage_seconds"),
        "When it reached each stage, after the last proof of life of the old master",
        last().flat_map(|(master, failover)| {
            failover.stages.iter().map(|(stage, after)| {
                let mut labels = labels(master);
                labels.push(("stage", stage.clone()));
                (labels, after.as_secs_f64())
            })
        }),
    )
}

fn labels(master: &MasterFigures) -> Labels {
    vec![("master_name", master.name.clone())]
}

impl MasterFigures {
    fn last_failover(&self) -> Option<&super::LastFailover> {
        self.last_failover.as_ref()
    }
}
