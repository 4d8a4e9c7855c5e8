//! Writes to the disks of sentinels.

use std::time::Duration;

use codis_sentinel_proto::ids::PersistId;
use codis_sentinel_proto::persist::Snapshot;

use super::{Happening, Message, Process, Sabotage, World, log};
use crate::brain::Brain;

impl World {
    /// A stock process writes while everything else in it waits, and goes on whether or not the
    /// disk took it.
    pub(super) fn write_on_the_loop(&mut self, who: usize, id: PersistId, snapshot: Snapshot) {
        let disk = &mut self.sentinels[who].disk;
        let slow = (self.now < disk.slow_until).then_some(disk.extra);
        disk.write_now(self.now, id, snapshot);
        if let Some(span) = slow {
            self.stall(who, span);
        }
    }

    /// Loses the state of a dead sentinel that is to lose it, unless another one has not got over
    /// its own loss: nothing can be promised when two forget at a time.
    pub(super) fn lose_state(&mut self, who: usize) {
        let Some(loss) = self.sentinels[who].loses.take() else {
            return;
        };
        let rejoins = |process: &Process| {
            let brain = process.brain.as_ref();
            process.disk.held.rejoining || brain.is_some_and(Brain::is_rejoining)
        };
        let others = self.sentinels.iter().enumerate();
        let mut others = others.filter(|(other, _)| *other != who);
        if !others.any(|(_, process)| rejoins(process)) {
            log!(self, "s{} loses its state: {loss:?}", who + 1);
            let marked = self.sabotage != Sabotage::Unmarked;
            self.sentinels[who].disk.lose(loss, marked);
        }
    }

    pub(super) fn start_write(&mut self, who: usize) {
        let process = &mut self.sentinels[who];
        let mut extra = Duration::ZERO;
        if self.sabotage == Sabotage::SlowDisk {
            extra = Duration::from_millis(500);
        } else if self.now < process.disk.slow_until {
            extra = process.disk.extra;
        }
        let done = self.now + self.shell_rng.micros(self.plan.disk.clone()) + extra;
        self.queue.push(
            done,
            Happening::DiskDone {
                who,
                life: process.life,
            },
        );
    }

    pub(super) fn disk_done(&mut self, who: usize, life: u64) {
        if self.sentinels[who].life != life {
            return;
        }
        let lands = self.shell_rng.chance(250);
        let done = self.sentinels[who].disk.finish(self.now, lands);
        if self.sentinels[who].disk.next() {
            self.start_write(who);
        }
        if let Some((id, ok)) = done {
            let ok = ok || self.sabotage == Sabotage::Deny;
            self.tell(who, Message::Persisted(id, ok));
        }
    }
}
