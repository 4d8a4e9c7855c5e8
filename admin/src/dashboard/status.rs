//! `--proxy-status` and `--group-status`: one line each, with a mark in front.
//!
//! `[?]` not polled yet, `[E]` error, `[T]` timeout, `[X]` not following as it should, `[ ]` fine.
//! Of one that does not answer, the line ends with how long that has been so; the original has
//! nothing there, and nothing else in the line moves for it.

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
    /// How long it has not answered; only while it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
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
    /// How long it has not answered; only while it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    /// Whom it followed when it last answered; only while it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_follows: Option<String>,
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
            line.age_ms.map(stale).unwrap_or_default(),
        ]
    };
    aligned(&lines.iter().map(row).collect::<Vec<_>>())
}

fn server_table(lines: &[ServerLine]) -> String {
    let group_width = width(lines.iter().map(|line| line.group as usize));
    let index_width = width(lines.iter().map(|line| line.index));
    let row = |line: &ServerLine| {
        let follows = line.follows.as_ref().map(|link| format!("==> {link}"));
        let age = line.age_ms.map(|age| match &line.last_follows {
            Some(link) => format!("{}, then ==> {link}", stale(age)),
            None => stale(age),
        });
        let told: Vec<String> = follows.into_iter().chain(age).collect();
        let told = (!told.is_empty()).then(|| format!("     {}", told.join(" ")));
        vec![
            format!("[{}] group-{:0group_width$}", line.mark, line.group),
            format!("[{:0index_width$}]", line.index),
            line.server.clone(),
            told.unwrap_or_default(),
        ]
    };
    aligned(&lines.iter().map(row).collect::<Vec<_>>())
}

/// What stands at the end of the line of one that does not answer.
fn stale(age_ms: u64) -> String {
    format!(
        "stale: no answer for {}.{} s",
        age_ms / 1000,
        age_ms % 1000 / 100
    )
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
            age_ms: section
                .stats
                .get(&proxy.token)
                .and_then(|report| report.age_ms),
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
            let polled = section.stats.get(&server.addr);
            let (mark, follows) = judge(polled, &expected);
            let last = polled.and_then(|polled| polled.last.as_deref());
            let (group, server) = (group.id, server.addr.clone());
            lines.push(ServerLine {
                mark,
                group,
                index,
                server,
                follows,
                age_ms: polled.and_then(|polled| polled.age_ms),
                last_follows: last.map(link_of),
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
    let link = link_of(polled);
    (if link == expected { ' ' } else { 'X' }, Some(link))
}

/// Whom a server followed when it answered.
fn link_of(polled: &ServerStats) -> String {
    let told = |name| polled.stats.get(name).map(String::as_str);
    match told("master_addr") {
        Some(master) => format!(
            "{master}:{}",
            told("master_link_status").unwrap_or_default()
        ),
        None => "NO:ONE".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use codis_core::api::{ProxyReport, RemoteError};
    use codis_core::model::{Group, GroupServer, Proxy};

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
            age_ms: None,
            last_follows: None,
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
            age_ms: None,
        };
        let row = "[ ] proxy-1 [T] 596b48bfa881fcf4cd737eec94144be2 [A] 127.0.0.1:20811 \
                   [P] 127.0.0.1:20911";
        assert_eq!(proxy_table(&[proxy]), format!("{row}\n"));
    }

    #[test]
    fn who_does_not_answer_is_told_with_its_age() {
        let hung = ServerStats {
            timeout: true,
            age_ms: Some(12_345),
            last: Some(Box::new(polled(&[
                ("master_addr", "a:1"),
                ("master_link_status", "up"),
            ]))),
            ..ServerStats::default()
        };
        let never = ServerStats {
            timeout: true,
            age_ms: Some(700),
            ..ServerStats::default()
        };
        let servers = ["a:1", "b:1"].map(|addr| GroupServer {
            addr: addr.to_owned(),
            ..GroupServer::default()
        });
        let lines = server_lines(&GroupSection {
            models: vec![Group {
                id: 1,
                servers: servers.to_vec(),
                ..Group::default()
            }],
            stats: BTreeMap::from([("a:1".to_owned(), never), ("b:1".to_owned(), hung)]),
        });
        assert_eq!(
            server_table(&lines),
            "[T] group-1 [0] a:1      stale: no answer for 0.7 s\n\
             [T] group-1 [1] b:1      stale: no answer for 12.3 s, then ==> a:1:up\n"
        );
        let told = serde_json::to_value(&lines).unwrap();
        assert_eq!(told[0]["age_ms"], 700);
        assert_eq!(told[0].get("last_follows"), None);
        assert_eq!(told[1]["age_ms"], 12_345);
        assert_eq!(told[1]["last_follows"], "a:1:up");

        let proxies = proxy_lines(&ProxySection {
            models: vec![Proxy {
                id: 1,
                token: "t".to_owned(),
                admin_addr: "p:1".to_owned(),
                proxy_addr: "p:2".to_owned(),
                ..Proxy::default()
            }],
            stats: BTreeMap::from([(
                "t".to_owned(),
                ProxyReport {
                    timeout: true,
                    age_ms: Some(61_000),
                    ..ProxyReport::default()
                },
            )]),
        });
        assert_eq!(
            proxy_table(&proxies),
            "[T] proxy-1 [T] t [A] p:1 [P] p:2 stale: no answer for 61.0 s\n"
        );
        assert_eq!(serde_json::to_value(&proxies).unwrap()[0]["age_ms"], 61_000);
    }
}
