//! The directives of redis.conf that change nothing in a sentinel.
//!
//! A file may hold any of them, so they are accepted; their values are checked as far as Redis
//! checks them when it reads a file, so that a line that Redis refuses is refused here too.

use super::server::{number, one_of, yes_no};

/// The values that a directive takes.
#[derive(Clone, Copy)]
enum Kind {
    /// `yes` or `no`.
    Switch,
    /// An integer of at least this much.
    Integer(i64),
    /// An octal number up to 777.
    Permissions,
    /// A number of bytes, with a unit like `mb` perhaps.
    Bytes,
    /// One of these words, separated by blanks.
    Choice(&'static str),
    /// Any one word.
    Word,
    /// Any number of words.
    Words,
}

/// Whether a directive is known; an error says what is wrong with its value.
pub(super) fn accept(keyword: &str, args: &[&str]) -> Result<(), String> {
    let kind = kind_of(keyword).ok_or("Bad directive or wrong number of arguments")?;
    if matches!(kind, Kind::Words) {
        return Ok(());
    }
    let [value] = args else {
        return Err("wrong number of arguments".into());
    };
    match kind {
        Kind::Switch => yes_no(value).map(drop),
        Kind::Integer(low) => number(value, low, i64::MAX).map(drop),
        Kind::Permissions => permissions(value).map(drop),
        Kind::Bytes => bytes(value).map(drop),
        Kind::Choice(choices) => {
            let choices: Vec<&str> = choices.split(' ').collect();
            one_of(value, &choices)
        }
        Kind::Word | Kind::Words => Ok(()),
    }
}

/// Whether Redis knows a directive that has no effect here.
pub(super) fn is_known(keyword: &str) -> bool {
    kind_of(keyword).is_some()
}

/// Octal permissions as in `unixsocketperm`: at most 777.
pub(super) fn permissions(value: &str) -> Result<u32, String> {
    let parsed = u32::from_str_radix(value, 8).ok();
    parsed
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| format!("`{value}`: must be an octal number up to 777"))
}

/// A number of bytes: `100`, `1k` (1000), `1kb` (1024), and so with `m` and `g`.
pub(super) fn bytes(value: &str) -> Result<u64, String> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match value[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return Err(format!("`{value}`: must be a memory value")),
    };
    let count: Option<u64> = digits.parse().ok();
    count
        .and_then(|count| count.checked_mul(unit))
        .ok_or_else(|| format!("`{value}`: must be a memory value"))
}

fn kind_of(keyword: &str) -> Option<Kind> {
    let holds = |table: &str| table.split_ascii_whitespace().any(|name| name == keyword);
    let choice = CHOICES.iter().find(|(name, _)| *name == keyword);
    let kind = match keyword {
        _ if choice.is_some() => Kind::Choice(choice?.1),
        "unixsocketperm" => Kind::Permissions,
        _ if holds(SWITCHES) => Kind::Switch,
        _ if holds(COUNTS) => Kind::Integer(0),
        _ if holds(POSITIVES) => Kind::Integer(1),
        _ if holds(INTEGERS) => Kind::Integer(i64::MIN),
        _ if holds(BYTES) => Kind::Bytes,
        _ if holds(WORD) => Kind::Word,
        _ if holds(WORDS) => Kind::Words,
        _ => return None,
    };
    Some(kind)
}

const CHOICES: &[(&str, &str)] = &[
    ("appendfsync", "everysec always no"),
    (
        "cluster-preferred-endpoint-type",
        "ip hostname unknown-endpoint",
    ),
    ("enable-debug-command", "no yes local"),
    ("enable-module-command", "no yes local"),
    ("enable-protected-configs", "no yes local"),
    (
        "maxmemory-policy",
        "volatile-lru volatile-lfu volatile-random volatile-ttl allkeys-lru allkeys-lfu \
         allkeys-random noeviction",
    ),
    ("oom-score-adj", "no yes relative absolute"),
    (
        "propagation-error-behavior",
        "ignore panic panic-on-replicas",
    ),
    (
        "repl-diskless-load",
        "disabled on-empty-db swapdb flush-before-load",
    ),
    ("sanitize-dump-payload", "no yes clients"),
    ("tls-auth-clients", "no yes optional"),
];

const SWITCHES: &str = "
activedefrag activerehashing always-show-logo aof-disable-auto-gc aof-load-truncated
aof-rewrite-incremental-fsync aof-timestamp-enabled aof-use-rdb-preamble appendonly
cluster-allow-pubsubshard-when-down cluster-allow-reads-when-down cluster-allow-replica-migration
cluster-enabled cluster-replica-no-failover cluster-require-full-coverage
cluster-slave-no-failover cluster-slot-stats-enabled crash-log-enabled crash-memcheck-enabled
disable-thp dynamic-hz enable-debug-assert hide-user-data-from-log io-threads-do-reads
jemalloc-bg-thread latency-tracking lazyfree-lazy-eviction lazyfree-lazy-expire
lazyfree-lazy-server-del lazyfree-lazy-user-del lazyfree-lazy-user-flush lookahead
no-appendfsync-on-rewrite rdb-del-sync-files rdb-save-incremental-fsync rdbchecksum rdbcompression
repl-disable-tcp-nodelay repl-diskless-sync replica-announced replica-ignore-disk-write-errors
replica-ignore-maxmemory replica-lazy-flush replica-read-only replica-serve-stale-data
set-proc-title slave-ignore-maxmemory slave-lazy-flush slave-read-only slave-serve-stale-data
stop-writes-on-bgsave-error tls-cluster tls-prefer-server-ciphers tls-replication
tls-session-caching use-exit-on-panic
";

const COUNTS: &str = "
active-defrag-max-scan-fields active-defrag-threshold-lower
active-defrag-threshold-upper auto-aof-rewrite-percentage cluster-announce-bus-port
cluster-announce-port cluster-announce-tls-port cluster-migration-barrier cluster-node-timeout
cluster-port cluster-replica-validity-factor cluster-slave-validity-factor
hash-max-listpack-entries hash-max-ziplist-entries hz latency-monitor-threshold lfu-decay-time
lfu-log-factor list-compress-depth max-new-connections-per-cycle max-new-tls-connections-per-cycle
maxmemory-eviction-tenacity min-replicas-max-lag min-replicas-to-write min-slaves-max-lag
min-slaves-to-write repl-backlog-ttl repl-diskless-sync-delay repl-diskless-sync-max-replicas
replica-announce-port replica-priority set-max-intset-entries set-max-listpack-entries
shutdown-timeout slave-announce-port slave-priority slowlog-max-len socket-mark-id
stream-node-max-entries tls-port tls-session-cache-size tls-session-cache-timeout
tracking-table-max-keys zset-max-listpack-entries zset-max-ziplist-entries
";

const POSITIVES: &str = "
active-defrag-cycle-max active-defrag-cycle-min active-expire-effort databases io-threads
maxmemory-samples repl-ping-replica-period repl-ping-slave-period repl-timeout
";

const INTEGERS: &str = "
busy-reply-threshold list-max-listpack-size list-max-ziplist-size lua-time-limit
rdb-key-save-delay slowlog-log-slower-than
";

const BYTES: &str = "
active-defrag-ignore-bytes auto-aof-rewrite-min-size cluster-link-sendbuf-limit
hash-max-listpack-value hash-max-ziplist-value hll-sparse-max-bytes maxmemory repl-backlog-size
replica-full-sync-buffer-limit set-max-listpack-value stream-node-max-bytes
zset-max-listpack-value zset-max-ziplist-value
";

const WORD: &str = "
aof-rewrite-cpulist aof_rewrite_cpulist appenddirname appendfilename bgsave-cpulist
bgsave_cpulist bio-cpulist bio_cpulist close-files-after-invoked-fork cluster-announce-hostname
cluster-announce-human-nodename cluster-announce-ip cluster-compatibility-sample-ratio
cluster-config-file dbfilename ignore-warnings list-max-ziplist-entries list-max-ziplist-value
locale-collate masterauth masteruser maxmemory-clients notify-keyspace-events
repl-diskless-sync-period replica-announce-ip req-res-logfile server-cpulist server_cpulist
slave-announce-ip tls-ca-cert-dir tls-ca-cert-file tls-cert-file tls-ciphers tls-ciphersuites
tls-client-cert-file tls-client-key-file tls-client-key-file-pass tls-dh-params-file tls-key-file
tls-key-file-pass tls-protocols unixsocket
";

const WORDS: &str = "
latency-tracking-info-percentiles loadmodule oom-score-adj-values replicaof save
shutdown-on-sigint shutdown-on-sigterm slaveof
";

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<(), String> {
        let words: Vec<&str> = text.split(' ').collect();
        accept(words[0], &words[1..])
    }

    #[test]
    fn values_are_checked_as_redis_checks_them() {
        for good in [
            "repl-diskless-sync-delay 5",
            "maxmemory 100mb",
            "maxmemory-policy ALLKEYS-LRU",
            "slowlog-log-slower-than -1",
            "save 900 1",
            "appendonly Yes",
            "enable-debug-command local",
            "unixsocketperm 700",
        ] {
            assert_eq!(line(good), Ok(()), "{good}");
        }
        for bad in [
            "maxmemory junk",
            "maxmemory-policy junk",
            "hz x",
            "hz 10 20",
            "appendonly junk",
            "oom-score-adj junk",
            "databases 0",
            "slowlog-max-len x",
            "unixsocketperm 999",
            "enable-debug-command junk",
            "frobnicate yes",
        ] {
            assert!(line(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn units_of_memory_are_those_of_redis() {
        assert_eq!(bytes("1k"), Ok(1000));
        assert_eq!(bytes("1KB"), Ok(1024));
        assert_eq!(bytes("2gb"), Ok(2 << 30));
        assert!(bytes("mb").is_err() && bytes("1tb").is_err() && bytes("-1").is_err());
    }
}
