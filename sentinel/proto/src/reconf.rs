//! Leading replicas to the master: after a failover, and whenever one strays.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::time::Time;

use crate::core::Core;
use crate::effect::Command;
use crate::failover::{Course, Failover, Stage};
use crate::info::Role;
use crate::instance::{Reconf, Replica};
use crate::link::Purpose;
use crate::master::Master;
use crate::schedule::{Key, Who, sooner};

/// No second order to follow the master within this time.
const ORDER_PAUSE: Duration = Duration::from_secs(1);
/// A hello counts as the present word of a sentinel for this long: hellos are 2 s apart.
const HELLO_FRESH: Duration = Duration::from_secs(5);
/// An election that somebody opened has made its master within this time, or never will: longer
/// than [`crate::vote::PASSIVE_AFTER_VOTE`].
const ELECTION_OVER: Duration = Duration::from_secs(5);
/// INFO of the master counts as its present word for this long.
const MASTER_INFO_FRESH: Duration = Duration::from_secs(1);

impl Master {
    /// Goes on with the reconfiguration of the replicas. The next deadline.
    pub(crate) fn reconfigure(&mut self, core: &mut Core, failover: &Failover) -> Option<Time> {
        if core.stall.is_tilt() {
            return None;
        }
        let ends = failover.since + self.settings.failover_timeout;
        let over = core.now >= ends || self.o_down.is_some();
        if over {
            self.tell_of(core, "+failover-end-for-timeout", &Who::Master);
            self.end_failover(core);
            self.reconfigure_the_rest(core);
            return None;
        }
        let mut next = Some(ends);
        for addr in self.replicas.keys().cloned().collect::<Vec<_>>() {
            next = sooner(next, self.reconfigure_one(core, &addr));
        }
        let waits = |replica: &Replica| {
            let settled = matches!(replica.reconf, Reconf::Done | Reconf::Exempt);
            !settled && replica.server.node.s_down.is_none()
        };
        let master_up = self.server.node.s_down.is_none();
        if master_up && !self.replicas.values().any(waits) {
            self.end_failover(core);
            return None;
        }
        next
    }

    fn end_failover(&mut self, core: &mut Core) {
        self.tell_of(core, "+failover-end", &Who::Master);
        self.course = Course::Idle;
        core.touch(Key::Master(self.id));
        self.touch_servers(core);
    }

    fn in_progress(&self) -> usize {
        let busy = |replica: &&Replica| match replica.reconf {
            Reconf::Sent(_) | Reconf::InProgress(_) => true,
            Reconf::Waiting | Reconf::Done | Reconf::Exempt => false,
        };
        self.replicas.values().filter(busy).count()
    }

    /// Tells one replica whom to follow, when it is its turn. When its time runs out.
    fn reconfigure_one(&mut self, core: &mut Core, addr: &Addr) -> Option<Time> {
        let timeout = core.timing.replica_reconf_timeout;
        let replica = self.replicas.get_mut(addr)?;
        if let Reconf::Sent(at) = replica.reconf {
            if core.now < at + timeout {
                return Some(at + timeout);
            }
            let again = !std::mem::replace(&mut replica.reconf_retried, true);
            replica.reconf = if again { Reconf::Waiting } else { Reconf::Done };
            let who = Who::Replica(addr.clone());
            self.tell_of(core, "-slave-reconf-sent-timeout", &who);
        }
        let waiting = self.replicas.get(addr)?.reconf == Reconf::Waiting;
        let turn = self.in_progress() < self.settings.parallel_syncs.max(1) as usize;
        if waiting && turn && self.order_to_follow(core, addr, Some("+slave-reconf-sent")) {
            self.replicas.get_mut(addr)?.reconf = Reconf::Sent(core.now);
            return Some(core.now + timeout);
        }
        None
    }

    /// Time is up: tells all that are left at once.
    fn reconfigure_the_rest(&mut self, core: &mut Core) {
        let left = self
            .replicas
            .iter()
            .filter(|(_, it)| it.reconf == Reconf::Waiting);
        for addr in left.map(|(addr, _)| addr.clone()).collect::<Vec<_>>() {
            self.order_to_follow(core, &addr, Some("+slave-reconf-sent-be"));
        }
    }

    /// Tells a replica to follow the master, asks for INFO right behind, and tells `event`. False
    /// when its link is down.
    pub(crate) fn order_to_follow(
        &mut self,
        core: &mut Core,
        addr: &Addr,
        event: Option<&'static str>,
    ) -> bool {
        let follow = Some(core.hosts.told(self.addr()));
        let Some(replica) = self.replicas.get_mut(addr) else {
            return false;
        };
        let command = Command::Reconfigure { follow };
        let link = replica.server.node.link;
        if core.send(link, Purpose::Reconfigure, command).is_none() {
            return false;
        }
        replica.ordered_until = Some(core.now + ORDER_PAUSE);
        let who = Who::Replica(addr.clone());
        if let Some(event) = event {
            self.tell_of(core, event, &who);
        }
        self.ask_info_now(core, &who);
        true
    }

    /// A server that is out of memory took no order to follow the master: it refuses to queue it,
    /// and is told without a transaction.
    pub(crate) fn follow_if_full(
        &mut self,
        core: &mut Core,
        who: &Who,
        result: &Result<(), String>,
    ) {
        let full = result.as_ref().is_err_and(|error| error.starts_with("OOM"));
        let Who::Replica(addr) = who else {
            return;
        };
        let chosen = self.failover().and_then(Failover::chosen) == Some(addr);
        if let Some(replica) = self.replicas.get(addr).filter(|_| full && !chosen) {
            let master = self.addr().clone();
            let link = replica.server.node.link;
            core.send(link, Purpose::Follow, Command::Follow { master });
            self.ask_info_now(core, who);
        }
    }

    /// INFO of a replica that says it follows somebody: whether its reconfiguration moved on.
    pub(crate) fn follow_reconf(&mut self, core: &mut Core, addr: &Addr) {
        let master = self.addr().clone();
        let who = Who::Replica(addr.clone());
        let Some(replica) = self.replicas.get_mut(addr) else {
            return;
        };
        let follows = replica.follows.as_ref() == Some(&master);
        let link_up = replica.info().is_some_and(|info| info.master_link_up);
        if let (Reconf::Sent(at), true) = (replica.reconf, follows) {
            replica.reconf = Reconf::InProgress(at);
            self.tell_of(core, "+slave-reconf-inprog", &who);
        }
        let Some(replica) = self.replicas.get_mut(addr) else {
            return;
        };
        if let (Reconf::InProgress(_), true, true) = (replica.reconf, follows, link_up) {
            replica.reconf = Reconf::Done;
            self.tell_of(core, "+slave-reconf-done", &who);
        }
        core.touch(Key::Master(self.id));
    }

    /// Whether the master is fit to be followed.
    fn looks_sane(&self, core: &Core, info_age_max: Duration) -> bool {
        let server = &self.server;
        let fresh = server.info_age(core).is_some_and(|age| age < info_age_max);
        let up = server.node.s_down.is_none() && self.o_down.is_none();
        fresh && up && server.role == Role::Master
    }

    /// A replica says that it is a master, and perhaps it just came back.
    pub(crate) fn judge_returned(&mut self, core: &mut Core, addr: &Addr) {
        let server = &self.server;
        let stale = server
            .info_age(core)
            .is_none_or(|age| age >= MASTER_INFO_FRESH);
        let link = core.link(server.node.link);
        let asked = link.is_some_and(|link| link.waits_for(server.info_command));
        if self.former.contains(addr) && stale && !asked {
            // Judged when the master's own word arrives.
            self.ask_info_now(core, &Who::Master);
        }
        self.convert_if_due(core, addr);
    }

    /// A hello came: perhaps the one that a returned master waits for.
    pub(crate) fn judge_all_returned(&mut self, core: &mut Core) {
        if core.stall.is_tilt() {
            return;
        }
        let chosen = self.failover().and_then(Failover::chosen);
        let returned = |(addr, replica): (&Addr, &Replica)| {
            let waits = replica.server.role == Role::Master && self.former.contains(addr);
            (waits && chosen != Some(addr)).then(|| addr.clone())
        };
        for addr in self
            .replicas
            .iter()
            .filter_map(returned)
            .collect::<Vec<_>>()
        {
            self.judge_returned(core, &addr);
        }
    }

    /// A replica says that it is a master. One that we know to be deposed is converted as soon as
    /// the present master says that it is master, most sentinels have said hello since without a
    /// later configuration, and nobody may be promoting it right now: one of those who voted for
    /// its promotion would be among them. Any other is converted after 8 s, in which a switch that
    /// we have not heard of would have reached us.
    pub(crate) fn convert_if_due(&mut self, core: &mut Core, addr: &Addr) {
        let Some(replica) = self.replicas.get(addr) else {
            return;
        };
        let server = &replica.server;
        if replica.ordered_until.is_some_and(|until| core.now < until) {
            return;
        }
        let known_deposed = self.former.contains(addr)
            && !self.expects_switch(core)
            && self.looks_sane(core, MASTER_INFO_FRESH)
            && self.most_agree(core, server.role_since);
        let convert_after = core.timing.convert_after();
        let waited = core.age(server.role_since) > convert_after
            && server.node.was_up_for(core, convert_after)
            && self.looks_sane(core, 2 * core.timing.info_period);
        if known_deposed || waited {
            self.order_to_follow(core, addr, Some("+convert-to-slave"));
        }
    }

    /// Whether somebody may be promoting a replica now: we elect or voted, an epoch rose lately
    /// that did not become that of the master, or we have not listened for long enough to know.
    pub(crate) fn expects_switch(&self, core: &Core) -> bool {
        let ours = match &self.course {
            Course::Idle => false,
            Course::Candidate { .. } => true,
            Course::Failover(failover) => failover.stage != Stage::ReconfSlaves,
        };
        let open =
            core.current_epoch > self.config_epoch && core.age(core.epoch_rose) <= ELECTION_OVER;
        let deaf = core.age(core.started) <= ELECTION_OVER;
        ours || open || deaf || core.now < self.passive_until
    }

    /// Whether most sentinels said hello after `since` and lately, with no epoch above ours.
    fn most_agree(&self, core: &Core, since: Time) -> bool {
        let agrees = |peer: &&crate::instance::Peer| {
            peer.heard.is_some_and(|heard| {
                let lately = heard.at > since && core.age(heard.at) <= HELLO_FRESH;
                lately && heard.config_epoch <= self.config_epoch
            })
        };
        self.peers.values().filter(agrees).count() + 1 >= self.majority()
    }

    /// A replica follows somebody else: after failover-timeout, in which a leader would have led
    /// it, it is led to the master.
    pub(crate) fn fix_if_due(&mut self, core: &mut Core, addr: &Addr) {
        let Some(replica) = self.replicas.get(addr) else {
            return;
        };
        let timeout = self.settings.failover_timeout;
        let astray = replica.follows.as_ref() != Some(self.addr());
        let ordered = replica.ordered_until.is_some_and(|until| core.now < until);
        let due = core.age(replica.follows_since) > timeout
            && replica.server.node.was_up_for(core, timeout)
            && self.looks_sane(core, 2 * core.timing.info_period);
        if astray && due && !ordered && self.failover().is_none() {
            self.order_to_follow(core, addr, Some("+fix-slave-config"));
        }
    }
}
