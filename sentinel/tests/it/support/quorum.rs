//! A master, replicas, and three sentinels that know each other.

use std::time::{Duration, Instant};

use super::{Sentinel, Server, wait_for};

/// The `failover-timeout` of quorums.
const FAILOVER_TIMEOUT_MILLIS: u32 = 15_000;

/// Whose sentinel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Ours,
    Stock,
}

/// Everything that a failover needs.
pub struct Quorum {
    pub servers: Vec<Server>,
    pub sentinels: Vec<Sentinel>,
}

impl Quorum {
    /// Starts it, and waits until everybody knows everybody. The first server is the master `m`.
    pub fn start(kinds: &[Kind], replicas: usize, lines: &str) -> Self {
        Self::with(Server::start(), kinds, replicas, lines)
    }

    /// The same around a given master.
    pub fn with(master: Server, kinds: &[Kind], replicas: usize, lines: &str) -> Self {
        // Votes that were split are repeated after twice the time of a failover, which is minutes
        // if nobody says otherwise.
        let lines = format!(
            "sentinel monitor m {} 2\nsentinel down-after-milliseconds m 1000\n\
             sentinel failover-timeout m {FAILOVER_TIMEOUT_MILLIS}\n{lines}",
            master.words()
        );
        let mut servers = vec![master];
        for _ in 0..replicas {
            let replica = Server::replica_of(&servers[0]);
            servers.push(replica);
        }
        let start = |kind: &Kind| match kind {
            Kind::Ours => Sentinel::ours(&lines),
            Kind::Stock => Sentinel::stock(&lines),
        };
        let sentinels: Vec<Sentinel> = kinds.iter().map(start).collect();
        let quorum = Self { servers, sentinels };
        quorum.wait_until_complete();
        quorum
    }

    /// Waits until everybody knows everybody.
    pub fn wait_until_complete(&self) {
        let peers = (self.sentinels.len() - 1).to_string();
        let replicas = (self.servers.len() - 1).to_string();
        for sentinel in &self.sentinels {
            wait_for("a sentinel knows everybody", || {
                sentinel.master_field("num-other-sentinels") == peers
                    && sentinel.master_field("num-slaves") == replicas
                    && sentinel.master_field("flags") == "master"
            });
        }
        // A stock sentinel promotes only a replica whose INFO it has seen.
        for sentinel in &self.sentinels {
            wait_for("replicas are seen in sync", || {
                let replicas = sentinel.call("SENTINEL REPLICAS m");
                let replicas = replicas.as_array().unwrap();
                let ready = |r: &&codis_core::resp::Value| {
                    super::client::field(r, "master-link-status").as_deref() == Some("ok")
                };
                replicas.iter().filter(ready).count() == self.servers.len() - 1
            });
        }
    }

    /// Waits until all sentinels name one of the surviving servers as master, and it is one. Its
    /// index, and how long that took.
    pub fn wait_for_switch(&self, from: usize) -> (usize, Duration) {
        let begin = Instant::now();
        let old = self.servers[from].words();
        let mut new = old.clone();
        for sentinel in &self.sentinels {
            wait_for("a sentinel has switched", || {
                new = sentinel.master();
                new != old
            });
        }
        let took = begin.elapsed();
        let index = self.servers.iter().position(|s| s.words() == new).unwrap();
        for sentinel in &self.sentinels {
            assert_eq!(sentinel.master(), new, "all sentinels name one master");
        }
        assert_eq!(self.servers[index].role(), "master");
        (index, took)
    }
}
