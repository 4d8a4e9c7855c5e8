//! `--proxy-status` and `--group-status`: one line each, with a mark in front.
//!
//! `[?]` not polled yet, `[E]` error, `[T]` timeout, `[X]` not following as it should, `[ ]` fine.

use codis_core::api::{GroupSection, ProxySection, ServerStats};
use serde::Serialize;

use super::Dashboard;
use crate::output::{Answer, aligned};

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
pub async fn proxies(dashboard: &Dashboard) -> anyhow::Result<Answer> {
    let lines = proxy_lines(&dashboard.stats().await?.proxy);
    Answer::lines(proxy_table(&lines), &lines)
}

/// `--group-status`.
pub async fn groups(dashboard: &Dashboard) -> anyhow::Result<Answer> {
    let lines = server_lines(&dashboard.stats().await?.group);
    Answer::lines(server_table(&lines), &lines)
}

/// Numbers are filled up with zeros, addresses with blanks, as in the original.
fn proxy_table(lines: &[ProxyLine]) -> String {
    let width = width(lines.iter().map(|line| line.id as usize));
    let row = |line: &ProxyLine| {
        vec![
            format!("[{}] proxy-{:0width$}", line.mark, line.id),
            format!("[T] {}", line.token),
            format!("[A] {}", line.admin_addr),
            format!("[P] {}", line.proxy_addr),
        ]
    };
    aligned(&lines.iter().map(row).collect::<Vec<_>>())
}

fn server_table(lines: &[ServerLine]) -> String {
    let group_width = width(lines.iter().map(|line| line.group as usize));
    let index_width = width(lines.iter().map(|line| line.index));
    let row = |line: &ServerLine| {
        let follows = line.follows.as_ref().map(|link| format!("     ==> {link}"));
        vec![
            format!("[{}] group-{:0group_width$}", line.mark, line.group),
            format!("[{:0index_width$}]", line.index),
            line.server.clone(),
            follows.unwrap_or_default(),
        ]
    };
    aligned(&lines.iter().map(row).collect::<Vec<_>>())
}

/// The digits of the longest number.
fn width(numbers: impl Iterator<Item = usize>) -> usize {
    let longest = numbers.max().unwrap_or(0);
    longest.checked_ilog10().unwrap_or(0) as usize + 1
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

    #[test]
    fn the_tables_are_those_of_the_original() {
        let server = |mark, group, index, server: &str, follows: Option<&str>| ServerLine {
            mark,
            group,
            index,
            server: server.to_owned(),
            follows: follows.map(str::to_owned),
        };
        let one = "127.0.0.1:20102";
        let up = format!("{one}:up");
        let mut lines = vec![
            server(' ', 1, 0, one, Some("NO:ONE")),
            server('X', 1, 1, "127.0.0.1:201", Some("NO:ONE")),
            server('E', 2, 2, "127.0.0.1:20203", None),
        ];
        assert_eq!(
            server_table(&lines),
            "[ ] group-1 [0] 127.0.0.1:20102      ==> NO:ONE\n\
             [X] group-1 [1] 127.0.0.1:201        ==> NO:ONE\n\
             [E] group-2 [2] 127.0.0.1:20203\n"
        );
        lines.push(server(' ', 10, 1, "127.0.0.1:20103", Some(&up)));
        let table = server_table(&lines);
        assert!(table.starts_with("[ ] group-01 [0] "), "{table}");
        assert!(
            table.ends_with("[ ] group-10 [1] 127.0.0.1:20103      ==> 127.0.0.1:20102:up\n"),
            "{table}"
        );
        let proxy = ProxyLine {
            mark: ' ',
            id: 1,
            token: "596b48bfa881fcf4cd737eec94144be2".to_owned(),
            admin_addr: "127.0.0.1:20811".to_owned(),
            proxy_addr: "127.0.0.1:20911".to_owned(),
        };
        assert_eq!(
            proxy_table(&[proxy]),
            "[ ] proxy-1 [T] 596b48bfa881fcf4cd737eec94144be2 [A] 127.0.0.1:20811 \
             [P] 127.0.0.1:20911\n"
        );
    }
}
