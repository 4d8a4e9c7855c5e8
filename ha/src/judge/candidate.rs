//! Which replica may take over, by what it said in the dashboard's last poll.

use std::cmp::Reverse;
use std::time::Duration;

use codis_core::api::{ServerStats, Stats};
use codis_core::model::Group;

use crate::witness::Witnessed;

/// A link that is up has heard nothing for longer than this when its master hangs: a master says
/// something every 10 s when nothing is written.
const IO_SILENT_S: i64 = 15;

/// What rules a replica out.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// The longest that its link may be down.
    pub link_down_max: Duration,
    /// The history of writes that the master had, when it is known.
    pub lineage: Option<&'a str>,
}

/// Whether a replica says that it hears `master`.
pub fn hears(stats: &Stats, replica: &str, master: &str) -> bool {
    let Some(polled) = answered(stats, replica) else {
        return false;
    };
    let silent = number(polled, "master_last_io_seconds_ago").unwrap_or(0);
    text(polled, "master_addr") == master
        && text(polled, "master_link_status") == "up"
        && (0..IO_SILENT_S).contains(&silent)
}

/// The best replica: the one with the most data.
///
/// # Errors
/// Why there is none, replica by replica.
pub fn best(
    stats: &Stats,
    group: &Group,
    witnessed: &Witnessed,
    limits: &Limits<'_>,
) -> Result<String, String> {
    let Some((master, replicas)) = group.servers.split_first() else {
        return Err("it has no server".to_owned());
    };
    let mut refused = Vec::new();
    let mut fit = Vec::new();
    for replica in replicas {
        let addr = &replica.addr;
        match unfit(stats, addr, &master.addr, witnessed, limits) {
            Some(reason) => refused.push(format!("{addr} {reason}")),
            None => fit.push((addr, answered(stats, addr))),
        }
    }
    let rank = |polled: Option<&ServerStats>| {
        let of = |name| polled.and_then(|polled| number(polled, name));
        let offset = of("slave_repl_offset").unwrap_or(0);
        (offset, Reverse(of("slave_priority").unwrap_or(100)))
    };
    // Of equal ones the first in the group's order.
    let best = fit
        .into_iter()
        .rev()
        .max_by_key(|(_, polled)| rank(*polled));
    best.map(|(addr, _)| addr.clone()).ok_or_else(|| {
        if refused.is_empty() {
            return format!("master {} is dead and has no replica", master.addr);
        }
        format!("no replica can take over: {}", refused.join("; "))
    })
}

fn unfit(
    stats: &Stats,
    addr: &str,
    master: &str,
    witnessed: &Witnessed,
    limits: &Limits<'_>,
) -> Option<String> {
    let Some(polled) = answered(stats, addr) else {
        return Some("does not answer the dashboard".to_owned());
    };
    if witnessed.get(addr) != Some(&true) {
        return Some("does not answer here".to_owned());
    }
    let follows = text(polled, "master_addr");
    if follows != master {
        let follows = if follows.is_empty() {
            "nobody"
        } else {
            follows
        };
        return Some(format!("follows {follows}"));
    }
    if text(polled, "loading") == "1" || text(polled, "master_sync_in_progress") == "1" {
        return Some("is still loading its data".to_owned());
    }
    if number(polled, "slave_priority") == Some(0) {
        return Some("has priority 0".to_owned());
    }
    let lineage = text(polled, "master_replid");
    if let Some(known) = limits.lineage
        && !lineage.is_empty()
        && lineage != known
    {
        return Some("has another history of writes than the master".to_owned());
    }
    if text(polled, "master_link_status") == "up" {
        return None;
    }
    match number(polled, "master_link_down_since_seconds") {
        Some(seconds @ 0..) if seconds.unsigned_abs() <= limits.link_down_max.as_secs() => None,
        Some(seconds @ 0..) => Some(format!("lost its master {seconds} s ago: too old")),
        Some(_) | None => Some("never had its master's data".to_owned()),
    }
}

/// Keys of all databases of a server.
pub fn keys(stats: &Stats, addr: &str) -> u64 {
    let of = |text: &str| -> Option<u64> {
        let keys = text
            .split(',')
            .find_map(|part| part.strip_prefix("keys="))?;
        keys.parse().ok()
    };
    let databases = answered(stats, addr)
        .into_iter()
        .flat_map(|polled| &polled.stats)
        .filter(|(name, _)| {
            let number = name.strip_prefix("db");
            number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        });
    databases.filter_map(|(_, text)| of(text)).sum()
}

/// The last poll of a server, when it answered.
fn answered<'a>(stats: &'a Stats, addr: &str) -> Option<&'a ServerStats> {
    let polled = stats.group.stats.get(addr)?;
    (polled.error.is_none() && !polled.timeout && !polled.stats.is_empty()).then_some(polled)
}

fn text<'a>(polled: &'a ServerStats, name: &str) -> &'a str {
    polled.stats.get(name).map_or("", String::as_str)
}

fn number(polled: &ServerStats, name: &str) -> Option<i64> {
    polled.stats.get(name)?.parse().ok()
}
