//! The configuration of a sentinel: one file that holds what the operator wants, what the sentinel
//! is told at run time, and what it must never forget.
//!
//! The file keeps the form of Redis Sentinel, so that either program can take over the other's. It
//! is read once, into values that are right by construction ([`Config`]), and written back by
//! [`rewrite`], which keeps the operator's comments and order.

use std::collections::{BTreeMap, BTreeSet};

use codis_core::epoch::Epoch;
use codis_sentinel_proto::hosts::Names;
use codis_sentinel_proto::ids::SentinelId;
use codis_sentinel_proto::persist::{PersistedMaster, Snapshot};

use crate::acl::Users;

pub mod directives;
mod foreign;
pub mod hosts;
pub mod layers;
pub mod lex;
pub mod load;
pub mod merge;
mod options;
mod redact;
pub mod rewrite;
pub mod server;
mod users;

pub use server::Server;

/// Everything that a start reads from files and arguments.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The ordinary server directives.
    pub server: Server,
    /// The `sentinel` directives that name no master, but for ids and epochs.
    pub globals: Globals,
    /// The id, when one was configured.
    pub myid: Option<SentinelId>,
    /// The highest epoch seen.
    pub current_epoch: Epoch,
    /// The monitored masters by name.
    pub masters: BTreeMap<String, PersistedMaster>,
    /// The epoch floors by name.
    pub epoch_floors: BTreeMap<String, Epoch>,
    /// Votes may have been forgotten.
    pub rejoining: bool,
    /// What told of epochs: the names of masters, and nothing for the current one.
    pub epochs_told: BTreeSet<String>,
    /// What a state keeps of the operator's file, as words after [`layers::SAID`].
    pub said: Vec<Vec<String>>,
    /// The users that the operator's file makes, when there is a state beside it.
    pub told_users: Option<Users>,
    /// What was accepted without effect; for the log.
    pub notes: Vec<String>,
    /// What was accepted without the effect that an operator may count on; for the log.
    pub warnings: Vec<String>,
}

/// The `sentinel` directives that name no master and that an operator may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Globals {
    /// `announce-ip`.
    pub announce_ip: Option<String>,
    /// `announce-port`; 0 is unset.
    pub announce_port: u16,
    /// `deny-scripts-reconfig`.
    pub deny_scripts_reconfig: bool,
    /// `sentinel-user`.
    pub sentinel_user: Option<String>,
    /// `sentinel-pass`.
    pub sentinel_pass: Option<String>,
    /// `resolve-hostnames`.
    pub resolve_hostnames: bool,
    /// `announce-hostnames`.
    pub announce_hostnames: bool,
    /// `metrics-port`, an extension: where figures are served; 0 is nowhere.
    pub metrics_port: u16,
    /// `metrics-bind`, an extension: the address of that port; loopback without it.
    pub metrics_bind: Option<String>,
}

impl Default for Globals {
    fn default() -> Self {
        Self {
            announce_ip: None,
            announce_port: 0,
            deny_scripts_reconfig: true,
            sentinel_user: None,
            sentinel_pass: None,
            resolve_hostnames: false,
            announce_hostnames: false,
            metrics_port: 0,
            metrics_bind: None,
        }
    }
}

impl Globals {
    /// What is done with host names.
    pub const fn names(&self) -> Names {
        Names {
            resolve: self.resolve_hostnames,
            announce: self.announce_hostnames,
        }
    }
}

impl Config {
    /// The host names in it.
    pub fn hosts(&self) -> BTreeSet<String> {
        let masters = self.masters.values();
        let addrs = masters.flat_map(|master| {
            let sentinels = master.sentinels.iter().map(|(_, addr)| addr);
            let known = master.replicas.iter().chain(sentinels);
            std::iter::once(&master.addr).chain(known)
        });
        let names = addrs.filter(|addr| addr.host().parse::<std::net::IpAddr>().is_err());
        names.map(|addr| addr.host().to_owned()).collect()
    }

    /// An epoch that every rewrite writes and that was not read, if there is one.
    pub fn missing_epochs(&self) -> Option<String> {
        if !self.epochs_told.contains("") {
            return Some("there is no current-epoch".into());
        }
        let untold = |name: &&String| !self.epochs_told.contains(*name);
        let name = self.masters.keys().find(untold)?;
        Some(format!("there is no leader-epoch of {name}"))
    }

    /// The durable part, for the machine to start from.
    pub fn snapshot(&self, myid: SentinelId) -> Snapshot {
        Snapshot {
            myid,
            current_epoch: self.current_epoch,
            masters: self.masters.clone(),
            epoch_floors: self.epoch_floors.clone(),
            rejoining: self.rejoining,
        }
    }
}
