//! `--proxy-status` and `--group-status`: one line each, with a mark in front.
//!
//! `[?]` not polled yet, `[E]` error, `[T]` timeout, `[X]` not following as it should, `[ ]` fine.

use codis_core::api::{GroupSection, ProxySection, ServerStats};
use serde::Serialize;

use super::Dashboard;
use crate::cli::Options;
use crate::output::{aligned, print, print_json};

/// A line of `--proxy-status`.
#[derive(Serialize, Debug, PartialEq, Eq)]
struct ProxyLine {
    mark: char,
    id: u32,
    token: String,
    admin_addr: String,
    proxy_addr: String,
}

/// A line of `--group-status`.
#[derive(Serialize, Debug, PartialEq, Eq)]
struct ServerLine {
    mark: char,
    group: u32,
    index: usize,
    server: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    follows: Option<String>,
}

/// `--proxy-status`.
pub async fn proxies(dashboard: &Dashboard, options: &Options) -> anyhow::Result<()> {
    let lines = proxy_lines(&dashboard.stats().await?.proxy);
    if options.json() {
        return print_json(&lines);
    }
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            vec![
                format!("[{}] proxy-{}", line.mark, line.id),
                format!("[T] {}", line.token),
                format!("[A] {}", line.admin_addr),
                format!("[P] {}", line.proxy_addr),
            ]
        })
        .collect();
    print(aligned(&rows).as_bytes())
}

/// `--group-status`.
pub async fn groups(dashboard: &Dashboard, options: &Options) -> anyhow::Result<()> {
    let lines = server_lines(&dashboard.stats().await?.group);
    if options.json() {
        return print_json(&lines);
    }
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let follows = line.follows.as_ref().map(|link| format!("     ==> {link}"));
            vec![
                format!("[{}] group-{}", line.mark, line.group),
                format!("[{}]", line.index),
                line.server.clone(),
                follows.unwrap_or_default(),
            ]
        })
        .collect();
    print(aligned(&rows).as_bytes())
}

fn proxy_lines(section: &ProxySection) -> Vec<ProxyLine> {
    let mark = |token: &str| match section.stats.get(token) {
        None => '?',
        Some(report) if report.error.is_some() => 'E',
        Some(report) if report.timeout || report.stats.is_none() => 'T',
        Some(_) => ' ',
    };
    section
        .models
        .iter()
        .map(|proxy| ProxyLine {
            mark: mark(&proxy.token),
            id: proxy.id,
            token: proxy.token.clone(),
            admin_addr: proxy.admin_addr.clone(),
            proxy_addr: proxy.proxy_addr.clone(),
        })
        .collect()
}

fn server_lines(section: &GroupSection) -> Vec<ServerLine> {
    let mut lines = Vec::new();
    for group in &section.models {
        let master = group
            .servers
            .first()
            .map(|server| server.addr.as_str())
            .unwrap_or_default();
        for (index, server) in group.servers.iter().enumerate() {
            let expected = if index == 0 {
                "NO:ONE".to_owned()
            } else {
                format!("{master}:up")
            };
            let (mark, follows) = judge(section.stats.get(&server.addr), &expected);
            let (group, server) = (group.id, server.addr.clone());
            lines.push(ServerLine {
                mark,
                group,
                index,
                server,
                follows,
            });
        }
    }
    lines
}

fn judge(polled: Option<&ServerStats>, expected: &str) -> (char, Option<String>) {
    let Some(polled) = polled else {
        return ('?', None);
    };
    if polled.error.is_some() {
        return ('E', None);
    }
    if polled.timeout || polled.stats.is_empty() {
        return ('T', None);
    }
    let link = match polled.stats.get("master_addr") {
        Some(master) => {
            let status = polled
                .stats
                .get("master_link_status")
                .map_or("", String::as_str);
            format!("{master}:{status}")
        }
        None => "NO:ONE".to_owned(),
    };
    (if link == expected { ' ' } else { 'X' }, Some(link))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use codis_core::api::RemoteError;
    use codis_core::model::{Group, GroupServer};

    use super::*;

    fn polled(pairs: &[(&str, &str)]) -> ServerStats {
        let stats = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        ServerStats {
            stats,
            ..ServerStats::default()
        }
    }

    #[test]
    fn marks_tell_who_does_not_follow() {
        let server = |addr: &str| GroupServer {
            addr: addr.to_owned(),
            ..GroupServer::default()
        };
        let servers = ["a:1", "b:1", "c:1", "d:1", "e:1"].map(server).to_vec();
        let group = Group {
            id: 1,
            servers,
            ..Group::default()
        };
        let stats = BTreeMap::from([
            ("a:1".to_owned(), polled(&[("role", "master")])),
            (
                "b:1".to_owned(),
                polled(&[("master_addr", "a:1"), ("master_link_status", "up")]),
            ),
            (
                "c:1".to_owned(),
                polled(&[("master_addr", "a:1"), ("master_link_status", "down")]),
            ),
            (
                "d:1".to_owned(),
                ServerStats {
                    error: Some(RemoteError::new("x")),
                    ..ServerStats::default()
                },
            ),
        ]);
        let lines = server_lines(&GroupSection {
            models: vec![group],
            stats,
        });
        let marks: String = lines.iter().map(|line| line.mark).collect();
        assert_eq!(marks, "  XE?");
        assert_eq!(lines[1].follows.as_deref(), Some("a:1:up"));
    }
}
