//! Asking the other sentinels about a master that is S_DOWN here, and for their vote.
//!
//! They are asked at once, and again every 50 ms until they agree or the master recovers, because
//! each of them finds out a little earlier or later. Later questions only keep their word fresh.
//! That a peer asks is no word of its own: it may want votes for a failover that was ordered.

use std::time::Duration;

use codis_core::epoch::Epoch;
use codis_core::time::Time;

use crate::core::Core;
use crate::effect::Command;
use crate::failover::Course;
use crate::ids::{CommandId, LinkId, SentinelId};
use crate::input::Opinion;
use crate::instance::Ballot;
use crate::link::{Purpose, Question};
use crate::master::Master;
use crate::schedule::{Key, sooner};

/// Time between two questions while the answer is still open.
const ASK_PERIOD_OPEN: Duration = Duration::from_millis(50);

impl Master {
    /// The epoch for which votes are wanted now.
    fn wants_votes(&self, core: &Core) -> Option<Epoch> {
        match &self.course {
            Course::Idle | Course::Candidate { .. } => None,
            Course::Failover(failover) => {
                let own = core.disk.is_durable(self.vote.durable_with);
                (failover.awaits_votes() && own).then_some(failover.epoch)
            }
        }
    }

    /// Asks whoever is due. When the next question is.
    pub(crate) fn ask(&mut self, core: &mut Core) -> Option<Time> {
        let vote = self.wants_votes(core);
        let down = self.says_down(core);
        if !down && vote.is_none() {
            return None;
        }
        let open = vote.is_some() || self.o_down.is_none();
        let ask_period = core.timing.ask_period;
        let period = if open {
            ASK_PERIOD_OPEN.min(ask_period)
        } else {
            ask_period
        };
        let mut next = None;
        let peers: Vec<SentinelId> = self.peers.keys().cloned().collect();
        for id in peers {
            next = sooner(next, self.ask_one(core, &id, vote, period));
        }
        next
    }

    fn ask_one(
        &mut self,
        core: &mut Core,
        id: &SentinelId,
        vote: Option<Epoch>,
        period: Duration,
    ) -> Option<Time> {
        let peer = self.peers.get(id)?;
        let link = core.link(peer.node.link).filter(|link| link.is_up())?;
        let new_vote = vote.is_some() && peer.asked_vote != vote;
        let answered = vote.is_some() && peer.ballot.as_ref().map(|b| b.epoch) == vote;
        let due = peer.asked.map(|at| {
            at + if answered {
                core.timing.ask_period
            } else {
                period
            }
        });
        let waits = link.waits_for(peer.ask_command);
        if !new_vote && waits {
            return None;
        }
        if !new_vote && due.is_some_and(|at| at > core.now) {
            return due;
        }
        let question = Question {
            master: self.id,
            era: self.era,
            vote,
        };
        let command = Command::IsMasterDown {
            master: core.hosts.told(self.addr()),
            epoch: vote.unwrap_or(core.current_epoch),
            candidate: vote.map(|_| core.settings.myid.clone()),
        };
        let sent = core.send(link.id, Purpose::Ask(question), command);
        let now = core.now;
        let peer = self.peers.get_mut(id)?;
        if sent.is_some() {
            peer.asked_vote = vote;
            peer.ask_command = sent;
        }
        peer.asked = Some(now);
        sent.is_none().then_some(now + period)
    }

    /// A sentinel answered.
    pub(crate) fn answered(
        &mut self,
        core: &mut Core,
        link: LinkId,
        command: CommandId,
        question: Question,
        opinion: Option<Opinion>,
    ) {
        core.touch(Key::Master(self.id));
        let Some(peer) = self.peers.values_mut().find(|peer| peer.node.link == link) else {
            return;
        };
        if peer.ask_command == Some(command) {
            peer.ask_command = None;
        }
        if question.era != self.era {
            return;
        }
        let Some(mut opinion) = opinion else {
            return;
        };
        if let Some(epoch) = question.vote {
            let cast = opinion.leader_epoch == epoch;
            peer.ballot = Some(Ballot {
                epoch,
                leader: opinion.leader.clone().filter(|_| cast),
            });
        }
        // An answer without a leader does not take the last known vote away.
        if let (None, Some((_, before))) = (&opinion.leader, &peer.opinion) {
            opinion.leader.clone_from(&before.leader);
            opinion.leader_epoch = before.leader_epoch;
        }
        peer.opinion = Some((core.now, opinion));
    }
}
