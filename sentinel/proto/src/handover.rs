//! The coordinated failover: the master itself hands over to the chosen replica.
//!
//! It differs from the other failovers in two stages. Where they tell the replica to be a master,
//! this one tells the master `FAILOVER TO <replica> TIMEOUT <ms>`: it holds writes back, waits
//! until the replica has all of them, becomes its replica and makes it a master. So no write that
//! was acknowledged is lost. The promotion counts when both say so, or when the replica says so
//! and the master cannot be asked any more.
//!
//! While writes are held back, a hello that somebody publishes on the master waits too, and
//! everything behind it on that connection: the master would seem dead. So neither the leader nor
//! those who voted for it publish there meanwhile. Stock sentinels do; for their sake the pause is
//! at most half of down-after, but not less than it takes a replica to tell how far it is.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::time::Time;
use codis_core::topology::Refusal;

use crate::core::Core;
use crate::effect::Command;
use crate::failover::{Course, Failover, LEAD_TIME_MAX, Next, Order, Stage};
use crate::info::{HandOver, Role};
use crate::instance::Server;
use crate::link::Purpose;
use crate::master::Master;
use crate::schedule::{Key, Who};
use crate::vote::PASSIVE_AFTER_VOTE;

/// Of the time that a leader has, this part is left for hearing of the end.
const REST_PART: u32 = 6;
/// A replica tells its master once a second how far it is, or a little later under load.
const PAUSE_MIN: Duration = Duration::from_millis(1800);

impl Master {
    /// Whether the master was told to hand over, and what came of it is not known yet.
    pub(crate) fn hands_over(&self) -> bool {
        self.failover().is_some_and(|failover| {
            let told = matches!(failover.stage, Stage::WaitPromotion { .. });
            failover.coordinated && told
        })
    }

    /// Whether a hello that is published on the master may wait there: it hands over, or we voted
    /// for a sentinel that may be telling it to.
    pub(crate) fn may_hold_writes_back(&self, core: &Core) -> bool {
        let vote = &self.vote;
        let another = vote.leader.as_ref().is_some_and(|id| !core.is_me(id));
        let lately = vote.given.is_some_and(|at| core.age(at) < LEAD_TIME_MAX);
        self.hands_over() || (another && lately && self.election_is_open())
    }

    /// Until when a write that hangs is no fault of the master: somebody may have told it to hand
    /// over, and a leader ends within that time.
    pub(crate) fn writes_held_until(&self) -> Option<Time> {
        let given = self.vote.given.filter(|_| self.election_is_open());
        given.map(|at| at + PASSIVE_AFTER_VOTE)
    }

    /// We voted while the master was up, and nobody was promoted since.
    fn election_is_open(&self) -> bool {
        self.server.node.s_down.is_none() && self.config_epoch < self.vote.epoch
    }

    /// Tells the master to hand over, as soon as its link is up.
    pub(crate) fn send_hand_over(&mut self, core: &mut Core, to: &Addr, until: Time) -> Next {
        if core.now >= until || self.o_down.is_some() {
            return self.end_hand_over(core, "-failover-abort-master-timeout");
        }
        let link = self.server.node.link;
        if core.stall.is_tilt() || !core.link_is_up(link) {
            return Next::At(Some(until));
        }
        let left = until.since(core.now);
        let pause = (self.settings.down_after / 2).max(PAUSE_MIN);
        let command = Command::HandOver {
            to: to.clone(),
            timeout: pause.min(left - left / REST_PART),
        };
        let Some(sent) = core.send(link, Purpose::Reconfigure, command) else {
            return Next::At(Some(until));
        };
        let who = Who::Replica(to.clone());
        self.ask_info_now(core, &Who::Master);
        self.ask_info_now(core, &who);
        self.tell_of(core, "+failover-state-wait-promotion", &who);
        let order = Order::Sent(sent);
        let to = to.clone();
        self.enter(core, Stage::WaitPromotion { to, until, order });
        Next::At(Some(until))
    }

    /// Waits until both have changed places, or the master gave up.
    pub(crate) fn await_hand_over(&mut self, core: &mut Core, failover: &Failover) -> Next {
        let Stage::WaitPromotion { to, until, order } = &failover.stage else {
            return Next::At(None);
        };
        let (to, until) = (to.clone(), *until);
        let master_link = self.server.node.link;
        let lost = !core.link_is_up(master_link);
        let Some(replica) = self.replicas.get(&to) else {
            return self.end_hand_over(core, "-failover-abort-slave-timeout");
        };
        let is_master = replica.server.role == Role::Master;
        let gone = lost || self.server.node.s_down.is_some();
        if is_master && (self.server.role == Role::Replica || gone) && !core.stall.is_tilt() {
            self.promoted(core, &to);
            return Next::Again;
        }
        let replica_down = replica.server.node.s_down.is_some();
        if core.now >= until || replica_down || self.o_down.is_some() {
            // Harmless when there is nothing to abort any more.
            core.send(master_link, Purpose::Reconfigure, Command::AbortHandOver);
            return self.end_hand_over(core, "-failover-abort-slave-timeout");
        }
        match order {
            Order::Sent(command) => {
                let waits = core
                    .link(master_link)
                    .is_some_and(|link| link.waits_for(Some(*command)));
                if !waits {
                    // Lost with its connection: what the master does will show.
                    self.hand_over_answered(core);
                }
            }
            Order::Answered if gave_up(&self.server, failover.since) => {
                return self.end_hand_over(core, "-failover-abort-slave-timeout");
            }
            Order::Answered => {}
        }
        Next::At(Some(until))
    }

    /// What INFO says from now on is about the time after the order.
    fn hand_over_answered(&mut self, core: &mut Core) {
        if let Course::Failover(failover) = &mut self.course
            && let Stage::WaitPromotion { order, .. } = &mut failover.stage
        {
            *order = Order::Answered;
            failover.since = core.now;
        }
        self.ask_info_now(core, &Who::Master);
    }

    /// The master took the order, or refused it.
    pub(crate) fn hand_over_replied(&mut self, core: &mut Core, result: Result<(), String>) {
        let Err(error) = result else {
            return self.hand_over_answered(core);
        };
        let payload = format!("{} #{error}", self.inst(&Who::Master));
        self.refused = vec![Refusal {
            addr: self.server.node.shown.clone(),
            reason: format!("it refuses to hand over: {error}"),
        }];
        self.tell(core, "-failover-abort-master-refused", payload);
        self.forget_hand_over(core);
    }

    fn end_hand_over(&mut self, core: &mut Core, event: &'static str) -> Next {
        self.tell_of(core, event, &Who::Master);
        self.forget_hand_over(core);
        Next::Again
    }

    /// Everything is as before, and nobody has to wait for anything.
    fn forget_hand_over(&mut self, core: &mut Core) {
        self.course = Course::Idle;
        self.passive_until = core.now;
        core.touch(Key::Master(self.id));
        self.touch_servers(core);
    }
}

/// Whether the master says, after it took the order, that it is a master and hands nothing over.
fn gave_up(master: &Server, since: Time) -> bool {
    let heard = master.info.as_ref().filter(|(at, _)| *at > since);
    heard.is_some_and(|(_, info)| info.role == Role::Master && info.hand_over == HandOver::Idle)
}
