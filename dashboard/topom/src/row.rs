//! One proxy's row: the slots that it should hold beside those that it was seen to hold.
//!
//! The shell tells a row what is wanted, the row says what to send. What a proxy holds is unknown
//! until it was looked at or sent. Whatever is lacking goes out in one body with the newest form of
//! each slot; forms that were overtaken while a body was on its way are never sent. A body that
//! fails is tried again after a pause, alone: no row waits for another, so a proxy that hangs
//! delays nobody else. The proxy is looked at again now and then, so a table that changed behind
//! the dashboard's back is found and put right.
//!
//! A slot that the proxy holds at a higher epoch counts as held: it heard a sentinel before we did.
//! A slot that the proxy took and still shows otherwise after two tries is left alone until
//! something else is wanted, or each look would fill it again for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use codis_core::api::Slot;
use codis_core::backoff::Backoff;
use codis_core::time::Time;

/// The first pause after a failure.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest pause after a failure.
const RETRY_MAX: Duration = Duration::from_secs(2);
/// How often a proxy is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often a slot is filled again though the proxy shows it otherwise.
const DISPUTES_MAX: u8 = 2;

/// What the shell must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read the slots of the proxy, then call [`Row::handle_seen`] or [`Row::handle_failure`].
    Look {
        /// To be handed back.
        id: u64,
    },
    /// Send these, then call [`Row::handle_filled`] or [`Row::handle_failure`].
    Fill {
        /// To be handed back.
        id: u64,
        /// The newest form of each slot that the proxy lacks.
        slots: Vec<Slot>,
    },
}

/// How far a proxy is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The newest revision of the cluster that the proxy holds in full.
    pub acked: u64,
    /// Attempts that failed, ever.
    pub failures: u64,
    /// Why the last attempt failed, when it did.
    pub failing: Option<String>,
}

#[derive(Debug)]
struct Flight {
    id: u64,
    fill: Vec<Slot>,
}

/// The row of one proxy.
#[derive(Debug)]
pub struct Row {
    wanted: Vec<Slot>,
    revision: u64,
    seen: BTreeMap<u16, Slot>,
    disputes: BTreeMap<u16, u8>,
    open: bool,
    look_at: Option<Time>,
    retry_at: Option<Time>,
    flight: Option<Flight>,
    next_id: u64,
    backoff: Backoff,
    status: Status,
}

impl Row {
    /// The row of a proxy of which nothing is known. A row that is not `open` sends nothing until
    /// [`Row::handle_open`]: the caller does not yet know who is master.
    pub fn new(now: Time, open: bool, seed: u64) -> Self {
        Self {
            wanted: Vec::new(),
            revision: 0,
            seen: BTreeMap::new(),
            disputes: BTreeMap::new(),
            open,
            look_at: Some(now),
            retry_at: None,
            flight: None,
            next_id: 0,
            backoff: Backoff::new(RETRY_MIN, RETRY_MAX, seed),
            status: Status::default(),
        }
    }

    /// The cluster is at `revision` and wants these slots here.
    pub fn handle_wanted(&mut self, revision: u64, slots: Vec<Slot>) {
        for (new, old) in slots.iter().zip(&self.wanted) {
            if new != old {
                self.disputes.remove(&new.id);
            }
        }
        self.wanted = slots;
        self.revision = self.revision.max(revision);
        self.settle();
    }

    /// The caller knows who is master now.
    pub const fn handle_open(&mut self) {
        self.open = true;
    }

    /// Whether the row may send.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// Somebody waits for this row: it tries again at once.
    pub const fn handle_nudge(&mut self) {
        self.retry_at = None;
    }

    /// These slots, or all, are to be sent again whatever was seen; and at once.
    pub fn handle_refill(&mut self, now: Time, slots: Option<&[u16]>) {
        match slots {
            Some(slots) => slots.iter().for_each(|id| {
                self.seen.remove(id);
                self.disputes.remove(id);
            }),
            None => {
                self.seen.clear();
                self.disputes.clear();
            }
        }
        // A body on its way may hold an older word on these slots; its answer then proves nothing.
        if let Some(flight) = &mut self.flight {
            let again = |slot: &Slot| slots.is_none_or(|slots| slots.contains(&slot.id));
            flight.fill.retain(|slot| !again(slot));
        }
        self.open = true;
        self.look_at = Some(now + LOOK_EVERY);
        self.retry_at = None;
        self.status.acked = 0;
        self.settle();
    }

    /// The proxy was seen to hold these.
    pub fn handle_seen(&mut self, now: Time, id: u64, slots: Vec<Slot>) {
        if self.land(id).is_none() {
            return;
        }
        self.succeed(now);
        let first = self.seen.is_empty();
        for slot in slots {
            let wanted = self.wanted.get(usize::from(slot.id));
            let agreed = wanted.is_some_and(|wanted| agrees(wanted, &slot));
            let acked = self
                .seen
                .get(&slot.id)
                .is_some_and(|seen| Some(seen) == wanted);
            if agreed {
                self.disputes.remove(&slot.id);
            } else if acked && !first {
                *self.disputes.entry(slot.id).or_default() += 1;
            }
            self.seen.insert(slot.id, slot);
        }
        self.settle();
    }

    /// The proxy took what it was sent.
    pub fn handle_filled(&mut self, now: Time, id: u64) {
        let Some(flight) = self.land(id) else { return };
        self.succeed(now);
        self.seen
            .extend(flight.fill.into_iter().map(|slot| (slot.id, slot)));
        self.settle();
    }

    /// The proxy did not answer, or refused.
    pub fn handle_failure(&mut self, now: Time, id: u64, reason: String) {
        let Some(flight) = self.land(id) else { return };
        for slot in flight.fill {
            self.seen.remove(&slot.id);
        }
        self.retry_at = Some(now + self.backoff.next_delay());
        self.status.failures += 1;
        self.status.failing = Some(reason);
    }

    /// The next thing to do; at most one at a time is on its way.
    pub fn poll_effect(&mut self, now: Time) -> Option<Effect> {
        let paused = self.retry_at.is_some_and(|at| now < at);
        if self.flight.is_some() || paused || !self.open || self.wanted.is_empty() {
            return None;
        }
        self.retry_at = None;
        let due = self.look_at.is_some_and(|at| at <= now);
        let fill = self.lacking();
        if !due && fill.is_empty() {
            return None;
        }
        self.next_id += 1;
        let id = self.next_id;
        let effect = if due && self.seen.is_empty() || fill.is_empty() {
            Effect::Look { id }
        } else {
            Effect::Fill {
                id,
                slots: fill.clone(),
            }
        };
        let fill = if matches!(effect, Effect::Look { .. }) {
            Vec::new()
        } else {
            fill
        };
        self.flight = Some(Flight { id, fill });
        Some(effect)
    }

    /// When to ask [`Row::poll_effect`] again, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.flight.is_some() || !self.open || self.wanted.is_empty() {
            return None;
        }
        self.retry_at.or(self.look_at)
    }

    /// How far the proxy is.
    pub const fn status(&self) -> &Status {
        &self.status
    }

    fn land(&mut self, id: u64) -> Option<Flight> {
        self.flight.take_if(|flight| flight.id == id)
    }

    fn succeed(&mut self, now: Time) {
        self.backoff.reset();
        self.retry_at = None;
        self.look_at = Some(now + LOOK_EVERY);
        self.status.failing = None;
    }

    /// Raises the acknowledged revision once nothing is lacking.
    fn settle(&mut self) {
        if !self.wanted.is_empty() && self.lacking().is_empty() {
            self.status.acked = self.revision;
        }
    }

    fn lacking(&self) -> Vec<Slot> {
        let lacks = |wanted: &&Slot| {
            let disputed = self
                .disputes
                .get(&wanted.id)
                .is_some_and(|n| *n >= DISPUTES_MAX);
            !disputed
                && !self
                    .seen
                    .get(&wanted.id)
                    .is_some_and(|seen| agrees(wanted, seen))
        };
        self.wanted.iter().filter(lacks).cloned().collect()
    }
}

/// Whether a proxy that shows `seen` holds what is wanted. An address at a higher epoch of the same
/// group is as good as the wanted one.
fn agrees(wanted: &Slot, seen: &Slot) -> bool {
    if wanted == seen {
        return true;
    }
    let mut as_seen = wanted.clone();
    if seen.backend_addr_group_id == wanted.backend_addr_group_id
        && seen.backend_addr_epoch > wanted.backend_addr_epoch
    {
        as_seen.backend_addr.clone_from(&seen.backend_addr);
        as_seen.backend_addr_epoch = seen.backend_addr_epoch;
    }
    if seen.migrate_from_group_id == wanted.migrate_from_group_id
        && seen.migrate_from_epoch > wanted.migrate_from_epoch
    {
        as_seen.migrate_from.clone_from(&seen.migrate_from);
        as_seen.migrate_from_epoch = seen.migrate_from_epoch;
    }
    as_seen == *seen
}

#[cfg(test)]
mod tests;
