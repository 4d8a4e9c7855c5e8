//! The ordinary server directives: those that mean something to a sentinel, and those that any
//! redis.conf may hold and that are accepted without effect.

use std::path::PathBuf;
use std::time::Duration;

use super::foreign;
use crate::acl;
use crate::log::{Level, syslog};
use crate::port::outbox::Limit;
use crate::port::table;
use crate::tls;

/// The ordinary directives that have an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `port`.
    pub port: u16,
    /// `bind`: where the port is opened.
    pub bind: Vec<Bind>,
    /// `bind-source-addr`: the local address of outgoing connections.
    pub bind_source: Option<String>,
    /// `dir`: entered at start.
    pub dir: Option<PathBuf>,
    /// `logfile`; empty is standard output.
    pub logfile: String,
    /// `loglevel`.
    pub loglevel: Level,
    /// `daemonize`.
    pub daemonize: bool,
    /// `pidfile`.
    pub pidfile: Option<PathBuf>,
    /// `protected-mode`.
    pub protected_mode: bool,
    /// `requirepass`.
    pub requirepass: Option<String>,
    /// `maxclients`.
    pub maxclients: usize,
    /// `timeout` in seconds; 0 never closes an idle client.
    pub timeout_secs: u64,
    /// `tcp-keepalive` in seconds; 0 is off.
    pub tcp_keepalive_secs: u64,
    /// `supervised`: who is told of the start.
    pub supervised: Supervised,
    /// `syslog-enabled`.
    pub syslog_enabled: bool,
    /// `syslog-ident`: what each line in the syslog starts with.
    pub syslog_ident: String,
    /// `syslog-facility`, in lower case.
    pub syslog_facility: String,
    /// `client-output-buffer-limit pubsub`.
    pub unread_max: Limit,
    /// `tcp-backlog`.
    pub tcp_backlog: u32,
    /// The directives about users.
    pub acl: acl::Settings,
    /// `tls-port`; 0 opens none.
    pub tls_port: u16,
    /// The other `tls-` directives.
    pub tls: tls::Settings,
    /// `unixsocket`: a path at which the port is opened too.
    pub unixsocket: Option<PathBuf>,
    /// `unixsocketperm`: the mode of that path; 0 leaves it to the umask.
    pub unixsocket_mode: u32,
}

/// `supervised`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervised {
    /// Nobody.
    No,
    /// Whoever has left a sign in the environment.
    Auto,
    /// systemd, by `NOTIFY_SOCKET`.
    Systemd,
    /// upstart, by stopping once.
    Upstart,
}

impl Supervised {
    const ALL: [(&str, Self); 4] = [
        ("upstart", Self::Upstart),
        ("systemd", Self::Systemd),
        ("auto", Self::Auto),
        ("no", Self::No),
    ];

    /// The word in the file.
    pub fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, it)| *it == self);
        named.map_or("no", |(name, _)| name)
    }

    fn from_name(value: &str) -> Result<Self, String> {
        one_of(value, &Self::ALL.map(|(name, _)| name))?;
        let lower = value.to_ascii_lowercase();
        let found = Self::ALL.iter().find(|(name, _)| *name == lower);
        Ok(found.map_or(Self::No, |(_, it)| *it))
    }
}

/// One address of `bind`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// An IP address, or `*` for all of IPv4 or `::*` for all of IPv6.
    pub host: String,
    /// Written with a leading `-`: it may be unavailable.
    pub optional: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            port: 26379,
            bind: vec![Bind::from_word("*"), Bind::from_word("-::*")],
            bind_source: None,
            dir: None,
            logfile: String::new(),
            loglevel: Level::Notice,
            daemonize: false,
            pidfile: None,
            protected_mode: false,
            requirepass: None,
            maxclients: 10_000,
            timeout_secs: 0,
            tcp_keepalive_secs: 300,
            supervised: Supervised::No,
            syslog_enabled: false,
            syslog_ident: "redis".into(),
            syslog_facility: "local0".into(),
            tcp_backlog: 511,
            unread_max: Limit::default(),
            acl: acl::Settings::default(),
            tls_port: 0,
            tls: tls::Settings::default(),
            unixsocket: None,
            unixsocket_mode: 0,
        }
    }
}

impl std::fmt::Display for Bind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.optional { "-" } else { "" };
        write!(f, "{sign}{}", self.host)
    }
}

impl Bind {
    fn from_word(word: &str) -> Self {
        let bare = word.strip_prefix('-');
        Self {
            host: bare.unwrap_or(word).to_owned(),
            optional: bare.is_some(),
        }
    }

    /// Whether it names one address rather than all.
    pub fn is_specific(&self) -> bool {
        self.host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| !ip.is_unspecified())
    }
}

/// How a directive was taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// It has an effect.
    Applied,
    /// It is a directive of redis.conf without an effect here.
    Ignored,
    /// It is ignored though it means something in a Redis Sentinel.
    Unsupported,
}

impl Server {
    /// Takes one directive; an error says what is wrong with it.
    pub fn apply(&mut self, words: &[String]) -> Result<Taken, String> {
        let Some((keyword, args)) = words.split_first() else {
            return Ok(Taken::Ignored);
        };
        let keyword = keyword.to_ascii_lowercase();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        if let [value] = args.as_slice()
            && self.tls.apply(&keyword, value)?
        {
            return Ok(Taken::Applied);
        }
        if acl::settings::DIRECTIVES.contains(&keyword.as_str()) {
            self.acl.apply(&keyword, &args)?;
            return Ok(Taken::Applied);
        }
        if keyword == "client-output-buffer-limit" {
            self.unread_max = output_limits(&args)?.unwrap_or(self.unread_max);
            return Ok(Taken::Applied);
        }
        if !is_own(&keyword) {
            return accept_foreign(&keyword, &args);
        }
        if keyword == "bind" {
            // One word may hold several addresses, as it does on the command line.
            let words = args.iter().flat_map(|arg| arg.split_ascii_whitespace());
            self.bind = words.map(Bind::from_word).collect();
            return Ok(Taken::Applied);
        }
        let [value] = args.as_slice() else {
            return Err("wrong number of arguments".into());
        };
        self.apply_single(&keyword, value)?;
        Ok(Taken::Applied)
    }

    /// The port at which other sentinels connect when nothing else is announced.
    pub const fn port_of_links(&self) -> u16 {
        if self.tls.replication && self.tls_port != 0 {
            self.tls_port
        } else {
            self.port
        }
    }

    fn apply_single(&mut self, keyword: &str, value: &str) -> Result<(), String> {
        let text = |v: &str| (!v.is_empty()).then(|| v.to_owned());
        match keyword {
            "port" => self.port = number(value, 0, 65_535)?,
            "bind-source-addr" => self.bind_source = text(value),
            "dir" => self.dir = text(value).map(PathBuf::from),
            "logfile" => self.logfile = value.to_owned(),
            "loglevel" => {
                self.loglevel = Level::from_name(value)
                    .ok_or("must be one of debug, verbose, notice, warning, nothing")?;
            }
            "daemonize" => self.daemonize = yes_no(value)?,
            "pidfile" => self.pidfile = text(value).map(PathBuf::from),
            "protected-mode" => self.protected_mode = yes_no(value)?,
            "requirepass" => self.requirepass = text(value),
            "maxclients" => self.maxclients = number(value, 1, u32::MAX)? as usize,
            "timeout" => self.timeout_secs = number(value, 0, i32::MAX as u64)?,
            "tcp-keepalive" => self.tcp_keepalive_secs = number(value, 0, i32::MAX as u64)?,
            "tcp-backlog" => self.tcp_backlog = number(value, 0, i32::MAX as u32)?,
            "tls-port" => self.tls_port = number(value, 0, 65_535)?,
            "unixsocket" => self.unixsocket = text(value).map(PathBuf::from),
            "unixsocketperm" => self.unixsocket_mode = foreign::permissions(value)?,
            "supervised" => self.supervised = Supervised::from_name(value)?,
            "syslog-enabled" => self.syslog_enabled = yes_no(value)?,
            "syslog-ident" => self.syslog_ident = value.to_owned(),
            "syslog-facility" => {
                one_of(value, syslog::FACILITIES)?;
                self.syslog_facility = value.to_ascii_lowercase();
            }
            _ => return Err("bad directive or wrong number of arguments".into()),
        }
        Ok(())
    }
}

/// `yes` or `no` in any case.
pub fn yes_no(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(format!("`{value}`: must be `yes` or `no`")),
    }
}

/// An integer within a range.
pub fn number<T>(value: &str, low: T, high: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    match value.parse::<T>() {
        Ok(n) if n >= low && n <= high => Ok(n),
        _ => Err(format!("`{value}`: must be an integer in {low}..={high}")),
    }
}

pub(super) fn one_of(value: &str, choices: &[&str]) -> Result<(), String> {
    if choices.contains(&value.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(format!("`{value}`: must be one of {}", choices.join(", ")))
}

fn accept_foreign(keyword: &str, args: &[&str]) -> Result<Taken, String> {
    if tls::settings::WITHOUT_EFFECT.contains(&keyword) {
        return Ok(Taken::Unsupported);
    }
    match (keyword, args) {
        ("client-query-buffer-limit" | "proto-max-bulk-len", [value]) => {
            if foreign::bytes(value)? < CLIENT_LIMIT_MIN {
                return Err(format!("`{value}`: must be at least {CLIENT_LIMIT_MIN}"));
            }
        }
        ("rename-command", [old, _]) if is_command(old) => return Ok(Taken::Unsupported),
        ("rename-command", [_, _]) => return Err("No such command in rename-command".into()),
        ("proc-title-template", [template]) => title_template(template)?,
        _ => foreign::accept(keyword, args)?,
    }
    Ok(Taken::Ignored)
}

/// Whether a line of a file belongs to a directive that may stay in it as it is.
pub(super) fn is_known(keyword: &str) -> bool {
    is_own(keyword)
        || OTHER.contains(&keyword)
        || acl::settings::DIRECTIVES.contains(&keyword)
        || foreign::is_known(keyword)
}

/// Whether a sentinel has a command of this name.
fn is_command(name: &str) -> bool {
    table::get(name).is_some_and(|row| !row.is_subcommand())
}

/// `class hard soft seconds`, once or several times: the limit of subscribers, if it is there. As
/// nothing may grow for ever, 0 is [`UNREAD_CEILING`] and not endless.
fn output_limits(args: &[&str]) -> Result<Option<Limit>, String> {
    let mut found = None;
    let size = |word: &str| match foreign::bytes(word)? {
        0 => Ok::<usize, String>(UNREAD_CEILING),
        bytes => Ok(usize::try_from(bytes).map_or(UNREAD_CEILING, |it| it.min(UNREAD_CEILING))),
    };
    let (limits, []) = args.as_chunks::<4>() else {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    };
    for [class, hard, soft, seconds] in limits {
        if one_of(class, &["normal", "slave", "replica", "pubsub"]).is_err() {
            return Err("Invalid client class specified in buffer limit configuration.".into());
        }
        let limit = Limit {
            hard_bytes: size(hard)?,
            soft_bytes: size(soft)?,
            soft_time: Duration::from_secs(number(seconds, 0, u64::MAX)?),
        };
        if class.eq_ignore_ascii_case("pubsub") {
            found = Some(limit);
        }
    }
    Ok(found)
}

/// The most that a subscriber may leave unread, whatever is configured.
const UNREAD_CEILING: usize = 1 << 30;

/// Placeholders in braces must be those of Redis.
fn title_template(template: &str) -> Result<(), String> {
    let mut rest = template;
    while let Some((_, tail)) = rest.split_once('{') {
        let (name, tail) = tail.split_once('}').unwrap_or((tail, ""));
        if !TITLE_PARTS.contains(&name) {
            return Err("template format is invalid or contains unknown variables".into());
        }
        rest = tail;
    }
    Ok(())
}

/// The least that Redis takes as a limit of what clients send.
const CLIENT_LIMIT_MIN: u64 = 1 << 20;

const TITLE_PARTS: &[&str] = &[
    "title",
    "listen-addr",
    "server-mode",
    "port",
    "tls-port",
    "unixsocket",
    "config-file",
];

/// Directives that are taken elsewhere, or checked above.
const OTHER: &[&str] = &[
    "client-output-buffer-limit",
    "client-query-buffer-limit",
    "include",
    "proc-title-template",
    "proto-max-bulk-len",
    "rename-command",
    "sentinel",
];

/// Whether a directive has an effect here.
pub(super) fn is_own(keyword: &str) -> bool {
    OWN.contains(&keyword)
}

const OWN: &[&str] = &[
    "bind",
    "bind-source-addr",
    "daemonize",
    "dir",
    "logfile",
    "loglevel",
    "maxclients",
    "pidfile",
    "port",
    "protected-mode",
    "requirepass",
    "supervised",
    "syslog-enabled",
    "syslog-facility",
    "syslog-ident",
    "tcp-backlog",
    "tcp-keepalive",
    "timeout",
    "tls-port",
    "unixsocket",
    "unixsocketperm",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(server: &mut Server, line: &str) -> Result<Taken, String> {
        server.apply(&super::super::lex::split_text(line).unwrap())
    }

    #[test]
    fn the_limit_of_subscribers_is_read() {
        let mut server = Server::default();
        apply(&mut server, "client-output-buffer-limit normal 1 1 1").unwrap();
        assert_eq!(server.unread_max, Limit::default());
        let line = "client-output-buffer-limit replica 1 1 1 PubSub 4mb 0 5";
        assert_eq!(apply(&mut server, line), Ok(Taken::Applied));
        assert_eq!(server.unread_max.hard_bytes, 4 << 20);
        assert_eq!(server.unread_max.soft_bytes, UNREAD_CEILING);
        assert_eq!(server.unread_max.soft_time, Duration::from_secs(5));
    }

    #[test]
    fn own_directives_have_an_effect_and_foreign_ones_are_accepted() {
        let mut server = Server::default();
        assert_eq!(apply(&mut server, "PORT 7000"), Ok(Taken::Applied));
        apply(&mut server, "bind 127.0.0.1 -::1").unwrap();
        apply(&mut server, "loglevel debug").unwrap();
        assert_eq!(server.port, 7000);
        assert!(server.bind[0].is_specific() && server.bind[1].optional);
        assert_eq!(
            apply(&mut server, "repl-diskless-sync-delay 5"),
            Ok(Taken::Ignored)
        );
        assert_eq!(apply(&mut server, "tls-port 1"), Ok(Taken::Applied));
        apply(&mut server, "tls-auth-clients optional").unwrap();
        apply(&mut server, "tls-protocols \"TLSv1.2 TLSv1.3\"").unwrap();
        apply(&mut server, "unixsocketperm 700").unwrap();
        assert_eq!((server.tls_port, server.unixsocket_mode), (1, 0o700));
        assert_eq!(
            apply(&mut server, "tls-ciphers DEFAULT"),
            Ok(Taken::Unsupported)
        );
    }

    #[test]
    fn wrong_directives_are_refused() {
        let mut server = Server::default();
        for line in [
            "port x",
            "port 70000",
            "port",
            "daemonize maybe",
            "frobnicate yes",
            "loglevel loud",
            "timeout -1",
            "tls-auth-clients perhaps",
            "tls-protocols TLSv1.1",
            "tls-protocols SSLv3",
            "unixsocketperm 888",
            "supervised junk",
            "syslog-facility junk",
            "client-output-buffer-limit foo 1 1 1",
            "client-output-buffer-limit pubsub 1mb 1mb",
            "client-query-buffer-limit 1",
            "proto-max-bulk-len x",
            "proc-title-template {junk}",
            "rename-command GET x",
        ] {
            assert!(apply(&mut server, line).is_err(), "{line}");
        }
    }
}
