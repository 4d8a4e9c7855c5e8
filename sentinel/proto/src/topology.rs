//! The topology record, and the moments at which it is published.

use codis_core::time::Time;
use codis_core::topology::{Replica as ReplicaRecord, Topology};

use crate::core::Core;
use crate::effect::Effect;
use crate::instance::Replica;
use crate::master::Master;

/// The record as it was last published.
pub(crate) type Shown = Topology;

impl Master {
    /// The present record.
    pub(crate) fn topology(&self, core: &Core, now: Time) -> Topology {
        let text = |flags: Vec<&'static str>| flags.into_iter().map(str::to_owned).collect();
        let record = |replica: &Replica| {
            let info = replica.info();
            let at = replica.server.info.as_ref().map(|(at, _)| *at);
            ReplicaRecord {
                addr: replica.server.node.shown.clone(),
                run_id: replica.server.run_id.clone(),
                offset: info.map_or(0, |info| info.offset),
                link_up: info.is_some_and(|info| info.master_link_up),
                priority: info.map_or(0, |info| info.priority),
                info_age_ms: at.map(|at| now.since(at).as_millis() as u64),
                flags: text(self.replica_flags(core, replica)),
            }
        };
        Topology {
            name: self.name.clone(),
            epoch: self.config_epoch,
            master: self.server.node.shown.clone(),
            run_id: self.server.run_id.clone(),
            flags: text(self.topology_flags(core)),
            replicas: self.replicas.values().map(record).collect(),
            failover_state: self.failover().map_or("none", |it| it.state()).to_owned(),
            fence_epoch: self.vote.epoch,
            sentinel: core.settings.myid.to_string(),
            refused: self.refused.clone(),
        }
    }

    /// The flags of `SENTINEL MASTER`, and those that a stock sentinel does not have.
    fn topology_flags(&self, core: &Core) -> Vec<&'static str> {
        let mut flags = self.master_flags(core);
        if self.server.node.s_down.is_some() && self.refused_until(core).is_some() {
            flags.push("refused");
        }
        if self.lost_data().is_some() {
            flags.push("lost_data");
        }
        if self.reported_refusal().is_some() {
            flags.push("write_refused");
        }
        flags
    }

    /// Publishes the record when something in it changed that moves a peer. Offsets and ages do
    /// not: they are always on the move.
    pub(crate) fn show(&mut self, core: &mut Core) {
        let topology = self.topology(core, core.now);
        if self
            .shown
            .as_ref()
            .is_some_and(|shown| is_same(shown, &topology))
        {
            return;
        }
        self.shown = Some(topology.clone());
        core.out.push(Effect::Topology(Box::new(topology)));
    }
}

fn is_same(old: &Topology, new: &Topology) -> bool {
    let replicas = old.replicas.len() == new.replicas.len()
        && old.replicas.iter().zip(&new.replicas).all(|(a, b)| {
            let stable = |it: &ReplicaRecord| (it.addr.clone(), it.run_id.clone(), it.priority);
            stable(a) == stable(b) && a.flags == b.flags && a.link_up == b.link_up
        });
    let state = old.failover_state == new.failover_state && old.flags == new.flags;
    let master = old.epoch == new.epoch && old.master == new.master && old.run_id == new.run_id;
    let rest = old.fence_epoch == new.fence_epoch && old.refused == new.refused;
    replicas && state && master && rest
}
