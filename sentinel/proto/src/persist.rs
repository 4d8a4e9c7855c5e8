//! What must survive a crash. The shell writes it in the form of the sentinel's config file.

use std::collections::{BTreeMap, BTreeSet};

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;

use crate::ids::SentinelId;
use crate::machine::Machine;
use crate::master::Master;
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
    /// For each name ever monitored, the highest config epoch known of it. The current epoch, and
    /// so every election, stays above, so that removing and adding a monitor cannot repeat an
    /// epoch.
    pub epoch_floors: BTreeMap<String, Epoch>,
    /// Votes may have been forgotten: none is given before others were heard.
    pub rejoining: bool,
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
    /// Sentinels that were forgotten, the oldest first.
    pub forgotten: Vec<SentinelId>,
}

impl Snapshot {
    /// The state of a sentinel that has never run.
    pub fn fresh(myid: SentinelId) -> Self {
        Self {
            myid,
            current_epoch: Epoch::ZERO,
            masters: BTreeMap::new(),
            epoch_floors: BTreeMap::new(),
            rejoining: false,
        }
    }
}

impl Machine {
    /// All durable state, as it is now.
    pub fn snapshot(&self) -> Snapshot {
        let persisted = |master: &Master| PersistedMaster {
            addr: self.core.hosts.told(master.addr()),
            quorum: master.quorum,
            settings: master.settings.clone(),
            config_epoch: master.config_epoch,
            leader_epoch: master.vote.epoch,
            replicas: self.told_replicas(master),
            sentinels: master
                .peers
                .iter()
                .map(|(id, peer)| (id.clone(), self.core.hosts.told(&peer.node.addr)))
                .collect(),
            forgotten: master.forgotten.clone(),
        };
        Snapshot {
            myid: self.core.settings.myid.clone(),
            current_epoch: self.core.current_epoch,
            masters: self
                .masters
                .values()
                .map(|master| (master.name.clone(), persisted(master)))
                .collect(),
            epoch_floors: self.core.floors.clone(),
            rejoining: self.is_rejoining(),
        }
    }

    /// The replicas as they are told. Two names may lead to one place for a while: it is told once.
    fn told_replicas(&self, master: &Master) -> Vec<Addr> {
        let hosts = &self.core.hosts;
        let told: BTreeSet<Addr> = master.replicas.keys().map(|it| hosts.told(it)).collect();
        let own = hosts.told(master.addr());
        told.into_iter().filter(|addr| *addr != own).collect()
    }

    /// Takes up the state of the last run.
    pub(crate) fn restore(&mut self, snapshot: Snapshot) {
        self.core.rejoining = snapshot.rejoining;
        for (name, epoch) in &snapshot.epoch_floors {
            self.core.raise_floor(name, *epoch);
        }
        for (name, stored) in snapshot.masters {
            let id = self.add_master(&name, stored.addr, stored.quorum, stored.settings);
            let epoch = stored.config_epoch;
            self.core.raise_floor(&name, epoch);
            self.core.current_epoch = self.core.current_epoch.max(stored.leader_epoch);
            let Some(master) = self.masters.get_mut(&id) else {
                continue;
            };
            master.config_epoch = epoch;
            master.addr_by_operator = epoch == Epoch::ZERO;
            master.vote.epoch = stored.leader_epoch;
            master.forgotten = stored.forgotten;
            for addr in &stored.replicas {
                master.add_replica(&mut self.core, addr);
            }
            for (peer, addr) in &stored.sentinels {
                let elsewhere = self
                    .core
                    .peer_links
                    .get(peer)
                    .and_then(|id| self.core.link(*id));
                let addr = self
                    .core
                    .hosts
                    .peer_addr(elsewhere.map(|it| &it.addr), addr);
                let moved = elsewhere.is_some_and(|link| link.addr != addr);
                if !self.core.is_me(peer) && !moved && !master.peers.contains_key(peer) {
                    master.add_peer(&mut self.core, peer, &addr);
                }
            }
            master.tell_monitor(&mut self.core);
        }
        self.repace();
    }
}
