//! The clients: each writes and reads keys of its own, one request after the other, through any
//! proxy.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Happening, World};
use crate::topom::plan::SLOTS;
use crate::topom::proxy::{Op, Told};

/// How long a client waits.
const GIVE_UP: Duration = Duration::from_secs(9);

/// A client.
#[derive(Debug, Default)]
pub(super) struct Client {
    next: u64,
    /// What it waits for, and from which proxy.
    pub(super) asking: Option<(usize, Op)>,
    /// Which of its keys of a slot it uses now.
    used: BTreeMap<u16, u64>,
}

impl World {
    /// A client begins its next request.
    pub(super) fn next(&mut self, client: usize) {
        if self.quiet_since.is_some() {
            return;
        }
        let rng = &mut self.client_rng;
        let slot = rng.index(usize::from(SLOTS)) as u16;
        let proxy = rng.index(self.stands.len());
        let (writes, old) = (rng.chance(600), rng.chance(100));
        let me = &mut self.clients[client];
        me.next += 1;
        let used = me.used.get(&slot).copied().unwrap_or(0);
        let id = (client as u64) << 32 | me.next;
        let op = Op {
            id,
            client,
            key: (slot, client, if writes || !old { used } else { used / 2 }),
            write: writes.then_some(id),
        };
        me.asking = Some((proxy, op));
        self.stats.requests += 1;
        let at = self.now + self.delay();
        self.queue.push(at, Happening::Request { proxy, op });
        let late = self.now + GIVE_UP;
        self.queue.push(late, Happening::GiveUp { op });
    }

    /// A client hears of its request.
    pub(super) fn told(&mut self, op: Op, told: Told) {
        let me = &mut self.clients[op.client];
        if me.asking.take_if(|(_, asked)| asked.id == op.id).is_none() {
            return;
        }
        self.trace
            .line(self.now, format_args!("client told {told:?} of {op:?}"));
        match (told, op.write) {
            (Told::Done(_), Some(value)) => {
                self.stats.writes += 1;
                self.check.acked(op.key, value);
            }
            (Told::Done(value), None) => self.check.read(self.now, op.key, value),
            (Told::Failed, _) => self.stats.failed += 1,
            (Told::Unknown, Some(value)) => {
                self.stats.unknown += 1;
                self.check.unknown(op.key, value);
                // Its next write goes to another key: this one may yet change behind its back.
                *me.used.entry(op.key.0).or_default() += 1;
            }
            (Told::Unknown, None) => self.stats.failed += 1,
        }
        let client = op.client;
        let at = self.now + self.client_rng.millis(1..120);
        self.queue.push(at, Happening::Next { client });
    }
}
