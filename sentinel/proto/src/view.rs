//! What a sentinel tells about its instances, in the terms of `SENTINEL MASTER` and its kin. Ages
//! are counted up to the moment of the question.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;

use crate::ids::SentinelId;

/// What masters, replicas and sentinels have in common.
#[derive(Clone, PartialEq, Debug)]
pub struct InstanceView {
    /// The configured name, `ip:port`, or the sentinel's id.
    pub name: String,
    /// Where it listens.
    pub addr: Addr,
    /// Its run id (a sentinel's: its id); empty while unknown.
    pub run_id: String,
    /// Comma-joined by the shell, in this order.
    pub flags: Vec<&'static str>,
    /// Commands without a reply yet.
    pub pending_commands: usize,
    /// Masters that share the link.
    pub link_refcount: usize,
    /// Age of the oldest unanswered PING; zero when there is none.
    pub last_ping_sent: Duration,
    /// Age of the last acceptable PING reply.
    pub last_ok_ping_reply: Duration,
    /// Age of the last reply of any kind to a PING.
    pub last_ping_reply: Duration,
    /// How long it has been S_DOWN.
    pub s_down: Option<Duration>,
    /// How long it has been O_DOWN.
    pub o_down: Option<Duration>,
    /// Its down-after.
    pub down_after: Duration,
}

/// The role part of masters and replicas.
#[derive(Clone, PartialEq, Debug)]
pub struct RoleView {
    /// Age of the last INFO; zero when there was none.
    pub info_refresh: Duration,
    /// It says that it is a master.
    pub reported_master: bool,
    /// How long it has said so.
    pub reported_for: Duration,
}

/// A monitored master.
#[derive(Clone, PartialEq, Debug)]
pub struct MasterView {
    /// The common part. Its address is the configured one until the switch.
    pub instance: InstanceView,
    /// The role it reports.
    pub role: RoleView,
    /// The address to give clients: the promoted replica's once it is master.
    pub current: Addr,
    /// `none`, `wait_start`, `select_slave`, `send_slaveof_noone`, `wait_promotion`,
    /// `reconf_slaves` or `update_config`; only while a failover is in progress.
    pub failover_state: Option<&'static str>,
    /// The epoch of the address.
    pub config_epoch: Epoch,
    /// Known replicas.
    pub replicas: usize,
    /// Known sentinels but us.
    pub other_sentinels: usize,
    /// Votes of S_DOWN that make O_DOWN.
    pub quorum: u32,
    /// Its failover-timeout.
    pub failover_timeout: Duration,
    /// Its parallel-syncs.
    pub parallel_syncs: u32,
    /// Its notification-script.
    pub notification_script: Option<String>,
    /// Its client-reconfig-script.
    pub client_reconfig_script: Option<String>,
}

/// A replica.
#[derive(Clone, PartialEq, Debug)]
pub struct ReplicaView {
    /// The common part.
    pub instance: InstanceView,
    /// The role it reports.
    pub role: RoleView,
    /// How long its link to its master has been down; zero when up, negative never.
    pub master_link_down: Duration,
    /// Its link to its master is up.
    pub master_link_up: bool,
    /// Whom it follows; `None` is shown as `?` and port 0.
    pub master: Option<Addr>,
    /// `slave_priority`.
    pub priority: u32,
    /// `slave_repl_offset`.
    pub offset: u64,
    /// `replica_announced`.
    pub announced: bool,
}

/// Another sentinel of a master.
#[derive(Clone, PartialEq, Debug)]
pub struct SentinelView {
    /// The common part.
    pub instance: InstanceView,
    /// Age of its last hello.
    pub last_hello: Duration,
    /// Whom it voted for last.
    pub voted_leader: Option<SentinelId>,
    /// At which epoch.
    pub voted_leader_epoch: Epoch,
}

/// A replica as a candidate for promotion.
#[derive(Clone, PartialEq, Debug)]
pub struct CandidateView {
    /// Where it listens.
    pub addr: Addr,
    /// 1 would be promoted; `None` when it is refused.
    pub rank: Option<u32>,
    /// `slave_priority`; `None` before its first INFO.
    pub priority: Option<u32>,
    /// Its replication offset in bytes.
    pub offset: u64,
    /// Bytes behind the highest offset of all replicas.
    pub behind: u64,
    /// Its run id; empty while unknown.
    pub run_id: String,
    /// Its link to its master is up.
    pub link_up: bool,
    /// How long that link has been down, as it says.
    pub link_down: Duration,
    /// Age of its last INFO; `None` before the first.
    pub info_age: Option<Duration>,
    /// Age of its last acceptable PING reply.
    pub ok_ping: Duration,
    /// Why it may not be promoted; empty when it may.
    pub refused: Vec<String>,
    /// Why the last failover passed it over.
    pub last_refused: Option<PastRefusal>,
}

/// Why the last failover passed a replica over.
#[derive(Clone, PartialEq, Debug)]
pub struct PastRefusal {
    /// The rule, in words.
    pub reason: String,
    /// How long ago.
    pub age: Duration,
    /// The epoch of that failover.
    pub epoch: Epoch,
}
