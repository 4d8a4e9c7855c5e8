//! An operator at work on one sentinel.
//!
//! A sentinel that is reset, or removed and told again, forgets servers and peers on order. What
//! nobody knows any more, nobody can find: once the faults are over the operator looks, as a person
//! (or the dashboard) would, and puts that right.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_sentinel_proto::Machine;

use super::{Happening, Undo, World, log};
use crate::brain::Brain;
use crate::node::Life;

impl World {
    /// An operator works on a sentinel that runs and is reachable.
    fn operate(&mut self, who: usize) -> bool {
        self.sentinels[who].brain.is_some() && !self.sentinels[who].stalled
    }

    /// Our machine in a sentinel that runs.
    fn machine_mut(&mut self, who: usize) -> Option<&mut Machine> {
        self.sentinels[who].brain.as_mut()?.ours_mut()
    }

    pub(super) fn force_failover(&mut self, who: usize, group: usize) {
        if !self.operate(who) {
            return;
        }
        let local = self.sentinels[who].clock.local(self.now);
        let name = self.plan.groups[group].name.clone();
        let Some(machine) = self.machine_mut(who) else {
            return;
        };
        let ordered = machine.failover(local, &name, None);
        log!(self, "s{} SENTINEL FAILOVER: {ordered:?}", who + 1);
        if ordered.is_ok() {
            self.safety.on_forced(who, group);
        }
        self.after_step(who);
    }

    pub(super) fn reset(&mut self, who: usize, group: usize) {
        if !self.operate(who) {
            return;
        }
        let local = self.sentinels[who].clock.local(self.now);
        let name = self.plan.groups[group].name.clone();
        log!(self, "s{} SENTINEL RESET {name}", who + 1);
        self.stats.forgotten += 1;
        if let Some(machine) = self.machine_mut(who) {
            machine.reset(local, &[name]);
        }
        self.after_step(who);
    }

    pub(super) fn remove_monitor(&mut self, who: usize, group: usize, gap: Duration) {
        if !self.operate(who) {
            return;
        }
        let local = self.sentinels[who].clock.local(self.now);
        let name = self.plan.groups[group].name.clone();
        let Some(machine) = self.machine_mut(who) else {
            return;
        };
        let Some(held) = machine.topology(local, &name) else {
            return;
        };
        let removed = machine.remove(local, &name);
        log!(self, "s{} SENTINEL REMOVE {name}: {removed:?}", who + 1);
        self.stats.forgotten += 1;
        // Half of the operators look up the master when they add it again, the others do not.
        let addr = self.fault_rng.chance(500).then_some(held.master);
        let undo = Undo::Monitor { who, group, addr };
        self.queue.push(self.now + gap, Happening::Undo(undo));
        self.after_step(who);
    }

    /// The operator adds a monitor, for `addr` or for what the others call master, and repeats it
    /// until the sentinel has it on disk.
    pub(super) fn monitor(&mut self, who: usize, group: usize, addr: Option<Addr>) {
        let shape = self.plan.groups[group].clone();
        let settings = super::start::settings(&self.plan);
        let process = &self.sentinels[who];
        let is_durable = process.disk.confirmed_id >= process.last_persist;
        let local = self.sentinels[who].clock.local(self.now);
        let looked_up = self.believed_master(group).or_else(|| {
            let of_group = |member: &super::Member| member.node.group == group;
            self.nodes.iter().position(of_group)
        });
        let looked_up = looked_up.map(|node| self.nodes[node].node.addr.clone());
        let Some(target) = addr.clone().or(looked_up) else {
            return;
        };
        if self.operate(who)
            && let Some(Brain::Ours(machine)) = &mut self.sentinels[who].brain
        {
            let held = machine.settings_of(&shape.name);
            if is_durable && held.is_some_and(|(held, _)| *held == settings) {
                return;
            }
            let added = machine.monitor(local, &shape.name, target.clone(), shape.quorum);
            if added.is_ok() {
                self.safety.on_monitor(who, group, &target);
            }
            let set = machine.set(local, &shape.name, settings, shape.quorum, &[]);
            log!(
                self,
                "s{} SENTINEL MONITOR {}: {added:?} {set:?}",
                who + 1,
                shape.name
            );
            self.after_step(who);
        }
        let undo = Undo::Monitor { who, group, addr };
        self.queue
            .push(self.now + Duration::from_millis(300), Happening::Undo(undo));
    }

    /// Repairs what orders made nobody know: a sentinel without peers that watches another address
    /// than the rest, and servers that no sentinel knows. Lost states lead to the latter alone:
    /// without `orders` the sentinels are left to themselves.
    pub(super) fn repair(&mut self, orders: bool) {
        for group in 0..self.plan.groups.len() {
            let Some(node) = self.believed_master(group) else {
                continue;
            };
            let master = self.nodes[node].node.addr.clone();
            let name = self.plan.groups[group].name.clone();
            for who in 0..self.sentinels.len() {
                if orders && self.is_astray(who, &name, &master) {
                    let local = self.sentinels[who].clock.local(self.now);
                    if let Some(machine) = self.machine_mut(who) {
                        let removed = machine.remove(local, &name);
                        log!(self, "s{} is told again about {name}: {removed:?}", who + 1);
                    }
                    self.after_step(who);
                    self.monitor(who, group, Some(master.clone()));
                }
            }
            self.adopt_orphans(group, &name, &master);
        }
    }

    /// Whether a sentinel holds another address, and nothing will tell it: it has no peers, or no
    /// election gave an epoch to either address.
    fn is_astray(&self, who: usize, name: &str, master: &Addr) -> bool {
        let process = &self.sentinels[who];
        let local = process.clock.local(self.now);
        let brain = process
            .brain
            .as_ref()
            .filter(|brain| brain.ours().is_some());
        let held = brain.and_then(|brain| brain.view(local, name));
        held.is_some_and(|held| {
            let alone = held.peers.is_empty();
            held.master != *master && (alone || held.epoch == Epoch::ZERO)
        })
    }

    /// Gives the servers that nobody knows to the master, which must be one to be found by them.
    fn adopt_orphans(&mut self, group: usize, name: &str, master: &Addr) {
        let members = self.nodes.iter().enumerate();
        let orphans: Vec<usize> = members
            .map(|(node, member)| (node, &member.node))
            .filter(|(_, server)| server.group == group && server.life == Life::Running)
            .filter(|(_, server)| server.addr != *master && !self.is_known(name, &server.addr))
            .map(|(node, _)| node)
            .collect();
        let Some(leader) = self.node_at(master).filter(|_| !orphans.is_empty()) else {
            return;
        };
        for node in std::iter::once(leader).chain(orphans) {
            let follow = (node != leader).then_some(master);
            let server = &mut self.nodes[node].node;
            let done = server.reconfigure(self.now, follow, &mut self.node_rng);
            log!(
                self,
                "n{} is told by the operator to follow {follow:?}: {done:?}",
                node + 1
            );
        }
    }

    fn is_known(&self, name: &str, addr: &Addr) -> bool {
        self.sentinels.iter().any(|process| {
            let local = process.clock.local(self.now);
            let held = process
                .brain
                .as_ref()
                .and_then(|brain| brain.view(local, name));
            held.is_some_and(|held| {
                held.master == *addr || held.replicas.iter().any(|(known, _)| known == addr)
            })
        })
    }
}
