//! Votes: at most one in each epoch of each master, on disk before anybody hears of it.
//!
//! A vote goes to the first who asks at an epoch above that of our last vote about this master and
//! above the epoch of the address we hold. The original also demands that nobody, about any master,
//! has shown it a higher epoch; that makes masters that fail together disturb each other's
//! elections and adds no safety, since what must be unique is the leader of a master in an epoch.

use std::time::Duration;

use codis_core::epoch::Epoch;

use crate::core::Core;
use crate::disk::Held;
use crate::effect::Effect;
use crate::failover::Course;
use crate::ids::{RequestId, SentinelId};
use crate::input::Opinion;
use crate::master::{Master, Vote};
use crate::schedule::Key;

/// How long a voter leaves the work to the sentinel that it voted for. A leader of ours ends its
/// attempt within [`crate::failover::LEAD_TIME_MAX`], which is less; a stock leader needs about
/// 1.3 s. So a leader that is at work is not disturbed, and one that died costs this long and not
/// twice the failover-timeout as with the original.
pub(crate) const PASSIVE_AFTER_VOTE: Duration = Duration::from_secs(4);

/// How long a voter gives no vote to anybody else: a leader of ours promotes within it. Not more,
/// because voters of a split must be free again for the next attempt.
const BOUND_AFTER_VOTE: Duration = Duration::from_millis(250);

impl Core {
    /// Adopts a higher epoch seen elsewhere, in the context of a master.
    pub(crate) fn see_epoch(&mut self, master: &Master, epoch: Epoch) {
        if self.rise(epoch) {
            self.disk.want();
            master.tell(self, "+new-epoch", epoch.to_string());
        }
    }

    /// Answers a peer, once `vote` is durable.
    fn answer_with(&mut self, request: RequestId, vote: &Vote, opinion: Opinion) {
        let held = Held {
            until: vote.durable_with,
            request,
            opinion,
        };
        let refused = if self.disk.is_durable(held.until) {
            return self.answer(request, Some(held.opinion));
        } else if self.disk.refuses() {
            Some(held)
        } else {
            self.disk.hold(held)
        };
        if let Some(held) = refused {
            self.answer(held.request, None);
        }
    }

    pub(crate) fn answer(&mut self, request: RequestId, opinion: Option<Opinion>) {
        self.out.push(Effect::Answer { request, opinion });
    }
}

impl Master {
    /// A peer asks about this master, perhaps for our vote.
    pub(crate) fn asked(
        &mut self,
        core: &mut Core,
        request: RequestId,
        epoch: Epoch,
        candidate: Option<SentinelId>,
    ) {
        let down = self.says_down(core);
        let Some(candidate) = candidate.filter(|id| !core.is_me(id)) else {
            let opinion = Opinion {
                down,
                leader: None,
                leader_epoch: Epoch::ZERO,
            };
            return core.answer(request, Some(opinion));
        };
        core.see_epoch(self, epoch);
        let is_new = epoch > self.vote.epoch && epoch > self.config_epoch;
        let wanted = is_new && !self.forgot_votes;
        if wanted && core.disk.refuses() {
            return core.answer(request, None);
        }
        let stranger = self.forgotten.contains(&candidate);
        let free = !self.is_leading() && !self.is_bound(core, &candidate);
        if wanted && free && !stranger {
            self.vote_for(core, candidate, epoch);
            self.step_aside(core, epoch);
        }
        let opinion = Opinion {
            down,
            leader: self.vote.leader.clone(),
            leader_epoch: self.vote.epoch,
        };
        core.answer_with(request, &self.vote, opinion);
    }

    /// Whether our last vote went to somebody else so lately that it may be promoting a replica
    /// now. A candidate that did not hear of it would promote another.
    fn is_bound(&self, core: &Core, candidate: &SentinelId) -> bool {
        let another = self
            .vote
            .leader
            .as_ref()
            .is_some_and(|id| id != candidate && !core.is_me(id));
        let lately = self
            .vote
            .given
            .is_some_and(|at| core.age(at) < BOUND_AFTER_VOTE);
        // Where every vote is needed, the one that is at work can refuse its own.
        let needless = self.votes_needed() >= self.voters();
        another && lately && !needless && self.config_epoch < self.vote.epoch
    }

    /// Gives our vote of `epoch`.
    pub(crate) fn vote_for(&mut self, core: &mut Core, leader: SentinelId, epoch: Epoch) {
        assert!(epoch > self.vote.epoch, "one vote in each epoch");
        assert!(
            epoch <= core.current_epoch,
            "no vote above the current epoch"
        );
        let payload = format!("{leader} {epoch}");
        self.vote = Vote {
            leader: Some(leader),
            epoch,
            durable_with: core.disk.want(),
            given: Some(core.now),
        };
        self.tell(core, "+vote-for-leader", payload);
        core.touch(Key::Master(self.id));
    }

    /// Our vote went to another: gives up what we may be attempting ourselves, and leaves the other
    /// the time that it needs.
    fn step_aside(&mut self, core: &mut Core, epoch: Epoch) {
        match &self.course {
            Course::Idle => {}
            Course::Candidate { .. } => self.course = Course::Idle,
            Course::Failover(failover) => {
                let awaits_votes = failover.awaits_votes();
                assert!(failover.epoch < epoch, "no second vote in our own epoch");
                if awaits_votes {
                    self.abort(core, "-failover-abort-not-elected");
                }
            }
        }
        self.passive_until = core.now + PASSIVE_AFTER_VOTE;
    }
}
