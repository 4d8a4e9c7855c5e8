//! One line for each proxy and server, as `codis-admin` prints them.

use std::fmt;

use codis_core::api::{ServerStats, Stats};

/// What one look says of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// As it should be.
    Fine,
    /// Not polled yet.
    Unknown,
    /// The poll failed.
    Error,
    /// The poll was not answered in time.
    Timeout,
    /// It does not follow as it should.
    Astray,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fine => "[ ]",
            Self::Unknown => "[?]",
            Self::Error => "[E]",
            Self::Timeout => "[T]",
            Self::Astray => "[X]",
        })
    }
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its mark.
    pub mark: Mark,
    /// The rest of it.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.mark, self.text)
    }
}

/// Lines of all proxies, then of all servers.
pub fn lines(stats: &Stats) -> Vec<Line> {
    let mut lines: Vec<Line> = stats
        .proxy
        .models
        .iter()
        .map(|proxy| {
            let mark = match stats.proxy.stats.get(&proxy.token) {
                None => Mark::Unknown,
                Some(report) if report.error.is_some() => Mark::Error,
                Some(report) if report.timeout || report.stats.is_none() => Mark::Timeout,
                Some(_) => Mark::Fine,
            };
            let text = format!(
                "proxy-{} [T] {} [A] {} [P] {}",
                proxy.id, proxy.token, proxy.admin_addr, proxy.proxy_addr
            );
            Line { mark, text }
        })
        .collect();
    for group in &stats.group.models {
        let master = group.servers.first().map(|server| server.addr.as_str());
        for (index, server) in group.servers.iter().enumerate() {
            let expected = if index == 0 { None } else { master };
            let polled = stats.group.stats.get(&server.addr);
            let mark = mark(polled, expected);
            let follows = match polled {
                Some(polled) if matches!(mark, Mark::Fine | Mark::Astray) => {
                    format!("      ==> {}", link(polled))
                }
                _ => String::new(),
            };
            let text = format!("group-{} [{index}] {}{follows}", group.id, server.addr);
            lines.push(Line { mark, text });
        }
    }
    lines
}

/// What a poll says of a server that should follow `master`, or nobody.
pub fn mark(polled: Option<&ServerStats>, master: Option<&str>) -> Mark {
    let Some(polled) = polled else {
        return Mark::Unknown;
    };
    if polled.error.is_some() {
        return Mark::Error;
    }
    if polled.timeout || polled.stats.is_empty() {
        return Mark::Timeout;
    }
    let expected = master.map_or_else(|| "NO:ONE".to_owned(), |addr| format!("{addr}:up"));
    if link(polled) == expected {
        Mark::Fine
    } else {
        Mark::Astray
    }
}

/// Whether the last poll found a master that follows nobody.
pub fn leads(stats: &Stats, addr: &str) -> bool {
    mark(stats.group.stats.get(addr), None) == Mark::Fine
}

fn link(polled: &ServerStats) -> String {
    let field = |name: &str| polled.stats.get(name).map_or("", String::as_str);
    match polled.stats.get("master_addr") {
        Some(master) => format!("{master}:{}", field("master_link_status")),
        None => "NO:ONE".to_owned(),
    }
}
