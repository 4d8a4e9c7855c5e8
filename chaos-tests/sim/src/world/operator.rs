//! An operator at work on one sentinel.

use std::time::Duration;

use codis_core::addr::Addr;

use super::{Happening, Undo, World, log};

impl World {
    /// An operator works on a sentinel that runs and is reachable.
    fn operate(&mut self, who: usize) -> bool {
        self.sentinels[who].machine.is_some() && !self.sentinels[who].stalled
    }

    pub(super) fn force_failover(&mut self, who: usize, group: usize) {
        if !self.operate(who) {
            return;
        }
        let local = self.sentinels[who].clock.local(self.now);
        let Some(machine) = &mut self.sentinels[who].machine else {
            return;
        };
        let ordered = machine.failover(local, &self.plan.groups[group].name, None);
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
        if let Some(machine) = &mut self.sentinels[who].machine {
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
        let Some(machine) = &mut self.sentinels[who].machine else {
            return;
        };
        let Some(held) = machine.topology(local, &name) else {
            return;
        };
        let removed = machine.remove(local, &name);
        log!(self, "s{} SENTINEL REMOVE {name}: {removed:?}", who + 1);
        let undo = Undo::Monitor {
            who,
            group,
            addr: held.master,
        };
        self.queue.push(self.now + gap, Happening::Undo(undo));
        self.after_step(who);
    }

    /// The operator repeats it until the sentinel has it on disk.
    pub(super) fn monitor(&mut self, who: usize, group: usize, addr: Addr) {
        let shape = self.plan.groups[group].clone();
        let settings = super::start::settings(&self.plan);
        let confirmed = self.sentinels[who].disk.confirmed.masters.get(&shape.name);
        let is_durable = confirmed.is_some_and(|master| master.settings == settings);
        let local = self.sentinels[who].clock.local(self.now);
        if self.operate(who)
            && let Some(machine) = &mut self.sentinels[who].machine
        {
            if is_durable && machine.settings_of(&shape.name).is_some() {
                return;
            }
            let added = machine.monitor(local, &shape.name, addr.clone(), shape.quorum);
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
}
