//! A simulated Redis server: as much of it as a sentinel can see.
//!
//! Replication moves in steps of [`STEP`]: at each step a master takes writes, and a replica with a
//! live link takes over the offset that its master had one step earlier. A link is bound to one
//! *stream* of its master; whatever ends the stream (a restart, a change of role) ends the link.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_sentinel_proto::info::{Data, Info, Role, Trouble};
use codis_sentinel_proto::{PingReply, WriteProbe, WriteRefusal};

use crate::fault::Comeback;
use crate::moment::Moment;
use crate::plan::Refusal;
use crate::rng::Rng;

/// How often replication moves.
pub const STEP: Duration = Duration::from_millis(100);
/// `repl-timeout`: silence that ends a link.
pub const REPL_TIMEOUT: Duration = Duration::from_secs(10);
/// Keys of a data set in which nothing was written yet.
const KEYS_MIN: u64 = 10;
/// Bytes of the stream that add a key.
const KEY_BYTES: u64 = 100;
/// How often a replica without a link tries again.
const RETRY: Duration = Duration::from_secs(1);

/// What a process does at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// It serves.
    Running,
    /// It is stopped; its kernel still takes connections and bytes.
    Frozen,
    /// There is no process.
    Dead,
}

/// One server.
#[derive(Debug)]
pub struct Node {
    /// Its group.
    pub group: usize,
    /// Where it listens.
    pub addr: Addr,
    /// What it does.
    pub life: Life,
    /// Changes with each start.
    pub run_id: String,
    /// Whom it follows; `None` for a master.
    pub follows: Option<Addr>,
    /// A replica's link to its master.
    pub link: Link,
    /// Bytes of the replication stream that it has.
    pub offset: u64,
    /// What else it says of its data.
    pub data: Data,
    /// `offset` one step ago.
    pub offset_before: u64,
    /// What replicas attach to; each end of it is a new number.
    pub stream: u64,
    /// `replica-priority`.
    pub priority: u32,
    /// It answers `-LOADING` until then.
    pub loading_until: Moment,
    /// What PING gets instead of `+PONG`, and until when.
    pub sick: Option<(PingReply, Moment)>,
    /// What it lost in its starts since it took data from a master, in bytes of the stream.
    pub lost: u64,
    /// It refuses writes until then.
    pub readonly_until: Moment,
    /// ... for this reason.
    pub refusal: Refusal,
    /// How it comes back after a crash.
    pub comeback: Comeback,
}

/// The state of a replica's link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// It has none. `since` is unknown when it never had one.
    Down {
        /// When it lost it.
        since: Option<Moment>,
        /// When it tries again.
        retry: Moment,
    },
    /// It receives the data set.
    Syncing {
        /// When it lost its last link.
        since: Option<Moment>,
        /// The stream of the master.
        stream: u64,
        /// When it has all.
        done: Moment,
    },
    /// It receives writes.
    Up {
        /// The stream of the master.
        stream: u64,
        /// When it last heard of the master.
        heard: Moment,
    },
}

/// What a replica can see of its master.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Packets pass both ways, and the process runs.
    pub talks: bool,
    /// Its kernel closed the connection: the process is gone, and packets pass.
    pub hung_up: bool,
    /// It would take a new replica.
    pub serves: bool,
    /// Its present stream.
    pub stream: u64,
    /// Its offset one step ago.
    pub offset: u64,
    /// Its data.
    pub data: Data,
    /// How long a replica needs for the data, in milliseconds.
    pub sync: (u64, u64),
}

impl Node {
    /// A running server.
    pub fn new(group: usize, addr: Addr, follows: Option<Addr>, rng: &mut Rng) -> Self {
        let start = Moment::default();
        Self {
            group,
            addr,
            life: Life::Running,
            run_id: rng.hex_id(),
            follows,
            link: Link::Down {
                since: None,
                retry: start,
            },
            offset: 1,
            data: Data {
                history: rng.hex_id(),
                keys: Some(KEYS_MIN),
                ..Data::default()
            },
            offset_before: 1,
            stream: rng.next(),
            priority: 100,
            loading_until: start,
            sick: None,
            lost: 0,
            readonly_until: start,
            refusal: Refusal::Disk,
            comeback: Comeback {
                as_master: false,
                empty: false,
                lost: 0,
                loading: Duration::ZERO,
            },
        }
    }

    /// Whether it says that it is master.
    pub const fn is_master(&self) -> bool {
        self.follows.is_none()
    }

    /// Whether its link to its master is up.
    pub const fn link_up(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// The stream it is attached to.
    pub const fn attached(&self) -> Option<u64> {
        match self.link {
            Link::Down { .. } => None,
            Link::Syncing { stream, .. } | Link::Up { stream, .. } => Some(stream),
        }
    }

    /// The process starts again.
    pub fn start(&mut self, now: Moment, rng: &mut Rng) {
        self.life = Life::Running;
        self.run_id = rng.hex_id();
        self.stream = rng.next();
        if self.comeback.as_master {
            self.follows = None;
        }
        let lost = rng.within(0..200).max(self.comeback.lost);
        self.lost += lost;
        if self.comeback.empty {
            self.lost += self.offset;
            self.offset = 1;
            self.data = Data {
                history: rng.hex_id(),
                keys: Some(0),
                ..Data::default()
            };
        } else {
            self.offset = self.offset.saturating_sub(lost).max(1);
            self.data.keys = self
                .data
                .keys
                .map(|keys| keys.saturating_sub(lost / KEY_BYTES));
            if self.is_master() {
                self.begin_history(rng);
            }
        }
        self.offset_before = self.offset;
        self.link = Link::Down {
            since: None,
            retry: now,
        };
        self.loading_until = now + self.comeback.loading;
        self.sick = None;
        self.readonly_until = now;
    }

    /// It takes no writes until then.
    pub fn refuse_writes(&mut self, until: Moment, refusal: Refusal) {
        self.readonly_until = until;
        self.refusal = refusal;
        if refusal == Refusal::Disk {
            self.sick = Some((PingReply::Misconf, until));
        }
    }

    /// The answer to a write that changes nothing.
    pub fn probe(&self, now: Moment) -> WriteProbe {
        if now < self.loading_until {
            WriteProbe::NotNow
        } else if now < self.readonly_until {
            WriteProbe::Refused(match self.refusal {
                Refusal::Disk => WriteRefusal::Disk,
                Refusal::Memory => WriteRefusal::Memory,
            })
        } else if !self.is_master() {
            WriteProbe::Refused(WriteRefusal::ReadOnly)
        } else {
            WriteProbe::Accepted
        }
    }

    /// A history of its own that goes on from the one before.
    fn begin_history(&mut self, rng: &mut Rng) {
        self.data.history_before = std::mem::replace(&mut self.data.history, rng.hex_id());
        self.data.offset_before = self.offset;
    }

    /// The answer to PING.
    pub fn ping(&self, now: Moment) -> PingReply {
        match self.sick {
            _ if now < self.loading_until => PingReply::Loading,
            // A replica does not say so.
            Some((PingReply::Misconf, _)) if !self.is_master() => PingReply::Pong,
            Some((reply, until)) if now < until => reply,
            Some(_) | None => PingReply::Pong,
        }
    }

    /// The transaction of a reconfiguration. Tells whether clients were dropped.
    pub fn reconfigure(
        &mut self,
        now: Moment,
        follow: Option<&Addr>,
        rng: &mut Rng,
    ) -> Result<(), String> {
        if now < self.loading_until {
            return Err("LOADING Redis is loading the dataset in memory".to_owned());
        }
        if self.follows.as_ref() != follow {
            self.follows = follow.cloned();
            if self.is_master() {
                self.begin_history(rng);
            }
            // Its own replicas are dropped too, and attach again.
            self.stream = rng.next();
            self.link = Link::Down {
                since: self.lost_at(now),
                retry: now,
            };
        }
        Ok(())
    }

    /// Since when there is no link, were it cut now.
    const fn lost_at(&self, now: Moment) -> Option<Moment> {
        match self.link {
            Link::Up { .. } => Some(now),
            Link::Down { since, .. } | Link::Syncing { since, .. } => since,
        }
    }

    /// One step of replication. `upstream` is absent for a master.
    pub fn step(&mut self, now: Moment, upstream: Option<Upstream>, rng: &mut Rng) {
        self.offset_before = self.offset;
        if self.life != Life::Running || now < self.loading_until {
            return;
        }
        let Some(upstream) = upstream else {
            let written = rng.within(0..1_000);
            if now >= self.readonly_until {
                self.offset += written;
                self.data.keys = self.data.keys.map(|keys| keys + written / KEY_BYTES);
            }
            return;
        };
        match self.link {
            Link::Down { since, retry } => {
                if now >= retry && upstream.talks && upstream.serves {
                    let done = now + rng.millis(upstream.sync.0..upstream.sync.1);
                    self.link = Link::Syncing {
                        since,
                        stream: upstream.stream,
                        done,
                    };
                } else if now >= retry {
                    self.link = Link::Down {
                        since,
                        retry: now + RETRY,
                    };
                }
            }
            Link::Syncing {
                since,
                stream,
                done,
            } => {
                if !upstream.talks || stream != upstream.stream {
                    self.link = Link::Down {
                        since,
                        retry: now + RETRY,
                    };
                } else if now >= done {
                    self.offset = upstream.offset;
                    self.data = upstream.data;
                    self.lost = 0;
                    self.link = Link::Up { stream, heard: now };
                }
            }
            Link::Up { stream, heard } => {
                let ended = upstream.hung_up || (upstream.talks && stream != upstream.stream);
                if ended || now.since(heard) > REPL_TIMEOUT {
                    self.link = Link::Down {
                        since: Some(now),
                        retry: now,
                    };
                } else if upstream.talks {
                    self.offset = upstream.offset;
                    self.data.keys = upstream.data.keys;
                    self.link = Link::Up { stream, heard: now };
                }
            }
        }
    }

    /// Its INFO. `replicas` are those attached to it.
    pub fn info(&self, now: Moment, replicas: Vec<Addr>) -> Info {
        let refuses = now < self.readonly_until;
        let down_since = match self.link {
            Link::Up { .. } => Some(now),
            Link::Down { since, .. } | Link::Syncing { since, .. } => since,
        };
        let link_down_ms =
            down_since.map_or(-1000, |since| now.since(since).as_secs() as i64 * 1000);
        Info {
            run_id: self.run_id.clone(),
            role: if self.is_master() {
                Role::Master
            } else {
                Role::Replica
            },
            replicas,
            master: self.follows.clone(),
            master_link_up: !self.is_master() && self.link_up(),
            master_link_down_ms: if self.is_master() { 0 } else { link_down_ms },
            priority: self.priority,
            offset: self.offset,
            announced: true,
            data: Data {
                offset: self.offset,
                ..self.data.clone()
            },
            loading: now < self.loading_until,
            trouble: Trouble {
                append_failed: refuses && self.refusal == Refusal::Disk,
                out_of_memory: refuses && self.refusal == Refusal::Memory,
                ..Trouble::default()
            },
            ..Info::default()
        }
    }
}

/// What PING says.
#[cfg(test)]
mod tests {
    use super::*;

    fn replica(rng: &mut Rng) -> Node {
        Node::new(
            0,
            Addr::new("10.1.0.2", 6379),
            Some(Addr::new("10.1.0.1", 6379)),
            rng,
        )
    }

    fn upstream(stream: u64) -> Upstream {
        Upstream {
            talks: true,
            hung_up: false,
            serves: true,
            stream,
            offset: 500,
            data: Data::default(),
            sync: (20, 1_200),
        }
    }

    #[test]
    fn a_replica_syncs_follows_and_notices_that_its_master_hung_up() {
        let mut rng = Rng::new(1);
        let mut node = replica(&mut rng);
        assert_eq!(node.info(Moment(0), vec![]).master_link_down_ms, -1000);
        node.step(Moment(0), Some(upstream(7)), &mut rng);
        node.step(Moment(2_000_000), Some(upstream(7)), &mut rng);
        assert!(node.link_up());
        assert_eq!(node.offset, 500);
        let gone = Upstream {
            talks: false,
            hung_up: true,
            serves: false,
            ..upstream(7)
        };
        node.step(Moment(2_100_000), Some(gone), &mut rng);
        assert!(!node.link_up());
        assert_eq!(
            node.info(Moment(5_200_000), vec![]).master_link_down_ms,
            3000
        );
    }

    #[test]
    fn a_silent_master_keeps_the_link_until_the_timeout() {
        let mut rng = Rng::new(1);
        let mut node = replica(&mut rng);
        node.link = Link::Up {
            stream: 7,
            heard: Moment(0),
        };
        let silent = Upstream {
            talks: false,
            ..upstream(7)
        };
        node.step(Moment(9_000_000), Some(silent.clone()), &mut rng);
        assert!(node.link_up());
        node.step(Moment(11_000_000), Some(silent), &mut rng);
        assert!(!node.link_up());
    }

    #[test]
    fn a_loading_server_refuses_to_change_its_role() {
        let mut rng = Rng::new(1);
        let mut node = replica(&mut rng);
        node.comeback.loading = Duration::from_secs(1);
        node.start(Moment(0), &mut rng);
        assert_eq!(node.ping(Moment(1)), PingReply::Loading);
        assert!(node.reconfigure(Moment(1), None, &mut rng).is_err());
        assert!(node.reconfigure(Moment(1_000_000), None, &mut rng).is_ok());
        assert!(node.is_master());
    }
}
