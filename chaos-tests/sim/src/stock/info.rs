//! Replies: to PING, PUBLISH, questions, and above all to INFO.

use std::sync::Arc;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::time::Time;
use codis_sentinel_proto::Reply;
use codis_sentinel_proto::ids::{CommandId, LinkId};
use codis_sentinel_proto::info::{Info, Role};

use super::Stock;
use super::core::Core;
use super::failover::State;
use super::link::{PUBLISH_PERIOD, Purpose};
use super::master::{INFO_PERIOD, Master, Who};

impl Stock {
    pub(super) fn replied(&mut self, link: LinkId, command: CommandId, reply: Reply) {
        let pending = self.core.links.get_mut(&link);
        let Some(purpose) = pending.and_then(|link| link.pending.remove(&command)) else {
            return;
        };
        match (purpose, reply) {
            (Purpose::Ping, Reply::Ping(reply)) => self.core.pinged(link, reply),
            (Purpose::Info, Reply::Info(Some(info))) => self.informed(link, &info),
            (Purpose::Publish(name, who), Reply::Published(true)) => {
                let now = self.core.now;
                let master = self.masters.get_mut(&name);
                if let Some(instance) = master.and_then(|it| it.instance_mut(&who)) {
                    instance.published = Some(now);
                }
            }
            (Purpose::Ask(name, who), Reply::MasterDown(Some(opinion))) => {
                self.answered(&name, &who, opinion);
            }
            // Success of an order is judged by INFO; everything else is ignored.
            (
                Purpose::Ping
                | Purpose::Info
                | Purpose::Publish(..)
                | Purpose::Ask(..)
                | Purpose::Other,
                _,
            ) => {}
        }
    }

    fn informed(&mut self, link: LinkId, info: &Arc<Info>) {
        for master in self.masters.values_mut() {
            let of_link = |who: &Who| master.instance(who).is_some_and(|it| it.link == link);
            let who = master.everybody().into_iter().find(of_link);
            if let Some(who) = who {
                return master.informed(&mut self.core, &who, info);
            }
        }
    }
}

impl Master {
    fn informed(&mut self, core: &mut Core, who: &Who, info: &Arc<Info>) {
        if *who == Who::Master {
            for addr in &info.replicas {
                if self.add_replica(core, addr) {
                    core.save = true;
                    self.tell(core, "+slave", &Who::Replica(addr.clone()));
                }
            }
        }
        self.note(core, who, info);
        if core.tilt.is_some() {
            return;
        }
        if let Who::Replica(addr) = who {
            match info.role {
                Role::Master => self.replica_says_master(core, addr),
                Role::Replica => self.replica_says_replica(core, addr, info),
            }
        }
    }

    fn note(&mut self, core: &mut Core, who: &Who, info: &Arc<Info>) {
        let now = core.now;
        let Some(instance) = self.instance_mut(who) else {
            return;
        };
        let reboot = !instance.run_id.is_empty() && instance.run_id != info.run_id;
        instance.run_id.clone_from(&info.run_id);
        instance.info = Some((now, info.clone()));
        if info.role == Role::Replica && instance.follows != info.master {
            instance.follows.clone_from(&info.master);
            instance.follows_since = now;
        }
        let changed = instance.role != info.role;
        if changed {
            instance.role = info.role;
            instance.role_since = now;
            if info.role == Role::Replica {
                instance.follows_since = now;
            }
        }
        if reboot {
            self.tell(core, "+reboot", who);
        }
    }

    /// Whether the master is fit to be followed.
    fn looks_sane(&self, core: &Core) -> bool {
        let fresh = |at: Time| core.age(at) < INFO_PERIOD * 2;
        self.own.role == Role::Master
            && !self.own.s_down
            && !self.o_down
            && self.own.info.as_ref().is_some_and(|(at, _)| fresh(*at))
    }

    fn replica_says_master(&mut self, core: &mut Core, addr: &Addr) {
        let promoted = self.failover.promoted.as_ref() == Some(addr);
        if promoted && self.failover.in_progress {
            if self.failover.state == State::WaitPromotion {
                self.promotion_seen(core, addr);
            }
            return;
        }
        let wait = PUBLISH_PERIOD * 4;
        let Some(replica) = self.replicas.get(addr) else {
            return;
        };
        let due = core.age(replica.role_since) > wait && replica.was_up_for(core, wait);
        let to = self.own.addr.clone();
        if due && self.looks_sane(core) && self.order(core, addr, &to) {
            self.tell(core, "+convert-to-slave", &Who::Replica(addr.clone()));
        }
    }

    fn replica_says_replica(&mut self, core: &mut Core, addr: &Addr, info: &Info) {
        let to = self.own.addr.clone();
        let wait: Duration = self.failover_timeout;
        let Some(replica) = self.replicas.get(addr) else {
            return;
        };
        let astray = replica.follows.as_ref() != Some(&to);
        let due = core.age(replica.follows_since) > wait && replica.was_up_for(core, wait);
        let who = Who::Replica(addr.clone());
        if astray && due && self.looks_sane(core) && self.order(core, addr, &to) {
            self.tell(core, "+fix-slave-config", &who);
        }
        let promoted = self.failover.promoted.clone();
        let Some(replica) = self.replicas.get_mut(addr) else {
            return;
        };
        let mut told = Vec::new();
        if replica.reconf_sent.is_some() && promoted.is_some() && info.master == promoted {
            replica.reconf_sent = None;
            replica.reconf_inprog = true;
            told.push("+slave-reconf-inprog");
        }
        if replica.reconf_inprog && info.master_link_up {
            replica.reconf_inprog = false;
            replica.reconf_done = true;
            told.push("+slave-reconf-done");
        }
        for event in told {
            self.tell(core, event, &who);
        }
    }
}
