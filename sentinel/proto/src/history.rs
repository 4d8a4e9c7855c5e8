//! The history of failovers, drawn from the events in one place: what a sentinel tells is what it
//! records, so no step can be taken unrecorded. It is told when a failover ends, and decides
//! nothing.
//!
//! Attempts that fail one after the other while a master is down are one record that counts them;
//! it is told at the first, second, fourth, ... attempt, so a master that cannot be failed over for
//! an hour does not push the rest out of the history.

use std::collections::BTreeMap;

use codis_core::addr::Addr;
use codis_core::failover::{Candidate, Record, Role, Stage, Vote};
use codis_core::time::Time;

use crate::core::Core;
use crate::effect::Effect;
use crate::failover::Failover;
use crate::instance::{Reconf, Replica};
use crate::machine::Machine;
use crate::master::Master;
use crate::schedule::MasterId;

/// Stages of one record: a master may have many replicas.
const STAGES_MAX: usize = 64;
/// Candidates of one record.
const CANDIDATES_MAX: usize = 32;
const ABORT: &str = "-failover-abort-";
const IN_PROGRESS: &str = "in-progress";

/// The failovers under way, and the last that failed.
#[derive(Default, Debug)]
pub(crate) struct History {
    open: BTreeMap<MasterId, Open>,
    failed: BTreeMap<MasterId, Open>,
}

/// A record while it is written.
#[derive(Clone, Debug)]
struct Open {
    /// The moment from which its stages count.
    zero: Time,
    /// When the master became O_DOWN, if it did.
    o_down: Option<Time>,
    record: Record,
}

impl Open {
    fn mark(&mut self, name: &str, at: Time, addr: Option<Addr>) {
        if self.record.stages.len() < STAGES_MAX {
            let ms = u64::try_from(at.since(self.zero).as_millis()).unwrap_or(u64::MAX);
            let name = name.to_owned();
            self.record.stages.push(Stage { name, ms, addr });
        }
    }

    fn has_done(&self, addr: &Addr) -> bool {
        let done = |stage: &Stage| stage.addr.as_ref() == Some(addr);
        self.record.stages.iter().any(done)
    }

    fn add_votes(&mut self, votes: Vec<Vote>) {
        for vote in votes {
            let known = |it: &Vote| it.voter == vote.voter;
            if !self.record.votes.iter().any(known) {
                self.record.votes.push(vote);
            }
        }
    }
}

impl Machine {
    /// The failovers under way: the moment from which their stages count, and the record so far.
    pub fn failovers_in_progress(&self) -> Vec<(Time, Record)> {
        let open = self.core.history.open.values();
        open.map(|it| (it.zero, it.record.clone())).collect()
    }
}

impl Master {
    /// An event about this master is told: writes down what it means.
    pub(crate) fn record(&self, core: &mut Core, event: &str) {
        match event {
            "+try-failover" => {
                self.close_record(core, "overtaken");
                self.open_as_candidate(core);
            }
            "+elected-leader" => self.note(core, "elected", |open, master, core| {
                open.record.role = Role::Leader;
                open.record.leader = Some(core.settings.myid.to_string());
                open.add_votes(master.votes_heard(core, open));
            }),
            "+selected-slave" => self.note(core, "selected", |open, master, core| {
                open.record.candidates = master.table(core);
            }),
            "+failover-state-wait-promotion" => self.note(core, "ordered", |open, master, _| {
                open.record.to = master.failover().and_then(Failover::chosen).cloned();
            }),
            "+promoted-slave" => self.note(core, "promoted", |open, master, core| {
                open.record.to = master.failover().and_then(Failover::chosen).cloned();
                open.add_votes(master.votes_heard(core, open));
            }),
            "+switch-master" => self.note(core, "told", |_, _, _| {}),
            "+slave-reconf-done" => self.note_done(core),
            "+failover-end-for-timeout" => self.close_record(core, "end-for-timeout"),
            "+failover-end" => self.close_record(core, "end"),
            "+config-update-from" => {
                self.close_record(core, "overtaken");
                self.open_as_observer(core);
            }
            "+reset-master" => self.close_record(core, "reset"),
            "-monitor" => {
                self.close_record(core, "removed");
                core.history.failed.remove(&self.id);
            }
            _ => {
                if let Some(outcome) = event.strip_prefix(ABORT) {
                    self.note_abort(core);
                    self.close_record(core, outcome);
                }
            }
        }
    }

    fn open_as_candidate(&self, core: &mut Core) {
        let mut open = self.opened(core, Role::Candidate);
        open.record.epoch = core.current_epoch;
        open.record.first_epoch = core.current_epoch;
        open.mark("stood", core.now, None);
        core.history.open.insert(self.id, open);
    }

    /// A hello brought another master: the present one is still in its place, the epoch is new.
    fn open_as_observer(&self, core: &mut Core) {
        let voted = (self.vote.epoch == self.config_epoch)
            .then(|| self.vote.leader.clone().zip(self.vote.given))
            .flatten();
        let role = if voted.is_some() {
            Role::Voter
        } else {
            Role::Observer
        };
        let mut open = self.opened(core, role);
        open.record.epoch = self.config_epoch;
        open.record.first_epoch = self.config_epoch;
        if let Some((leader, at)) = voted {
            open.record.leader = Some(leader.to_string());
            open.mark("voted", at, None);
            let votes = self.votes_heard(core, &open);
            open.add_votes(votes);
        }
        open.mark("heard", core.now, None);
        core.history.open.insert(self.id, open);
    }

    fn opened(&self, core: &Core, role: Role) -> Open {
        let node = &self.server.node;
        let silent = core.real(node.silent_since(core));
        let voted = self.vote.given.filter(|_| role == Role::Voter);
        let began = voted.unwrap_or(core.now);
        let zero = node.s_down.map_or(began, |at| at.min(silent));
        let cause = match role {
            _ if self.o_down.is_some() => self.down_cause(core),
            Role::Leader | Role::Candidate => "operator",
            Role::Voter | Role::Observer => "unknown",
        };
        let mut open = Open {
            zero,
            o_down: self.o_down,
            record: Record {
                name: self.name.clone(),
                epoch: self.config_epoch,
                first_epoch: self.config_epoch,
                attempts: 1,
                sentinel: core.settings.myid.to_string(),
                role,
                leader: None,
                cause: cause.to_owned(),
                start_unix_ms: 0,
                stages: Vec::new(),
                votes: Vec::new(),
                candidates: Vec::new(),
                from: self.server.node.shown.clone(),
                to: None,
                outcome: IN_PROGRESS.to_owned(),
            },
        };
        for (name, at) in [("s_down", node.s_down), ("o_down", self.o_down)] {
            if let Some(at) = at {
                open.mark(name, at, None);
            }
        }
        open
    }

    fn note(&self, core: &mut Core, stage: &str, add: impl FnOnce(&mut Open, &Self, &Core)) {
        let Some(mut open) = core.history.open.remove(&self.id) else {
            return;
        };
        self.note_order(&mut open);
        open.mark(stage, core.now, None);
        add(&mut open, self, core);
        core.history.open.insert(self.id, open);
    }

    /// Why the master is down.
    fn down_cause(&self, core: &Core) -> &'static str {
        let unwritable = self.write_misfit_at(core);
        if self.settings.lost_data_failover && self.lost_data().is_some() {
            "lost_data"
        } else if unwritable.is_some_and(|at| at <= core.now) {
            "no_writes"
        } else {
            "o_down"
        }
    }

    /// A failover that was ordered has that cause, whatever else is true.
    fn note_order(&self, open: &mut Open) {
        let order = self.failover().filter(|failover| failover.forced);
        if let Some(failover) = order {
            let cause = if failover.coordinated {
                "coordinated"
            } else {
                "operator"
            };
            cause.clone_into(&mut open.record.cause);
        }
    }

    fn note_done(&self, core: &mut Core) {
        let Some(open) = core.history.open.get_mut(&self.id) else {
            return;
        };
        let done = |replica: &&Replica| replica.reconf == Reconf::Done;
        for replica in self.replicas.values().filter(done) {
            let addr = &replica.server.node.shown;
            if !open.has_done(addr) {
                open.mark("replica-done", core.now, Some(addr.clone()));
            }
        }
    }

    /// A failover is given up: what was known then.
    fn note_abort(&self, core: &mut Core) {
        let Some(mut open) = core.history.open.remove(&self.id) else {
            return;
        };
        open.add_votes(self.votes_heard(core, &open));
        self.note_order(&mut open);
        if open.record.role == Role::Leader && open.record.candidates.is_empty() {
            open.record.candidates = self.table(core);
        }
        core.history.open.insert(self.id, open);
    }

    /// Ends the record that is open, if one is, and tells it.
    pub(crate) fn close_record(&self, core: &mut Core, outcome: &str) {
        let Some(mut open) = core.history.open.remove(&self.id) else {
            return;
        };
        let promoted = open.record.stage_ms("promoted").is_some();
        let cut = promoted && !outcome.starts_with("end");
        open.record.outcome = if cut { "promoted" } else { outcome }.to_owned();
        open.mark("end", core.now, None);
        if let Some(failed) = core.history.failed.remove(&self.id) {
            let again = failed.o_down.is_some() && failed.o_down == open.o_down;
            let alike = failed.record.outcome == open.record.outcome;
            if again && alike {
                open.record.attempts = failed.record.attempts.saturating_add(1);
                open.record.first_epoch = failed.record.first_epoch;
            }
        }
        if !promoted && outcome != "promoted" {
            core.history.failed.insert(self.id, open.clone());
        }
        if open.record.attempts.is_power_of_two() {
            let record = Box::new(open.record);
            let zero = open.zero;
            core.out.push(Effect::Failover { zero, record });
        }
    }

    /// Ends the record of a switch that a hello brought; the new master is in its place.
    pub(crate) fn close_observed(&self, core: &mut Core) {
        if let Some(open) = core.history.open.get_mut(&self.id) {
            open.record.to = Some(self.server.node.shown.clone());
        }
        self.close_record(core, "promoted");
    }

    /// The votes of the record's epoch that we know of.
    fn votes_heard(&self, core: &Core, open: &Open) -> Vec<Vote> {
        let epoch = open.record.epoch;
        let vote = |voter: String, leader: &crate::ids::SentinelId| Vote {
            voter,
            leader: leader.to_string(),
        };
        let own = self.vote.leader.iter().filter(|_| self.vote.epoch == epoch);
        let own = own.map(|leader| vote(core.settings.myid.to_string(), leader));
        let ballots = self.peers.iter().filter_map(|(id, peer)| {
            let ballot = peer.ballot.as_ref().filter(|it| it.epoch == epoch)?;
            Some(vote(id.to_string(), ballot.leader.as_ref()?))
        });
        own.chain(ballots).collect()
    }

    fn table(&self, core: &Core) -> Vec<Candidate> {
        let views = self.candidates(core).into_iter().take(CANDIDATES_MAX);
        views
            .map(|view| Candidate {
                addr: view.addr,
                offset: view.offset,
                priority: view.priority,
                refused: view.refused,
            })
            .collect()
    }
}
