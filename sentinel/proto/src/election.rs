//! Candidacy and election: who leads the failover of a master.
//!
//! A sentinel that sees O_DOWN waits for its turn ([`crate::rank`]), then raises the epoch, votes
//! for itself, and asks the others once that vote is on disk. It leads when more than half of the
//! known sentinels, and at least quorum, voted for it in that epoch. When nobody can win it tries
//! again after a random pause with a higher epoch; when somebody else may have won it leaves that
//! one the time to work.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::time::Time;

use crate::core::Core;
use crate::failover::{Course, Failover, Stage};
use crate::ids::SentinelId;
use crate::link::Link;
use crate::master::Master;
use crate::schedule::{Key, Who};
use crate::vote::PASSIVE_AFTER_VOTE;

/// The random time that the votes of a first attempt may take, in milliseconds. Each attempt lost
/// in a row allows half as much again, for slow disks and long lines.
const VOTES_MS: (u64, u64) = (300, 500);
/// The time for the votes of an attempt that an operator ordered. It is seldom contested, so there
/// is no split to get out of soon, and it is not made again by itself when the disks of the voters
/// are slow.
const VOTES_ORDERED: Duration = Duration::from_secs(3);
/// The random pause after an attempt that nobody won, in milliseconds: a first split is most often
/// bad luck, later ones a sign that votes take longer than the pauses differ.
const RETRY_MS_MIN: u64 = 10;
const RETRY_MS_STEP: u64 = 100;
const RETRY_MS_MAX: u64 = 450;
/// Attempts lost in a row that still count.
const LOST_MAX: u32 = 16;

/// Where an election stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tally {
    /// We have the votes.
    Won,
    /// Votes that may still come could decide it for us.
    Open,
    /// Somebody else may have won.
    Theirs,
    /// Nobody can win this epoch any more.
    Split,
}

/// Counts votes: ours, those that can still come, and the most that went to one other.
pub(crate) fn tally(needed: usize, ours: usize, open: usize, theirs: usize) -> Tally {
    if ours >= needed {
        Tally::Won
    } else if theirs >= needed {
        Tally::Theirs
    } else if ours + open >= needed {
        Tally::Open
    } else {
        Tally::Split
    }
}

impl Master {
    /// Votes that elect a leader.
    pub(crate) fn votes_needed(&self) -> usize {
        self.majority().max(self.quorum as usize)
    }

    /// Becomes a candidate when it is time to; when that is.
    pub(crate) fn consider(&mut self, core: &mut Core) -> Option<Time> {
        let may_not = core.stall.is_tilt() || core.disk.refuses() || self.forgot_votes;
        if self.o_down.is_none() || may_not {
            return None;
        }
        if self.passive_until > core.now {
            return Some(self.passive_until);
        }
        let at = core.now + self.candidacy_delay(core);
        self.course = Course::Candidate { at };
        None
    }

    /// Raises the epoch, votes for us, and so opens a failover.
    pub(crate) fn stand(&mut self, core: &mut Core, forced: bool, target: Option<Addr>) {
        let epoch = core.current_epoch.next();
        core.see_epoch(self, epoch);
        self.tell_of(core, "+try-failover", &Who::Master);
        self.vote_for(core, core.settings.myid.clone(), epoch);
        // No attempt takes longer, nor longer than failover-timeout.
        let longest = core.timing.election_timeout;
        let mut patience = core.random_ms(VOTES_MS.0, VOTES_MS.1).min(longest);
        for _ in 0..self.lost {
            patience = (patience + patience / 2).min(longest);
        }
        if forced {
            patience = patience.max(VOTES_ORDERED).min(longest);
        }
        let ends = core.now + patience.min(self.settings.failover_timeout);
        self.refused.clear();
        self.refused_at = None;
        self.course = Course::Failover(Failover {
            epoch,
            forced,
            coordinated: false,
            target,
            started: core.now,
            since: core.now,
            stage: Stage::WaitStart { ends },
        });
        self.touch_servers(core);
    }

    /// Counts the votes of the present attempt.
    pub(crate) fn count(&self, core: &Core, failover: &Failover) -> Tally {
        if !core.disk.is_durable(self.vote.durable_with) {
            return Tally::Open;
        }
        assert!(self.vote.epoch >= failover.epoch, "we voted when we stood");
        let mut ours = usize::from(self.vote.leader.as_ref().is_some_and(|id| core.is_me(id)));
        let (mut open, mut others) = (0, Vec::new());
        for (id, peer) in &self.peers {
            let ballot = peer.ballot.as_ref();
            match ballot.filter(|ballot| ballot.epoch == failover.epoch) {
                Some(ballot) => match &ballot.leader {
                    Some(leader) if core.is_me(leader) => ours += 1,
                    Some(leader) => others.push(leader.clone()),
                    None => {}
                },
                None => open += usize::from(core.link(peer.node.link).is_some_and(Link::is_up)),
            }
            // Whoever has a vote of this epoch stands in it, and so voted for itself.
            let stands = |other: &Self| other.voted_by_anyone(id, failover);
            if ballot.is_none_or(|ballot| ballot.epoch != failover.epoch) && stands(self) {
                others.push(id.clone());
            }
        }
        let theirs = most(&others);
        tally(self.votes_needed(), ours, open, theirs)
    }

    fn voted_by_anyone(&self, id: &SentinelId, failover: &Failover) -> bool {
        let ballots = self.peers.values().filter_map(|peer| peer.ballot.as_ref());
        ballots
            .filter(|ballot| ballot.epoch == failover.epoch)
            .any(|ballot| ballot.leader.as_ref() == Some(id))
    }

    /// An attempt ended without us as the leader.
    pub(crate) fn lose(&mut self, core: &mut Core, to_another: bool) {
        self.lost = (self.lost + 1).min(LOST_MAX);
        self.abort(core, "-failover-abort-not-elected");
        let pause = if to_another {
            PASSIVE_AFTER_VOTE
        } else {
            let most = RETRY_MS_STEP * u64::from(self.lost);
            core.random_ms(RETRY_MS_MIN, most.min(RETRY_MS_MAX))
        };
        self.passive_until = core.now + pause;
        core.touch(Key::Master(self.id));
    }
}

/// The most votes that went to one.
fn most(votes: &[SentinelId]) -> usize {
    let count = |id| votes.iter().filter(|other| *other == id).count();
    votes.iter().map(count).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elections_are_decided_as_soon_as_they_can_be() {
        // needed, ours, open, theirs
        let table = [
            ((2, 2, 0, 0), Tally::Won),
            ((2, 1, 1, 0), Tally::Open),
            ((2, 1, 0, 2), Tally::Theirs),
            ((2, 1, 0, 1), Tally::Split),
            ((3, 1, 2, 1), Tally::Open),
            ((3, 1, 1, 2), Tally::Split),
            ((3, 2, 0, 3), Tally::Theirs),
            // A quorum above the number of voters can never be reached.
            ((4, 3, 0, 0), Tally::Split),
        ];
        for ((needed, ours, open, theirs), expected) in table {
            assert_eq!(
                tally(needed, ours, open, theirs),
                expected,
                "{needed} {ours}"
            );
        }
    }
}
