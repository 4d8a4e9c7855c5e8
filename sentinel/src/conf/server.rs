//! The ordinary server directives: those that mean something to a sentinel, and those that any
//! redis.conf may hold and that are accepted without effect.

use std::path::PathBuf;

use crate::log::Level;
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
    /// `supervised` is `systemd` or `auto`: a supervisor that listens is told of the start.
    pub supervised: bool,
    /// `tcp-backlog`.
    pub tcp_backlog: u32,
    /// `tls-port`; 0 opens none.
    pub tls_port: u16,
    /// The other `tls-` directives.
    pub tls: tls::Settings,
    /// `unixsocket`: a path at which the port is opened too.
    pub unixsocket: Option<PathBuf>,
    /// `unixsocketperm`: the mode of that path; 0 leaves it to the umask.
    pub unixsocket_mode: u32,
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
            supervised: false,
            tcp_backlog: 511,
            tls_port: 0,
            tls: tls::Settings::default(),
            unixsocket: None,
            unixsocket_mode: 0,
        }
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
        if !OWN.contains(&keyword.as_str()) {
            return accept_foreign(&keyword, &args);
        }
        if keyword == "bind" {
            self.bind = args.iter().copied().map(Bind::from_word).collect();
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
            "unixsocketperm" => self.unixsocket_mode = octal(value)?,
            "supervised" => {
                one_of(value, &["no", "auto", "systemd", "upstart"])?;
                self.supervised = matches!(value.to_ascii_lowercase().as_str(), "auto" | "systemd");
            }
            _ => return Err("bad directive or wrong number of arguments".into()),
        }
        Ok(())
    }
}

/// Permissions in octal.
fn octal(value: &str) -> Result<u32, String> {
    match u32::from_str_radix(value, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err(format!("`{value}`: must be an octal number in 0..=777")),
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

fn one_of(value: &str, choices: &[&str]) -> Result<(), String> {
    if choices.contains(&value.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(format!("`{value}`: must be one of {}", choices.join(", ")))
}

fn accept_foreign(keyword: &str, args: &[&str]) -> Result<Taken, String> {
    let harmless = match (keyword, args) {
        // What a Redis Sentinel without ACLs writes into its file by itself.
        ("user", ["default", "on", "nopass", ..]) => true,
        ("syslog-enabled", [value]) => value.eq_ignore_ascii_case("no"),
        ("aclfile", [path]) => path.is_empty(),
        ("user" | "syslog-enabled" | "aclfile", _) => false,
        (keyword, _) if tls::settings::WITHOUT_EFFECT.contains(&keyword) => false,
        _ => true,
    };
    if !harmless {
        return Ok(Taken::Unsupported);
    }
    if FOREIGN
        .split_ascii_whitespace()
        .any(|known| known == keyword)
    {
        return Ok(Taken::Ignored);
    }
    Err("bad directive: not known to a sentinel or a Redis server".into())
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
    "tcp-backlog",
    "tcp-keepalive",
    "timeout",
    "tls-port",
    "unixsocket",
    "unixsocketperm",
];

/// Directives of redis.conf (2.8 to 8) that change nothing in a sentinel.
const FOREIGN: &str = "
acl-pubsub-default aclfile acllog-max-len active-defrag-cycle-max active-defrag-cycle-min
active-defrag-ignore-bytes active-defrag-max-scan-fields active-defrag-threshold-lower
active-defrag-threshold-upper active-expire-effort activedefrag activerehashing always-show-logo
aof-disable-auto-gc aof-load-truncated aof-rewrite-cpulist aof-rewrite-incremental-fsync
aof-timestamp-enabled aof-use-rdb-preamble aof_rewrite_cpulist appenddirname appendfilename
appendfsync appendonly auto-aof-rewrite-min-size auto-aof-rewrite-percentage bgsave-cpulist
bgsave_cpulist bio-cpulist bio_cpulist busy-reply-threshold client-output-buffer-limit
client-query-buffer-limit close-files-after-invoked-fork cluster-allow-pubsubshard-when-down
cluster-allow-reads-when-down cluster-allow-replica-migration cluster-announce-bus-port
cluster-announce-hostname cluster-announce-human-nodename cluster-announce-ip
cluster-announce-port cluster-announce-tls-port cluster-compatibility-sample-ratio
cluster-config-file cluster-enabled cluster-link-sendbuf-limit cluster-migration-barrier
cluster-node-timeout cluster-port cluster-preferred-endpoint-type cluster-replica-no-failover
cluster-replica-validity-factor cluster-require-full-coverage cluster-slave-no-failover
cluster-slave-validity-factor cluster-slot-stats-enabled crash-log-enabled crash-memcheck-enabled
databases dbfilename disable-thp dynamic-hz enable-debug-assert enable-debug-command
enable-module-command enable-protected-configs hash-max-listpack-entries hash-max-listpack-value
hash-max-ziplist-entries hash-max-ziplist-value hide-user-data-from-log hll-sparse-max-bytes hz
ignore-warnings io-threads io-threads-do-reads jemalloc-bg-thread latency-monitor-threshold
latency-tracking latency-tracking-info-percentiles lazyfree-lazy-eviction lazyfree-lazy-expire
lazyfree-lazy-server-del lazyfree-lazy-user-del lazyfree-lazy-user-flush lfu-decay-time
lfu-log-factor list-compress-depth list-max-listpack-size list-max-ziplist-entries
list-max-ziplist-size list-max-ziplist-value loadmodule locale-collate lookahead lua-time-limit
masterauth masteruser max-new-connections-per-cycle max-new-tls-connections-per-cycle maxmemory
maxmemory-clients maxmemory-eviction-tenacity maxmemory-policy maxmemory-samples
min-replicas-max-lag min-replicas-to-write min-slaves-max-lag min-slaves-to-write
no-appendfsync-on-rewrite notify-keyspace-events oom-score-adj oom-score-adj-values
proc-title-template propagation-error-behavior proto-max-bulk-len rdb-del-sync-files
rdb-key-save-delay rdb-save-incremental-fsync rdbchecksum rdbcompression rename-command
repl-backlog-size repl-backlog-ttl repl-disable-tcp-nodelay repl-diskless-load
repl-diskless-sync repl-diskless-sync-delay repl-diskless-sync-max-replicas
repl-diskless-sync-period repl-ping-replica-period repl-ping-slave-period repl-timeout
replica-announce-ip replica-announce-port replica-announced replica-full-sync-buffer-limit
replica-ignore-disk-write-errors replica-ignore-maxmemory replica-lazy-flush replica-priority
replica-read-only replica-serve-stale-data replicaof req-res-logfile sanitize-dump-payload save
server-cpulist server_cpulist set-max-intset-entries set-max-listpack-entries
set-max-listpack-value set-proc-title shutdown-on-sigint shutdown-on-sigterm shutdown-timeout
slave-announce-ip slave-announce-port slave-ignore-maxmemory slave-lazy-flush slave-priority
slave-read-only slave-serve-stale-data slaveof slowlog-log-slower-than slowlog-max-len
socket-mark-id stop-writes-on-bgsave-error stream-node-max-bytes stream-node-max-entries
syslog-enabled syslog-facility syslog-ident tls-cluster tracking-table-max-keys user
zset-max-listpack-entries zset-max-listpack-value zset-max-ziplist-entries
zset-max-ziplist-value
";

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(server: &mut Server, line: &str) -> Result<Taken, String> {
        server.apply(&super::super::lex::split_text(line).unwrap())
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
        let default = "user default on nopass ~* &* +@all";
        assert_eq!(apply(&mut server, default), Ok(Taken::Ignored));
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
        ] {
            assert!(apply(&mut server, line).is_err(), "{line}");
        }
    }
}
