//! Votes and leaders: one vote for each (sentinel, master, epoch), on disk before anybody hears of
//! it, and one leader with the votes of a majority.

use codis_core::addr::Addr;
use codis_sentinel_proto::Opinion;
use codis_sentinel_proto::persist::Snapshot;

use super::{Safety, Term};
use crate::check::Rule;
use crate::moment::Moment;

impl Safety {
    /// A sentinel answers a peer.
    pub fn on_answer(
        &mut self,
        at: Moment,
        who: usize,
        master: &Addr,
        opinion: &Opinion,
        confirmed: &Snapshot,
    ) {
        let (Some(leader), Some(group)) = (&opinion.leader, self.groups.get(master).copied())
        else {
            return;
        };
        let Some(leader) = self.ids.get(leader).copied() else {
            let text = format!("s{} voted for {leader}, who is nobody", who + 1);
            return self.broken(at, Rule::OneVote, text);
        };
        let term = (group, opinion.leader_epoch);
        self.record_vote(at, who, term, leader);
        self.require_durable(at, who, term, confirmed);
    }

    fn record_vote(&mut self, at: Moment, who: usize, term: Term, leader: usize) {
        let first = *self.votes.entry((who, term)).or_insert(leader);
        if first != leader {
            let (name, epoch) = (&self.names[term.0], term.1);
            let text = format!(
                "s{} voted for s{} and then for s{} in {name} epoch {epoch}",
                who + 1,
                first + 1,
                leader + 1
            );
            self.broken(at, Rule::OneVote, text);
        }
    }

    fn require_durable(&mut self, at: Moment, who: usize, term: Term, confirmed: &Snapshot) {
        let name = &self.names[term.0];
        let durable = match confirmed.masters.get(name) {
            Some(master) => Some(master.leader_epoch),
            // Removed meanwhile: when it is monitored again no vote starts at or below this.
            None => confirmed
                .epoch_floors
                .get(name)
                .map(|_| confirmed.current_epoch),
        };
        if durable.is_none_or(|epoch| epoch < term.1) {
            let text = format!(
                "s{}: vote of epoch {} for {name}, the disk has {durable:?}",
                who + 1,
                term.1
            );
            self.broken(at, Rule::DurableVote, text);
        }
    }

    pub(super) fn on_elected(
        &mut self,
        at: Moment,
        who: usize,
        group: usize,
        confirmed: &Snapshot,
    ) {
        let name = self.names[group].clone();
        let Some(epoch) = self.watched[who].attempt.get(&group).copied() else {
            let text = format!("s{} is elected for {name} without having tried", who + 1);
            return self.broken(at, Rule::Majority, text);
        };
        let term = (group, epoch);
        if self.stock[who] && !self.has_votes(who, term) {
            self.forked.insert(term);
            return;
        }
        let first = *self.leaders.entry(term).or_insert(who);
        if first != who {
            let text = format!("s{} and s{} lead {name} epoch {epoch}", first + 1, who + 1);
            return self.broken(at, Rule::OneLeader, text);
        }
        let (peers, needed) = (self.votes_of_peers(who, term), self.needed[group]);
        if peers >= needed {
            return;
        }
        if peers + 1 < needed {
            let text = format!(
                "s{} leads {name} epoch {epoch} with {} votes",
                who + 1,
                peers + 1
            );
            return self.broken(at, Rule::Majority, text);
        }
        self.record_vote(at, who, term, who);
        self.require_durable(at, who, term, confirmed);
    }

    fn votes_of_peers(&self, who: usize, term: Term) -> usize {
        let given = self
            .votes
            .iter()
            .filter(|((voter, voted), leader)| *voter != who && *voted == term && **leader == who);
        given.count()
    }

    /// Whether a sentinel has the votes of an epoch, with its own where it is free.
    fn has_votes(&self, who: usize, term: Term) -> bool {
        let own = self
            .votes
            .get(&(who, term))
            .is_none_or(|leader| *leader == who);
        self.votes_of_peers(who, term) + usize::from(own) >= self.needed[term.0]
    }

    /// Epochs that a stock sentinel took without the votes, or gave to a second address.
    pub fn forked(&self) -> u64 {
        self.forked.len() as u64
    }
}
