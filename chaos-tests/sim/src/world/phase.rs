//! From the faults to the verdict: heal, settle, lose the masters, settle, get them back, settle.

use std::collections::BTreeMap;
use std::time::Duration;

use super::blow::Lost;
use super::{Happening, World, log};
use crate::check::{Rule, liveness};
use crate::moment::Moment;
use crate::node::Life;
use crate::profile::Profile;

/// How often somebody looks.
const LOOK: Duration = Duration::from_millis(200);
/// For so long all must stay well before it counts.
const HOLD: Duration = Duration::from_millis(1_500);
/// A question that a healthy sentinel has not answered for so long is lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// When an operator repairs what orders broke, and how often.
const REPAIR: Duration = Duration::from_secs(10);

/// Where the run stands.
#[derive(Debug)]
pub(super) struct Phase {
    stage: Stage,
    since: Moment,
    good_since: Option<Moment>,
    /// What became of the master of each group that was lost last.
    pub(super) lost: BTreeMap<usize, Lost>,
    /// When the operator looks next.
    repair_at: Moment,
    /// Servers that stay lost in this stage.
    pub(super) absent: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Faults strike.
    Faults,
    /// All is whole again.
    Whole,
    /// The masters are lost.
    Wounded,
    /// The old masters are back.
    Restored,
    /// The verdict stands.
    Over,
}

impl Phase {
    pub(super) const fn start() -> Self {
        Self {
            stage: Stage::Faults,
            since: Moment(0),
            good_since: None,
            lost: BTreeMap::new(),
            repair_at: Moment(0),
            absent: Vec::new(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }
}

impl World {
    /// Looks whether all is well, and goes on to the next stage when it was for long enough.
    pub(super) fn look(&mut self) {
        if self.phase.stage == Stage::Faults {
            self.make_whole();
            self.enter(Stage::Whole);
        }
        let forgets = self.stats.forgotten > 0 || !self.plan.forget_after.is_zero();
        let may_repair = forgets || self.plan.profile == Profile::Amnesia;
        if may_repair && self.now >= self.phase.repair_at {
            self.phase.repair_at = self.now + REPAIR;
            self.repair(forgets);
        }
        self.look_for_lost_questions();
        self.look_after_blow();
        let refusals = self.look_at_refusals();
        match refusals.and_then(|()| self.judge()) {
            Ok(()) => {
                let good_since = *self.phase.good_since.get_or_insert(self.now);
                if self.now.since(good_since) >= HOLD {
                    self.stage_done(good_since);
                }
            }
            Err(reason) => {
                self.phase.good_since = None;
                let elapsed = self.now.since(self.phase.since);
                if elapsed > self.plan.settle_within() && self.safety.forked() > 0 {
                    // Two addresses hold one epoch, by a stock sentinel: nothing on the wire
                    // decides between them.
                    self.stats.unresolved += 1;
                    return self.enter(Stage::Over);
                }
                if elapsed > self.plan.settle_within() {
                    let stage = self.phase.stage;
                    let text = format!("{stage:?} not settled after {elapsed:?}: {reason}");
                    self.fail(Rule::Liveness, text);
                }
            }
        }
        if !self.phase.is_over() {
            self.queue.push(self.now + LOOK, Happening::Look);
        }
    }

    fn enter(&mut self, stage: Stage) {
        log!(self, "stage {stage:?}");
        self.phase.stage = stage;
        self.phase.since = self.now;
        self.phase.repair_at = self.now + REPAIR;
        self.phase.good_since = None;
    }

    fn stage_done(&mut self, good_since: Moment) {
        let settled = good_since.since(self.phase.since);
        self.stats.settle_max = self.stats.settle_max.max(settled);
        match self.phase.stage {
            Stage::Whole => {
                self.enter(Stage::Wounded);
                self.strike_masters();
            }
            Stage::Wounded => {
                self.look_at_data();
                self.enter(Stage::Restored);
                self.end_refusals();
                for node in std::mem::take(&mut self.phase.absent) {
                    self.revive(node);
                }
            }
            Stage::Faults | Stage::Restored | Stage::Over => self.enter(Stage::Over),
        }
    }

    fn look_for_lost_questions(&mut self) {
        if self.now.since(self.phase.since) < ANSWER_WITHIN {
            return;
        }
        let lost = self
            .sentinels
            .iter()
            .enumerate()
            .find_map(|(who, process)| {
                let mut waiting = process.requests.iter();
                let old = waiting.find(|(_, asked)| self.now.since(asked.at) > ANSWER_WITHIN);
                old.map(|(request, _)| format!("s{} never answers {request:?}", who + 1))
            });
        if let Some(text) = lost {
            self.fail(Rule::Contract, text);
        }
    }

    /// Whether every group has one master that all agree on and follow; if not, why.
    fn judge(&self) -> Result<(), String> {
        for (group, shape) in self.plan.groups.iter().enumerate() {
            let members = self.nodes.iter().enumerate();
            let members = members.filter(|(_, member)| member.node.group == group);
            let alive = members
                .filter(|(_, member)| member.node.life == Life::Running)
                .map(|(_, member)| &member.node)
                .collect::<Vec<_>>();
            let views = self.sentinels.iter().map(|process| {
                let local = process.clock.local(self.now);
                let brain = process.brain.as_ref().ok_or("a sentinel is dead")?;
                if brain.is_rejoining() {
                    return Err("a sentinel still rejoins");
                }
                Ok(brain.view(local, &shape.name))
            });
            let views: Result<Vec<_>, &str> = views.collect();
            liveness::judge(&shape.name, &views?, &alive, self.now)?;
        }
        Ok(())
    }
}
