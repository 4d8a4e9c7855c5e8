//! The ordinary server directives as lines of the file that is rewritten.
//!
//! As in Redis, one that is not in the file is added only when its value is not the default of a
//! data server: so `port` and `dir` are always there, and `protected-mode no`. What Redis adds
//! without a meaning for a sentinel (`latency-tracking-info-percentiles`) is kept but not added, so
//! that older versions can read the file.

use super::rewrite::Line;
use super::server::{self, Server, Supervised};

/// Directives with an effect whose lines stay as they are.
const LEFT_ALONE: &[&str] = &["tls-port", "unixsocket", "unixsocketperm"];

/// Whether lines of a directive are written from its value; lines of others stay as they are.
pub(super) fn is_written(keyword: &str) -> bool {
    keyword == "user" || (server::is_own(keyword) && !LEFT_ALONE.contains(&keyword))
}

/// The lines of all written directives that have a value.
pub(super) fn lines(server: &Server) -> Vec<Line> {
    let default = Server::default();
    let mut out = numbers(server, &default);
    out.extend(switches(server, &default));
    out.extend(texts(server, &default));
    if server.bind != default.bind {
        let words = server.bind.iter().map(ToString::to_string);
        out.push(Line::server("bind", words.collect()));
    }
    out
}

fn numbers(server: &Server, default: &Server) -> Vec<Line> {
    let table = [
        // Added even when it is the port of a sentinel, which is not that of a server.
        ("port", u64::from(server.port), None),
        (
            "tcp-backlog",
            u64::from(server.tcp_backlog),
            Some(u64::from(default.tcp_backlog)),
        ),
        ("timeout", server.timeout_secs, Some(default.timeout_secs)),
        (
            "tcp-keepalive",
            server.tcp_keepalive_secs,
            Some(default.tcp_keepalive_secs),
        ),
        (
            "maxclients",
            server.maxclients as u64,
            Some(default.maxclients as u64),
        ),
    ];
    let line = |(key, value, default): (&str, u64, Option<u64>)| {
        Line::server(key, vec![value.to_string()]).optional(default == Some(value))
    };
    table.into_iter().map(line).collect()
}

fn switches(server: &Server, default: &Server) -> Vec<Line> {
    let yes_no = |yes: bool| if yes { "yes" } else { "no" };
    let words = [
        // A data server has it on.
        ("protected-mode", yes_no(server.protected_mode), "yes"),
        ("daemonize", yes_no(server.daemonize), "no"),
        ("syslog-enabled", yes_no(server.syslog_enabled), "no"),
        (
            "syslog-facility",
            server.syslog_facility.as_str(),
            default.syslog_facility.as_str(),
        ),
        (
            "supervised",
            server.supervised.name(),
            Supervised::No.name(),
        ),
        ("loglevel", server.loglevel.name(), default.loglevel.name()),
    ];
    let line = |(key, value, default): (&str, &str, &str)| {
        Line::server(key, vec![value.to_owned()]).optional(value == default)
    };
    words.into_iter().map(line).collect()
}

fn texts(server: &Server, default: &Server) -> Vec<Line> {
    let path = |path: &Option<std::path::PathBuf>| {
        let path = path.as_ref()?;
        Some(path.to_string_lossy().into_owned())
    };
    let table = [
        ("logfile", Some(server.logfile.clone()), ""),
        (
            "syslog-ident",
            Some(server.syslog_ident.clone()),
            &default.syslog_ident,
        ),
        ("dir", path(&server.dir), ""),
        ("pidfile", path(&server.pidfile), ""),
        ("bind-source-addr", server.bind_source.clone(), ""),
        ("requirepass", server.requirepass.clone(), ""),
    ];
    let line = |(key, value, default): (&str, Option<String>, &str)| {
        let value = value?;
        let is_default = value == default;
        Some(Line::server(key, vec![value]).quoted().optional(is_default))
    };
    table.into_iter().filter_map(line).collect()
}
