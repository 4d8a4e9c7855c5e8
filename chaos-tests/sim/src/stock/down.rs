//! S_DOWN, O_DOWN, and the questions to the other sentinels.

use std::time::Duration;

use codis_sentinel_proto::ids::LinkId;
use codis_sentinel_proto::info::Role;
use codis_sentinel_proto::{Command, Opinion};

use super::core::Core;
use super::link::Purpose;
use super::master::{INFO_PERIOD, Master, Who};
use super::{Stock, failover};

/// Time between two questions to a peer that answers.
const ASK_PERIOD: Duration = Duration::from_secs(1);
/// The word of a peer is forgotten after so many of them.
const ASK_PERIODS_KEPT: u32 = 5;

impl Master {
    pub(super) fn check_s_down(&mut self, core: &mut Core, who: &Who, link: LinkId) {
        core.close_stale(link, self.down_after);
        let silent = core.silence(link) > self.down_after;
        let misfit = *who == Who::Master
            && self.own.role == Role::Replica
            && core.age(self.own.role_since) > self.down_after + 2 * INFO_PERIOD;
        let (is, now) = (silent || misfit, core.now);
        let Some(instance) = self.instance_mut(who).filter(|it| it.s_down != is) else {
            return;
        };
        instance.s_down = is;
        if is {
            instance.s_down_since = Some(now);
        }
        self.tell(core, if is { "+sdown" } else { "-sdown" }, who);
    }

    pub(super) fn check_o_down(&mut self, core: &mut Core) {
        let agree = 1 + self.peers.values().filter(|peer| peer.says_down).count();
        let is = self.own.s_down && agree >= self.quorum;
        if is == self.o_down {
            return;
        }
        self.o_down = is;
        if is {
            self.o_down_since = Some(core.now);
            let inst = self.inst(&Who::Master);
            core.event("+odown", format!("{inst} #quorum {agree}/{}", self.quorum));
        } else {
            self.tell(core, "-odown", &Who::Master);
        }
    }

    /// Asks every peer that is due while the master is S_DOWN here.
    pub(super) fn ask(&mut self, core: &mut Core, forced: bool) {
        let candidate = (self.failover.state != failover::State::None).then(|| core.id.clone());
        for (id, peer) in &mut self.peers {
            let age = peer.answered.map(|at| core.age(at));
            if age.is_none_or(|age| age > ASK_PERIOD * ASK_PERIODS_KEPT) {
                peer.says_down = false;
                peer.leader = None;
            }
            let waits = age.is_some_and(|age| age < ASK_PERIOD);
            if !self.own.s_down || !core.is_connected(peer.link) || (waits && !forced) {
                continue;
            }
            let purpose = Purpose::Ask(self.name.clone(), Who::Peer(id.clone()));
            let question = Command::IsMasterDown {
                master: self.own.addr.clone(),
                epoch: core.current_epoch,
                candidate: candidate.clone(),
            };
            core.send(peer.link, purpose, question);
        }
    }
}

impl Stock {
    /// A peer answered.
    pub(super) fn answered(&mut self, name: &str, who: &Who, opinion: Opinion) {
        let now = self.core.now;
        let master = self.masters.get_mut(name);
        let Some(peer) = master.and_then(|master| master.instance_mut(who)) else {
            return;
        };
        peer.answered = Some(now);
        peer.says_down = opinion.down;
        if let Some(leader) = opinion.leader {
            peer.leader = Some(leader);
            peer.leader_epoch = opinion.leader_epoch;
        }
    }
}
