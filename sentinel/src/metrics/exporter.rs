//! The figures that the redis_exporter draws from a sentinel, under its names and labels.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::families::{Families, Labels};
use super::{Figures, MasterFigures};

/// Tells what the exporter would; `None` when the event loop did not answer.
#[derive(Debug)]
pub struct Exporter(pub Option<Figures>);

/// A figure of a master.
type Row = (&'static str, &'static str, fn(&MasterFigures) -> f64);

const MASTER: [Row; 10] = [
    ("slaves", "Replicas of the master", |m| m.replicas[0] as f64),
    ("ok_slaves", "Replicas that are not S_DOWN", |m| {
        m.replicas[1] as f64
    }),
    ("sentinels", "Sentinels of the master, with this one", |m| {
        m.sentinels[0] as f64
    }),
    ("ok_sentinels", "Sentinels that are not S_DOWN", |m| {
        m.sentinels[1] as f64
    }),
    (
        "last_ok_ping_reply_seconds",
        "Age of the last good reply to a PING",
        |m| m.last_ok_ping.as_secs_f64(),
    ),
    ("config_epoch", "Epoch of the address", |m| {
        m.config_epoch as f64
    }),
    ("setting_ckquorum", "The quorum", |m| f64::from(m.quorum)),
    ("setting_parallel_syncs", "parallel-syncs", |m| {
        f64::from(m.parallel_syncs)
    }),
    (
        "setting_failover_timeout",
        "failover-timeout in milliseconds",
        |m| m.failover_timeout.as_millis() as f64,
    ),
    (
        "setting_down_after_milliseconds",
        "down-after-milliseconds",
        |m| m.down_after.as_millis() as f64,
    ),
];

impl Collector for Exporter {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Families::new(encoder);
        let up = f64::from(u8::from(self.0.is_some()));
        out.gauge("redis_up", "Whether the event loop answered", up)?;
        let Some(figures) = &self.0 else {
            return Ok(());
        };
        for (name, help, value) in [
            ("masters", "Monitored masters", figures.masters.len() as f64),
            ("tilt", "In TILT", f64::from(u8::from(figures.tilt))),
            (
                "running_scripts",
                "Scripts that run",
                figures.scripts_running as f64,
            ),
            (
                "scripts_queue_length",
                "Scripts that run or wait",
                figures.scripts_queued as f64,
            ),
            (
                "simulate_failure_flags",
                "Failures to simulate",
                f64::from(figures.simulated),
            ),
        ] {
            out.gauge(&format!("redis_sentinel_{name}"), help, value)?;
        }
        let masters = &figures.masters;
        out.gauges(
            "redis_sentinel_master_status",
            "1 when the master is neither S_DOWN nor O_DOWN",
            masters.iter().map(|master| {
                let status = status(master);
                let mut labels = labels(master);
                labels.push(("master_status", status.to_owned()));
                (labels, f64::from(u8::from(status == "ok")))
            }),
        )?;
        out.gauges(
            "redis_sentinel_master_ckquorum_status",
            "1 when a failover could be agreed on",
            masters.iter().map(|master| {
                let (ok, message) = &master.quorum_ok;
                let name = ("master_name", master.name.clone());
                let labels = vec![name, ("message", message.clone())];
                (labels, f64::from(u8::from(*ok)))
            }),
        )?;
        for (name, help, value) in MASTER {
            let rows = masters.iter().map(|master| (labels(master), value(master)));
            out.gauges(&format!("redis_sentinel_master_{name}"), help, rows)?;
        }
        Ok(())
    }
}

fn labels(master: &MasterFigures) -> Labels {
    vec![
        ("master_name", master.name.clone()),
        ("master_address", master.addr.clone()),
    ]
}

fn status(master: &MasterFigures) -> &'static str {
    match (master.o_down, master.s_down) {
        (true, _) => "odown",
        (false, true) => "sdown",
        (false, false) => "ok",
    }
}
