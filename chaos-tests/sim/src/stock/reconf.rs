//! Leading the other replicas to the promoted one, and the switch of the address.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::time::Time;
use codis_sentinel_proto::Command;
use codis_sentinel_proto::info::Role;

use super::core::Core;
use super::failover::{Failover, State};
use super::link::Purpose;
use super::master::{Instance, Master, Who};

/// A replica that was told whom to follow says so within this time.
const RECONF_TIMEOUT: Duration = Duration::from_secs(10);

impl Master {
    /// Tells a replica whom to follow.
    pub(super) fn order(&self, core: &mut Core, replica: &Addr, to: &Addr) -> bool {
        let link = self.replicas.get(replica).map(|it| it.link);
        let follow = Some(to.clone());
        link.is_some_and(|link| core.send(link, Purpose::Other, Command::Reconfigure { follow }))
    }

    /// The next replicas, as many at a time as parallel-syncs allows.
    pub(super) fn reconfigure(&mut self, core: &mut Core) {
        let Some(promoted) = self.failover.promoted.clone() else {
            return;
        };
        let busy = |it: &&Instance| it.reconf_sent.is_some() || it.reconf_inprog;
        let mut in_progress = self.replicas.values().filter(busy).count();
        for addr in self.replicas.keys().cloned().collect::<Vec<_>>() {
            if in_progress >= self.parallel_syncs {
                break;
            }
            let Some(replica) = self.replicas.get_mut(&addr) else {
                continue;
            };
            if addr == promoted || replica.reconf_done {
                continue;
            }
            let late = |at: Time| core.age(at) > RECONF_TIMEOUT;
            if replica.reconf_sent.is_some_and(late) {
                replica.reconf_sent = None;
                replica.reconf_done = true;
                self.tell(
                    core,
                    "-slave-reconf-sent-timeout",
                    &Who::Replica(addr.clone()),
                );
            }
            let Some(replica) = self.replicas.get(&addr) else {
                continue;
            };
            let busy = replica.reconf_sent.is_some() || replica.reconf_inprog;
            if busy || !core.is_connected(replica.link) {
                continue;
            }
            if self.order(core, &addr, &promoted) {
                self.sent(core, &addr, "+slave-reconf-sent");
                in_progress += 1;
            }
        }
        self.detect_end(core, &promoted);
    }

    fn sent(&mut self, core: &mut Core, addr: &Addr, event: &'static str) {
        let now = core.now;
        if let Some(replica) = self.replicas.get_mut(addr) {
            replica.reconf_sent = Some(now);
        }
        self.tell(core, event, &Who::Replica(addr.clone()));
    }

    fn detect_end(&mut self, core: &mut Core, promoted: &Addr) {
        if self.replicas.get(promoted).is_none_or(|it| it.s_down) {
            return;
        }
        let waits = |it: &Instance| it.addr != *promoted && !it.reconf_done && !it.s_down;
        let over = core.age(self.failover.since) > self.failover_timeout;
        if over {
            self.tell(core, "+failover-end-for-timeout", &Who::Master);
        }
        if !over && self.replicas.values().any(waits) {
            return;
        }
        self.tell(core, "+failover-end", &Who::Master);
        self.failover.state = State::UpdateConfig;
        self.failover.since = core.now;
        if over {
            for addr in self.replicas.keys().cloned().collect::<Vec<_>>() {
                let left = self.replicas.get(&addr).is_some_and(|it| {
                    let done = it.reconf_done || it.reconf_sent.is_some();
                    addr != *promoted && !done && core.is_connected(it.link)
                });
                if left && self.order(core, &addr, promoted) {
                    self.sent(core, &addr, "+slave-reconf-sent-be");
                }
            }
        }
    }

    /// The end of an own failover.
    pub(super) fn switch_to_promoted(&mut self, core: &mut Core) {
        let to = self.current().clone();
        self.switch(core, &to);
    }

    /// The master has another address: replicas are made anew, sentinels stay with their words and
    /// votes.
    pub(super) fn switch(&mut self, core: &mut Core, to: &Addr) {
        let old = self.own.addr.clone();
        let (host, port) = (old.host(), old.port());
        let name = &self.name;
        core.event(
            "+switch-master",
            format!("{name} {host} {port} {} {}", to.host(), to.port()),
        );
        let mut replicas: Vec<Addr> = self.replicas.keys().cloned().collect();
        replicas.retain(|addr| addr != to);
        if old != *to {
            replicas.push(old);
        }
        for replica in std::mem::take(&mut self.replicas).into_values() {
            core.drop_link(replica.link);
        }
        core.redirect(self.own.link, to);
        self.own.addr = to.clone();
        self.own.s_down = false;
        self.own.s_down_since = None;
        self.own.run_id.clear();
        (self.own.role, self.own.role_since) = (Role::Master, core.now);
        self.o_down = false;
        self.o_down_since = None;
        self.leader = None;
        let epoch = self.failover.epoch;
        self.failover = Failover {
            epoch,
            ..Failover::idle(core.now)
        };
        for addr in replicas {
            self.add_replica(core, &addr);
            self.tell(core, "+slave", &Who::Replica(addr));
        }
        core.save = true;
    }
}
