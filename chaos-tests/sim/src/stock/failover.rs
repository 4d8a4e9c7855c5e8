//! The failover of one master: one state in each tick.

use std::cmp::Reverse;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;
use codis_sentinel_proto::Command;

use super::core::Core;
use super::link::{PING_PERIOD, Purpose};
use super::master::{INFO_PERIOD, Instance, Master, Who};

/// An election takes no longer.
const ELECTION_MAX: Duration = Duration::from_secs(10);

/// The states of a failover.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum State {
    None,
    WaitStart,
    SelectSlave,
    SendSlaveofNoOne,
    WaitPromotion,
    ReconfSlaves,
    UpdateConfig,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Failover {
    pub(super) in_progress: bool,
    pub(super) epoch: Epoch,
    pub(super) state: State,
    pub(super) since: Time,
    /// When the last one started, here or at the sentinel that the vote went to.
    pub(super) started: Option<Time>,
    pub(super) promoted: Option<Addr>,
}

impl Failover {
    pub(super) const fn idle(now: Time) -> Self {
        Self {
            in_progress: false,
            epoch: Epoch::ZERO,
            state: State::None,
            since: now,
            started: None,
            promoted: None,
        }
    }
}

impl Master {
    /// The address that it tells: the promoted replica's once that is seen as a master.
    pub(super) fn current(&self) -> &Addr {
        let promoted = self.failover.promoted.as_ref();
        match promoted {
            Some(addr) if self.failover.state >= State::ReconfSlaves => addr,
            Some(_) | None => &self.own.addr,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.failover.state == State::UpdateConfig
    }

    pub(super) fn start_if_needed(&mut self, core: &mut Core) -> bool {
        let lately = |at: Time| core.age(at) < self.failover_timeout * 2;
        if !self.o_down || self.failover.in_progress || self.failover.started.is_some_and(lately) {
            return false;
        }
        self.start_failover(core);
        true
    }

    fn start_failover(&mut self, core: &mut Core) {
        core.current_epoch = core.current_epoch.next();
        let epoch = core.current_epoch;
        core.event("+new-epoch", epoch.to_string());
        self.tell(core, "+try-failover", &Who::Master);
        self.failover = Failover {
            in_progress: true,
            epoch,
            state: State::WaitStart,
            since: core.now,
            started: Some(core.now + core.desync()),
            promoted: None,
        };
    }

    fn enter(&mut self, core: &Core, state: State) {
        self.failover.state = state;
        self.failover.since = core.now;
    }

    fn abort(&mut self, core: &mut Core, event: &'static str) {
        self.tell(core, event, &Who::Master);
        self.failover.in_progress = false;
        self.failover.promoted = None;
        self.enter(core, State::None);
    }

    /// One step of the failover.
    pub(super) fn step(&mut self, core: &mut Core) {
        if !self.failover.in_progress {
            return;
        }
        let too_long = core.age(self.failover.since) > self.failover_timeout;
        match self.failover.state {
            State::None | State::UpdateConfig => {}
            State::WaitStart => self.wait_start(core),
            State::SelectSlave => match self.select(core) {
                None => self.abort(core, "-failover-abort-no-good-slave"),
                Some(addr) => {
                    let who = Who::Replica(addr.clone());
                    self.tell(core, "+selected-slave", &who);
                    self.failover.promoted = Some(addr);
                    self.tell(core, "+failover-state-send-slaveof-noone", &who);
                    self.enter(core, State::SendSlaveofNoOne);
                }
            },
            State::SendSlaveofNoOne => {
                let promoted = self.failover.promoted.clone();
                let link = promoted.as_ref().and_then(|addr| self.replicas.get(addr));
                let link = link.map(|replica| replica.link);
                let Some((addr, link)) = promoted.zip(link) else {
                    return self.abort(core, "-failover-abort-slave-timeout");
                };
                if !core.is_connected(link) {
                    if too_long {
                        self.abort(core, "-failover-abort-slave-timeout");
                    }
                    return;
                }
                if core.send(link, Purpose::Other, Command::Reconfigure { follow: None }) {
                    let who = Who::Replica(addr);
                    self.tell(core, "+failover-state-wait-promotion", &who);
                    self.enter(core, State::WaitPromotion);
                }
            }
            State::WaitPromotion => {
                if too_long {
                    self.abort(core, "-failover-abort-slave-timeout");
                }
            }
            State::ReconfSlaves => self.reconfigure(core),
        }
    }

    fn wait_start(&mut self, core: &mut Core) {
        if self.is_led_by_me(core) {
            self.elected(core);
            return self.enter(core, State::SelectSlave);
        }
        let timeout = ELECTION_MAX.min(self.failover_timeout);
        let over = |at: Time| core.age(at) > timeout;
        if self.failover.started.is_some_and(over) {
            self.abort(core, "-failover-abort-not-elected");
        }
    }

    /// The replica to promote.
    fn select(&self, core: &Core) -> Option<Addr> {
        let down_for = match self.own.s_down_since {
            Some(at) if self.own.s_down => core.age(at),
            Some(_) | None => Duration::ZERO,
        };
        let link_down_max = down_for + self.down_after * 10;
        let fit = |replica: &&Instance| self.is_fit(core, replica, link_down_max);
        let rank = |replica: &&Instance| {
            let info = replica.info.as_ref().map(|(_, info)| info);
            let (priority, offset) = info.map_or((u32::MAX, 0), |it| (it.priority, it.offset));
            let run_id = replica.run_id.clone();
            (priority, Reverse(offset), run_id.is_empty(), run_id)
        };
        let best = self.replicas.values().filter(fit).min_by_key(rank);
        best.map(|replica| replica.addr.clone())
    }

    fn is_fit(&self, core: &Core, replica: &Instance, link_down_max: Duration) -> bool {
        let info_max = if self.own.s_down {
            PING_PERIOD * 5
        } else {
            INFO_PERIOD * 3
        };
        let Some((at, info)) = &replica.info else {
            return false;
        };
        let link_down = info.master_link_down_ms.max(0).unsigned_abs();
        let silent = core
            .links
            .get(&replica.link)
            .is_none_or(|link| core.age(link.last_avail) > PING_PERIOD * 5);
        !replica.s_down
            && core.is_connected(replica.link)
            && !silent
            && info.priority != 0
            && core.age(*at) <= info_max
            && Duration::from_millis(link_down) <= link_down_max
    }

    /// INFO of the replica that was told to become master says that it is one.
    pub(super) fn promotion_seen(&mut self, core: &mut Core, addr: &Addr) {
        self.config_epoch = self.failover.epoch;
        self.enter(core, State::ReconfSlaves);
        core.save = true;
        self.tell(core, "+promoted-slave", &Who::Replica(addr.clone()));
        self.tell(core, "+failover-state-reconf-slaves", &Who::Master);
        // The next tick says hello to everybody.
        for who in self.everybody() {
            if let Some(instance) = self.instance_mut(&who) {
                instance.published = None;
            }
        }
    }
}
