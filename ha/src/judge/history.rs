//! What earlier readings said: polls missed in a row, who was in which group, what was ordered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use codis_core::api::Stats;
use codis_core::time::Time;

use super::line::{Mark, mark};
use super::{Act, SAMPLES_MIN};

/// The longest pause between two equal orders.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// One server through the polls.
#[derive(Clone, Debug, Default)]
struct Row {
    /// When the last counted poll was made, on the dashboard's clock.
    unixtime: i64,
    /// Polls in a row that failed.
    missed: u32,
    /// Polls in a row that found it alive and following the wrong server, or nobody.
    astray: u32,
    /// The first of the failed ones, on our clock.
    silent_since: Option<Time>,
    /// The history of writes that it had when it last answered.
    lineage: Option<String>,
    /// Groups in which it led or followed.
    groups: BTreeSet<u32>,
}

/// How often something was ordered, and when last.
#[derive(Clone, Copy, Debug)]
struct Ordered {
    times: u32,
    at: Time,
}

#[derive(Clone, Debug, Default)]
pub struct History {
    rows: BTreeMap<String, Row>,
    /// By what was ordered, as text.
    ordered: BTreeMap<String, Ordered>,
}

impl History {
    pub fn handle_stats(&mut self, now: Time, stats: &Stats) {
        let mut seen = BTreeSet::new();
        for group in &stats.group.models {
            let master = group.servers.first().map(|server| server.addr.as_str());
            for (index, server) in group.servers.iter().enumerate() {
                seen.insert(server.addr.clone());
                let row = self.rows.entry(server.addr.clone()).or_default();
                let expected = if index == 0 { None } else { master };
                row.handle_poll(now, group.id, stats, &server.addr, expected);
            }
        }
        self.rows.retain(|addr, _| seen.contains(addr));
    }

    /// A gap in the readings: nothing is in a row any more.
    pub fn forget_samples(&mut self) {
        for row in self.rows.values_mut() {
            (row.missed, row.astray, row.silent_since) = (0, 0, None);
        }
    }

    pub fn handle_acted(&mut self, now: Time, act: &Act) {
        let ordered = self
            .ordered
            .entry(key(act))
            .or_insert(Ordered { times: 0, at: now });
        ordered.times += 1;
        ordered.at = now;
    }

    /// How long an order has still to wait because it was given before.
    pub fn wait(&self, now: Time, act: &Act, interval: Duration) -> Option<Duration> {
        let ordered = self.ordered.get(&key(act))?;
        let doubled = interval * SAMPLES_MIN * (1 << ordered.times.min(6));
        let due = ordered.at + doubled.min(PAUSE_MAX);
        (due > now).then(|| due.since(now))
    }

    pub fn missed(&self, addr: &str) -> u32 {
        self.rows.get(addr).map_or(0, |row| row.missed)
    }

    pub fn astray(&self, addr: &str) -> u32 {
        self.rows.get(addr).map_or(0, |row| row.astray)
    }

    pub fn silent_for(&self, now: Time, addr: &str) -> Duration {
        let since = self.rows.get(addr).and_then(|row| row.silent_since);
        since.map_or(Duration::ZERO, |since| now.since(since))
    }

    pub fn lineage(&self, addr: &str) -> Option<&str> {
        self.rows.get(addr)?.lineage.as_deref()
    }

    pub fn was_in(&self, group: u32, addr: &str) -> bool {
        self.rows
            .get(addr)
            .is_some_and(|row| row.groups.contains(&group))
    }
}

impl Row {
    fn handle_poll(
        &mut self,
        now: Time,
        group: u32,
        stats: &Stats,
        addr: &str,
        expected: Option<&str>,
    ) {
        let Some(polled) = stats.group.stats.get(addr) else {
            // A dashboard that has not asked yet knows nothing, and its next word is its first.
            (self.missed, self.astray, self.silent_since) = (0, 0, None);
            return;
        };
        if polled.unixtime == self.unixtime {
            return;
        }
        self.unixtime = polled.unixtime;
        let mark = mark(Some(polled), expected);
        match mark {
            Mark::Error | Mark::Timeout => {
                self.missed = self.missed.saturating_add(1);
                self.astray = 0;
                self.silent_since.get_or_insert(now);
                return;
            }
            Mark::Fine | Mark::Astray | Mark::Unknown => {
                (self.missed, self.silent_since) = (0, None);
            }
        }
        self.lineage = polled.stats.get("master_replid").cloned();
        let follows = polled.stats.get("master_addr").map(String::as_str);
        if follows == expected {
            // A link that is down for now is no reason to give the same order again.
            self.astray = 0;
            self.groups.insert(group);
        } else {
            self.astray = self.astray.saturating_add(1);
        }
    }
}

fn key(act: &Act) -> String {
    match act {
        Act::Promote { group, .. } => format!("promote group-{group}"),
        Act::Reattach { server } => format!("reattach {server}"),
    }
}
