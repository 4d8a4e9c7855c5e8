//! What must survive a crash. The shell writes it in the form of the sentinel's config file.

use std::collections::BTreeMap;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;

use crate::ids::SentinelId;
use crate::settings::MasterSettings;

/// All durable state of one sentinel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// Our id.
    pub myid: SentinelId,
    /// The highest epoch seen.
    pub current_epoch: Epoch,
    /// The monitored masters by name.
    pub masters: BTreeMap<String, PersistedMaster>,
    /// For each name ever monitored, the epoch below which its config epoch and votes must never
    /// start again, so that removing and adding a monitor cannot repeat an epoch.
    pub epoch_floors: BTreeMap<String, Epoch>,
}

/// The durable state of one monitored master.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersistedMaster {
    /// The current address: the promoted replica's from the moment it is master.
    pub addr: Addr,
    /// Votes of S_DOWN that make O_DOWN, at least 1.
    pub quorum: u32,
    /// Everything `SENTINEL SET` changes.
    pub settings: MasterSettings,
    /// The epoch of `addr`.
    pub config_epoch: Epoch,
    /// The epoch of the last vote given.
    pub leader_epoch: Epoch,
    /// Known replicas, in order of their address.
    pub replicas: Vec<Addr>,
    /// Known sentinels.
    pub sentinels: Vec<(SentinelId, Addr)>,
}
