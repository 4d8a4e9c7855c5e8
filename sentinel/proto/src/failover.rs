//! The failover of one master, from candidacy to the last replica.
//!
//! ```text
//! Idle -> Candidate -> WaitStart -> SelectSlave -> SendSlaveofNoOne -> WaitPromotion ->
//! ReconfSlaves
//!   ^         |            |             |                |                  |               |
//!   +---------+------------+-------------+----------------+------------------+---------------+
//! ```
//!
//! Each step is taken as soon as its reason arrives, several in one sweep if need be. Until the
//! promotion is seen a failover can be given up at any time; what was sent is then repaired as a
//! replica that says it is a master. From the promotion on the address has changed for everybody,
//! and the rest is to lead the other replicas to it.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;

use crate::core::Core;
use crate::effect::{Command, Effect, ReconfigScript};
use crate::election::Tally;
use crate::ids::{CommandId, LinkId};
use crate::link::Purpose;
use crate::master::Master;
use crate::schedule::{Key, Who};

/// An elected leader has this long (or failover-timeout, if less) to promote the replica that it
/// chose. Less than [`crate::vote::PASSIVE_AFTER_VOTE`].
pub(crate) const LEAD_TIME_MAX: Duration = Duration::from_secs(3);
/// How long the choice of a candidate waits for fresh INFO.
const FRESH_INFO_MAX: Duration = Duration::from_millis(100);
/// A replica that was told to become master and did not is passed over for this long.
const FAILED_CANDIDATE: Duration = Duration::from_secs(5);
/// Limits of the pause after a failover that found no candidate.
const BARREN_MIN: Duration = Duration::from_secs(1);
const BARREN_MAX: Duration = Duration::from_secs(10);
/// A course takes fewer steps than this in one sweep.
const STEPS_MAX: usize = 16;

/// What this sentinel is doing about a master.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Course {
    /// Nothing.
    Idle,
    /// It will stand for election at that moment.
    Candidate { at: Time },
    /// A failover of its own is in progress.
    Failover(Failover),
}

/// A failover in progress.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failover {
    pub(crate) epoch: Epoch,
    /// Ordered by an operator.
    pub(crate) forced: bool,
    /// The master is to hand over by itself.
    pub(crate) coordinated: bool,
    /// The replica that the operator named.
    pub(crate) target: Option<Addr>,
    pub(crate) started: Time,
    /// When the present stage began.
    pub(crate) since: Time,
    pub(crate) stage: Stage,
}

/// How far a failover is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Votes are gathered until that moment.
    WaitStart { ends: Time },
    /// INFO of the replicas is gathered until that moment.
    SelectSlave { fresh_by: Time },
    /// The replica is told as soon as its link is up, until that moment.
    SendSlaveofNoOne { to: Addr, until: Time },
    /// The replica was told; its INFO will show it.
    WaitPromotion { to: Addr, until: Time, order: Order },
    /// The replica is master; the others follow one after the other.
    ReconfSlaves,
}

/// The order to become master.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    Sent(CommandId),
    Answered,
}

impl Failover {
    pub(crate) const fn awaits_votes(&self) -> bool {
        matches!(self.stage, Stage::WaitStart { .. })
    }

    /// The name of the stage in `SENTINEL MASTER`.
    pub(crate) const fn state(&self) -> &'static str {
        match self.stage {
            Stage::WaitStart { .. } => "wait_start",
            Stage::SelectSlave { .. } => "select_slave",
            Stage::SendSlaveofNoOne { .. } => "send_slaveof_noone",
            Stage::WaitPromotion { .. } => "wait_promotion",
            Stage::ReconfSlaves => "reconf_slaves",
        }
    }

    /// The replica that was chosen, before it is master.
    pub(crate) const fn chosen(&self) -> Option<&Addr> {
        match &self.stage {
            Stage::SendSlaveofNoOne { to, .. } | Stage::WaitPromotion { to, .. } => Some(to),
            Stage::WaitStart { .. } | Stage::SelectSlave { .. } | Stage::ReconfSlaves => None,
        }
    }
}

/// What a step came to.
pub(crate) enum Next {
    /// Something changed: look again.
    Again,
    /// Nothing to do before that moment.
    At(Option<Time>),
}

impl Master {
    pub(crate) const fn failover(&self) -> Option<&Failover> {
        match &self.course {
            Course::Failover(failover) => Some(failover),
            Course::Idle | Course::Candidate { .. } => None,
        }
    }

    /// Whether we were elected and the promotion is still to come: a vote for another leader now
    /// would promote two replicas.
    pub(crate) fn is_leading(&self) -> bool {
        self.failover()
            .is_some_and(|failover| match failover.stage {
                Stage::SelectSlave { .. }
                | Stage::SendSlaveofNoOne { .. }
                | Stage::WaitPromotion { .. } => true,
                Stage::WaitStart { .. } | Stage::ReconfSlaves => false,
            })
    }

    /// Takes every step that can be taken now. The next deadline.
    pub(crate) fn advance(&mut self, core: &mut Core) -> Option<Time> {
        for _ in 0..STEPS_MAX {
            if let Next::At(at) = self.step(core) {
                return at;
            }
        }
        // Only attempts that end in the very moment they began can get here.
        core.touch(Key::Master(self.id));
        None
    }

    fn step(&mut self, core: &mut Core) -> Next {
        match self.course.clone() {
            Course::Idle => {
                let at = self.consider(core);
                if self.course == Course::Idle {
                    return Next::At(at);
                }
                Next::Again
            }
            Course::Candidate { at } => {
                if self.o_down.is_none() || core.stall.is_tilt() || core.disk.refuses() {
                    self.course = Course::Idle;
                    return Next::Again;
                }
                if at > core.now {
                    return Next::At(Some(at));
                }
                self.stand(core, false, None);
                Next::Again
            }
            Course::Failover(failover) => self.step_failover(core, failover),
        }
    }

    fn step_failover(&mut self, core: &mut Core, failover: Failover) -> Next {
        match &failover.stage {
            Stage::WaitStart { ends } => self.await_votes(core, &failover, *ends),
            Stage::SelectSlave { fresh_by } => self.select(core, &failover, *fresh_by),
            Stage::SendSlaveofNoOne { to, until } if failover.coordinated => {
                self.send_hand_over(core, to, *until)
            }
            Stage::WaitPromotion { .. } if failover.coordinated => {
                self.await_hand_over(core, &failover)
            }
            Stage::SendSlaveofNoOne { to, until } => {
                self.send_slaveof_noone(core, to, *until, true)
            }
            Stage::WaitPromotion { to, until, order } => {
                self.await_promotion(core, to, *until, *order)
            }
            Stage::ReconfSlaves => Next::At(self.reconfigure(core, &failover)),
        }
    }

    pub(crate) fn enter(&mut self, core: &mut Core, stage: Stage) -> Next {
        if let Course::Failover(failover) = &mut self.course {
            failover.stage = stage;
            failover.since = core.now;
        }
        self.touch_servers(core);
        Next::Again
    }

    fn await_votes(&mut self, core: &mut Core, failover: &Failover, ends: Time) -> Next {
        let recovered = !failover.forced && self.o_down.is_none() && !core.stall.is_tilt();
        let tally = self.count(core, failover);
        let over = core.now >= ends || recovered || core.disk.refuses();
        match tally {
            Tally::Won if !over && !core.stall.is_tilt() => {
                (self.lost, self.passive_until) = (0, core.now);
                self.tell_of(core, "+elected-leader", &Who::Master);
                self.tell_of(core, "+failover-state-select-slave", &Who::Master);
                let fresh_by = core.now + FRESH_INFO_MAX;
                self.enter(core, Stage::SelectSlave { fresh_by })
            }
            Tally::Won | Tally::Open if !over => Next::At(Some(ends)),
            Tally::Won | Tally::Open | Tally::Split => {
                self.lose(core, false);
                Next::Again
            }
            Tally::Theirs => {
                self.lose(core, true);
                Next::Again
            }
        }
    }

    fn select(&mut self, core: &mut Core, failover: &Failover, fresh_by: Time) -> Next {
        let since = self.server.node.s_down.unwrap_or(failover.started);
        if core.stall.is_tilt() {
            return Next::At(None);
        }
        if core.now < fresh_by && !self.replicas_are_fresh(core, since) {
            return Next::At(Some(fresh_by));
        }
        let Some(to) = self.choose(core, failover.target.as_ref()) else {
            self.abort(core, "-failover-abort-no-good-slave");
            let pause = BARREN_MIN * 2_u32.pow(self.barren.min(8));
            self.barren += 1;
            self.passive_until = core.now + pause.min(BARREN_MAX);
            return Next::Again;
        };
        let chosen = Who::Replica(to.clone());
        self.tell_of(core, "+selected-slave", &chosen);
        self.tell_of(core, "+failover-state-send-slaveof-noone", &chosen);
        let until = core.now + LEAD_TIME_MAX.min(self.settings.failover_timeout);
        self.enter(core, Stage::SendSlaveofNoOne { to, until })
    }

    fn send_slaveof_noone(&mut self, core: &mut Core, to: &Addr, until: Time, first: bool) -> Next {
        let Some(link) = self.candidate_link(core, to, until) else {
            return self.fail_candidate(core, to);
        };
        if core.stall.is_tilt() {
            return Next::At(Some(until));
        }
        let command = Command::Reconfigure { follow: None };
        let Some(sent) = core.send(link, Purpose::Reconfigure, command) else {
            return Next::At(Some(until));
        };
        self.former.insert(to.clone());
        let who = Who::Replica(to.clone());
        self.ask_info_now(core, &who);
        if first {
            self.tell_of(core, "+failover-state-wait-promotion", &who);
        }
        let order = Order::Sent(sent);
        let to = to.clone();
        self.enter(core, Stage::WaitPromotion { to, until, order });
        Next::At(Some(until))
    }

    fn await_promotion(&mut self, core: &mut Core, to: &Addr, until: Time, order: Order) -> Next {
        let Some(link) = self.candidate_link(core, to, until) else {
            return self.fail_candidate(core, to);
        };
        match order {
            Order::Sent(command) => {
                let waits = core
                    .link(link)
                    .is_some_and(|it| it.waits_for(Some(command)));
                if waits || !core.link_is_up(link) {
                    return Next::At(Some(until));
                }
                // Lost with its connection: nobody knows whether it arrived.
                self.send_slaveof_noone(core, to, until, false)
            }
            Order::Answered => Next::At(Some(until)),
        }
    }

    /// The chosen replica answered the order to become master, or the master that to hand over.
    pub(crate) fn order_answered(
        &mut self,
        core: &mut Core,
        command: CommandId,
        result: Result<(), String>,
    ) {
        let hands_over = self.hands_over();
        if let Course::Failover(Failover {
            stage: Stage::WaitPromotion { order, .. },
            ..
        }) = &mut self.course
            && *order == Order::Sent(command)
        {
            *order = Order::Answered;
            if hands_over {
                self.hand_over_replied(core, result);
            }
        }
    }

    /// The link of the chosen replica, while it may still become master in time.
    fn candidate_link(&self, core: &Core, to: &Addr, until: Time) -> Option<LinkId> {
        let node = &self.replicas.get(to)?.server.node;
        (core.now < until && node.s_down.is_none()).then_some(node.link)
    }

    fn fail_candidate(&mut self, core: &mut Core, to: &Addr) -> Next {
        if let Some(replica) = self.replicas.get_mut(to) {
            replica.failed_until = Some(core.now + FAILED_CANDIDATE);
        }
        self.abort(core, "-failover-abort-slave-timeout");
        self.passive_until = core.now;
        Next::Again
    }

    /// Gives a failover up before its promotion.
    pub(crate) fn abort(&mut self, core: &mut Core, event: &'static str) {
        let reconfiguring = self
            .failover()
            .is_some_and(|f| f.stage == Stage::ReconfSlaves);
        assert!(!reconfiguring, "a promotion is not taken back");
        self.tell_of(core, event, &Who::Master);
        self.course = Course::Idle;
        core.touch(Key::Master(self.id));
        self.touch_servers(core);
    }

    /// The chosen replica says that it is a master: it is the master from here on.
    pub(crate) fn promoted(&mut self, core: &mut Core, to: &Addr) {
        let Course::Failover(mut failover) = self.course.clone() else {
            return;
        };
        assert!(
            failover.chosen() == Some(to),
            "only the chosen replica is promoted"
        );
        assert!(failover.epoch > self.config_epoch, "an epoch decides once");
        let (old, who) = (self.addr().clone(), Who::Replica(to.clone()));
        let old_alive = self.server.node.s_down.is_none() || self.is_alive_but_unfit(core);
        let coordinated = failover.coordinated;
        self.config_epoch = failover.epoch;
        self.tell_of(core, "+promoted-slave", &who);
        self.tell_of(core, "+failover-state-reconf-slaves", &Who::Master);
        self.run_reconfig_script(core, true, &old, to);
        failover.stage = Stage::ReconfSlaves;
        failover.since = core.now;
        self.switch(core, to, Course::Failover(failover));
        self.show(core);
        self.publish_everywhere(core);
        self.barren = 0;
        if coordinated {
            // It is master already; what is left is its file, and its clients' idea of it.
            let command = Command::Reconfigure { follow: None };
            core.send(self.server.node.link, Purpose::Reconfigure, command);
        }
        if old_alive {
            let event = (!coordinated).then_some("+convert-to-slave");
            self.order_to_follow(core, &old, event);
        }
    }

    pub(crate) fn run_reconfig_script(
        &self,
        core: &mut Core,
        leader: bool,
        from: &Addr,
        to: &Addr,
    ) {
        let Some(path) = self.settings.client_reconfig_script.clone() else {
            return;
        };
        core.out.push(Effect::ReconfigScript(ReconfigScript {
            path,
            master: self.name.clone(),
            leader,
            from: core.hosts.told(from),
            to: core.hosts.told(to),
            stdin: self.script_facts(core),
        }));
    }
}
