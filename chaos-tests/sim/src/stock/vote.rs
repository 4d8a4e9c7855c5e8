//! Votes, and who leads an epoch.
//!
//! One vote in each epoch of each master, to whoever asks first. The rule has a hole that is kept
//! here because it is in the field: a candidate counts the votes of its peers for the *current*
//! epoch, while its own stands for the epoch of its failover, and takes the sum for a majority of
//! the latter.

use std::collections::BTreeMap;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_sentinel_proto::ids::{RequestId, SentinelId};
use codis_sentinel_proto::{Effect, Opinion};

use super::core::Core;
use super::master::{Master, Who};
use super::{Stock, same};

impl Stock {
    /// A peer asks about a master, perhaps for a vote.
    pub(super) fn asked(
        &mut self,
        request: RequestId,
        addr: &Addr,
        epoch: Epoch,
        candidate: Option<SentinelId>,
    ) {
        let tilt = self.core.tilt.is_some();
        let mut opinion = Opinion {
            down: false,
            leader: None,
            leader_epoch: Epoch::ZERO,
        };
        // Masters are found by their address, not by name.
        let found = self.masters.values_mut().find(|it| it.own.addr == *addr);
        if let Some(master) = found {
            opinion.down = !tilt && master.own.s_down;
            if let Some(candidate) = candidate {
                (opinion.leader, opinion.leader_epoch) =
                    master.vote(&mut self.core, epoch, candidate);
            }
        }
        let opinion = Some(opinion);
        self.core.out.push_back(Effect::Answer { request, opinion });
    }
}

impl Master {
    /// Gives the vote of an epoch when it is free; the vote on record, perhaps an older one.
    fn vote(
        &mut self,
        core: &mut Core,
        epoch: Epoch,
        candidate: SentinelId,
    ) -> (Option<SentinelId>, Epoch) {
        core.adopt_epoch(epoch);
        if self.leader_epoch < epoch && core.current_epoch <= epoch {
            let another = !same(&candidate, &core.id);
            self.leader_epoch = core.current_epoch;
            core.event(
                "+vote-for-leader",
                format!("{candidate} {}", self.leader_epoch),
            );
            self.leader = Some(candidate);
            core.save = true;
            if another {
                // Passive for twice the failover timeout.
                self.failover.started = Some(core.now + core.desync());
            }
        }
        (self.leader.clone(), self.leader_epoch)
    }

    /// Who has the votes to lead this sentinel's failover.
    pub(super) fn leader(&mut self, core: &mut Core) -> Option<SentinelId> {
        let voters = self.peers.len() + 1;
        let mut votes: BTreeMap<SentinelId, usize> = BTreeMap::new();
        for peer in self.peers.values() {
            if let Some(leader) = &peer.leader
                && peer.leader_epoch == core.current_epoch
            {
                *votes.entry(leader.clone()).or_default() += 1;
            }
        }
        let most = |votes: &BTreeMap<SentinelId, usize>| {
            let first = votes.iter().max_by_key(|(_, count)| **count);
            first.map(|(id, count)| (id.clone(), *count))
        };
        let favourite = most(&votes).map_or_else(|| core.id.clone(), |(id, _)| id);
        let epoch = self.failover.epoch;
        if let (Some(own), own_epoch) = self.vote(core, epoch, favourite)
            && own_epoch == epoch
        {
            *votes.entry(own).or_default() += 1;
        }
        let needed = (voters / 2 + 1).max(self.quorum);
        most(&votes)
            .filter(|(_, count)| *count >= needed)
            .map(|(id, _)| id)
    }

    pub(super) fn is_led_by_me(&mut self, core: &mut Core) -> bool {
        self.leader(core).is_some_and(|id| same(&id, &core.id))
    }

    /// Says so, in the order of stock.
    pub(super) fn elected(&self, core: &mut Core) {
        self.tell(core, "+elected-leader", &Who::Master);
        self.tell(core, "+failover-state-select-slave", &Who::Master);
    }
}
