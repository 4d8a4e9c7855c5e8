//! The stock sentinel, as another kind of process in the simulated world.
//!
//! A pure model, written from the measured facts of Redis Sentinel 7.0 (sections 1 to 10 of our
//! reference): a tick every 52 to 100 ms that takes one step of each thing, a PING each second,
//! promotion seen by INFO, switches by hello, TILT on its wall clock, and its exact rule of votes
//! with what follows from it. It speaks to the same shell as our machine does.
//!
//! It is faithful in votes, epochs, hellos, elections and failover. It leaves out what this world
//! has not: sentinels that move to another address, scripts, passwords, host names.

mod core;
mod down;
mod failover;
mod hello;
mod info;
mod link;
mod master;
mod reconf;
mod vote;

use std::collections::BTreeMap;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;
use codis_sentinel_proto::ids::{PersistId, SentinelId};
use codis_sentinel_proto::persist::Snapshot;
use codis_sentinel_proto::{Effect, Input};

use crate::view::View;
use core::Core;
use master::Master;

/// One stock sentinel.
#[derive(Debug)]
pub struct Stock {
    core: Core,
    masters: BTreeMap<String, Master>,
    stored: Snapshot,
    persists: u64,
    /// The next tick, on the monotonic clock.
    next_tick: Time,
    /// How far the wall clock has jumped, in microseconds.
    jumped: i64,
}

impl Stock {
    /// A process at `addr` that starts with what its file holds.
    pub fn new(now: Time, addr: Addr, seed: u64, snapshot: Snapshot) -> Self {
        let mut stock = Self {
            core: Core::new(snapshot.myid.clone(), addr, seed, snapshot.current_epoch),
            masters: BTreeMap::new(),
            stored: snapshot.clone(),
            persists: 0,
            next_tick: now,
            jumped: 0,
        };
        stock.core.now = stock.wall(now);
        stock.core.previous_tick = stock.core.now;
        for (name, persisted) in &snapshot.masters {
            let master = Master::restore(&mut stock.core, name, persisted);
            let (config, own) = (master.config_epoch, &mut stock.core.current_epoch);
            *own = config.max(*own);
            stock.masters.insert(name.clone(), master);
        }
        stock
    }

    /// The wall clock, on which stock counts everything.
    fn wall(&self, now: Time) -> Time {
        let base = now + Duration::from_secs(1_000_000);
        let span = Duration::from_micros(self.jumped.unsigned_abs());
        if self.jumped < 0 {
            base.before(span)
        } else {
            base + span
        }
    }

    /// The wall clock is set: forward, or back when negative, in microseconds.
    pub const fn jump(&mut self, micros: i64) {
        self.jumped += micros;
    }

    /// Replies and questions are handled as they arrive, outside the tick.
    pub fn handle_input(&mut self, now: Time, input: Input) {
        self.core.now = self.wall(now);
        match input {
            Input::Connected { link, channel, .. } => self.core.connected(link, channel),
            Input::Disconnected { link, channel, .. } => self.core.lost(link, channel),
            Input::PubSubActivity { link } => self.core.heard(link),
            Input::Reply {
                link,
                command,
                reply,
            } => self.replied(link, command, reply),
            Input::Hello(hello) => self.hello(&hello),
            Input::Asked {
                request,
                master,
                epoch,
                candidate,
            } => self.asked(request, &master, epoch, candidate),
            Input::Persisted { .. } | Input::Resolved { .. } => {}
        }
        self.save();
    }

    /// One tick, when it is time.
    pub fn handle_timeout(&mut self, now: Time) {
        if now < self.next_tick {
            return;
        }
        self.core.now = self.wall(now);
        self.core.check_tilt();
        for master in self.masters.values_mut() {
            for who in master.everybody() {
                master.handle(&mut self.core, &who);
            }
        }
        // At most one switch in a tick.
        let done = self.masters.values_mut().find(|master| master.is_done());
        if let Some(master) = done {
            master.switch_to_promoted(&mut self.core);
        }
        let hertz = 10 + self.core.rng.within(0..10);
        self.next_tick = now + Duration::from_micros(1_000_000 / hertz);
        self.save();
    }

    /// When the next tick is.
    pub const fn poll_timeout(&self) -> Time {
        self.next_tick
    }

    /// The next order to the shell. A [`Effect::Persist`] is carried out at once, as a write on the
    /// event loop is: whatever follows it leaves when it is done.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.core.out.pop_front()
    }

    /// The highest epoch seen.
    pub const fn current_epoch(&self) -> Epoch {
        self.core.current_epoch
    }

    /// Writes the file, when a step asked for it: before anything that the step sends, since
    /// sockets are written after the handlers ran.
    fn save(&mut self) {
        if !std::mem::take(&mut self.core.save) {
            return;
        }
        self.stored.current_epoch = self.core.current_epoch;
        for (name, master) in &self.masters {
            if let Some(persisted) = self.stored.masters.get_mut(name) {
                master.store(persisted);
            }
        }
        self.persists += 1;
        self.core.out.push_front(Effect::Persist {
            id: PersistId(self.persists),
            snapshot: Box::new(self.stored.clone()),
        });
    }

    /// The address and epoch that it tells about a master.
    pub fn current(&self, name: &str) -> Option<(Epoch, Addr)> {
        let master = self.masters.get(name)?;
        Some((master.config_epoch, master.current().clone()))
    }

    /// How it sees a master.
    pub fn view(&self, name: &str) -> Option<View> {
        let master = self.masters.get(name)?;
        let replicas = master.replicas.values();
        let peers = master.peers.values();
        let seen = |instance: &master::Instance| (instance.addr.clone(), instance.s_down);
        Some(View {
            epoch: master.config_epoch,
            master: master.current().clone(),
            down: master.own.s_down || master.o_down,
            failover: master.failover.in_progress.then_some("progress"),
            replicas: replicas.map(seen).collect(),
            peers: peers.map(seen).collect(),
        })
    }

    /// Whether it suspends its judgement.
    pub const fn is_tilt(&self) -> bool {
        self.core.tilt.is_some()
    }
}

/// An id against another: ids are hex text, whatever the case.
fn same(a: &SentinelId, b: &SentinelId) -> bool {
    a.as_str().eq_ignore_ascii_case(b.as_str())
}

#[cfg(test)]
mod tests;
