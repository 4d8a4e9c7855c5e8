//! Processes that stop in the midst of what they do, and clocks that are not to be trusted.

use std::time::Duration;

use codis_sentinel_proto::Effect;

use super::{Happening, World, log};
use crate::brain::Brain;

impl World {
    /// Whether a process stops in front of an effect. One that is to stop behind it does so when
    /// the effect is carried out.
    pub(super) fn stops_before(&mut self, who: usize, effect: &Effect) -> bool {
        let Some((mark, after, span)) = self.sentinels[who].stall_at else {
            return false;
        };
        if !mark.matches(effect) {
            return false;
        }
        self.sentinels[who].stall_at = None;
        log!(self, "s{} stops at an effect for {span:?}", who + 1);
        self.safety.on_pause(who, span);
        self.stall(who, span);
        !after
    }

    /// The clock jumps: for our machine one that cannot be told from a stall, for a stock process
    /// its wall clock.
    pub(super) fn jump_clock(&mut self, who: usize, span: Duration) {
        let process = &mut self.sentinels[who];
        match &mut process.brain {
            None => {}
            Some(Brain::Stock(stock)) => stock.jump(span.as_micros() as i64),
            Some(Brain::Ours(_)) => {
                self.judgement.on_stall(who, process.clock.local(self.now));
                process.clock.jump(span);
                self.judgement.on_resume(who, process.clock.local(self.now));
                // Timers read the same clock.
                process.wake = Some(self.now);
                let wanted = self.now;
                self.queue.push(wanted, Happening::Wake { who, wanted });
            }
        }
    }

    /// The clock stands still, or a wall clock is set back.
    pub(super) fn stop_clock(&mut self, who: usize, span: Duration) {
        let process = &mut self.sentinels[who];
        match &mut process.brain {
            None => {}
            Some(Brain::Stock(stock)) => stock.jump(-(span.as_micros() as i64)),
            Some(Brain::Ours(_)) => {
                process.clock.stop(self.now, span);
                self.safety.on_pause(who, span);
            }
        }
    }
}
