//! What all masters of one stock process share: its clock, epoch, links, TILT and orders.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;
use codis_sentinel_proto::Effect;
use codis_sentinel_proto::event::{Event, Level};
use codis_sentinel_proto::ids::{LinkId, SentinelId};

use super::link::Link;
use crate::rng::Rng;

/// A longer time between two ticks is TILT.
const TILT_TRIGGER: Duration = Duration::from_secs(2);
/// How long TILT lasts.
const TILT_PERIOD: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) id: SentinelId,
    pub(super) addr: Addr,
    /// The wall clock in this call.
    pub(super) now: Time,
    pub(super) rng: Rng,
    pub(super) current_epoch: Epoch,
    pub(super) previous_tick: Time,
    /// Since when TILT.
    pub(super) tilt: Option<Time>,
    pub(super) links: BTreeMap<LinkId, Link>,
    pub(super) links_made: u64,
    pub(super) commands: u64,
    pub(super) out: VecDeque<Effect>,
    /// The file is to be written at the end of this step.
    pub(super) save: bool,
}

impl Core {
    pub(super) const fn new(id: SentinelId, addr: Addr, seed: u64, current_epoch: Epoch) -> Self {
        Self {
            id,
            addr,
            now: Time::ZERO,
            rng: Rng::new(seed),
            current_epoch,
            previous_tick: Time::ZERO,
            tilt: None,
            links: BTreeMap::new(),
            links_made: 0,
            commands: 0,
            out: VecDeque::new(),
            save: false,
        }
    }

    pub(super) const fn age(&self, at: Time) -> Duration {
        self.now.since(at)
    }

    /// The desync that is added to the start of a failover.
    pub(super) fn desync(&mut self) -> Duration {
        Duration::from_millis(self.rng.within(0..1_000))
    }

    pub(super) fn event(&mut self, name: &'static str, payload: String) {
        let event = Event {
            name,
            payload,
            level: Level::Warning,
            script: None,
        };
        self.out.push_back(Effect::Event(event));
    }

    pub(super) fn adopt_epoch(&mut self, epoch: Epoch) {
        if epoch > self.current_epoch {
            self.current_epoch = epoch;
            self.save = true;
            self.event("+new-epoch", epoch.to_string());
        }
    }

    pub(super) fn check_tilt(&mut self) {
        let back = self.now < self.previous_tick;
        if back || self.age(self.previous_tick) > TILT_TRIGGER {
            self.tilt = Some(self.now);
            self.event("+tilt", "#tilt mode entered".to_owned());
        }
        self.previous_tick = self.now;
    }

    /// Whether judgement is suspended; ends TILT when its time is over.
    pub(super) fn in_tilt(&mut self) -> bool {
        if let Some(since) = self.tilt
            && self.age(since) >= TILT_PERIOD
        {
            self.tilt = None;
            self.event("-tilt", "#tilt mode exited".to_owned());
        }
        self.tilt.is_some()
    }
}
