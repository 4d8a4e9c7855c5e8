//! One proxy's row: the slots that it should hold beside those that it was seen to hold.
//!
//! The shell tells a row what is wanted, the row says what to send. What a proxy holds is unknown
//! until it was looked at or sent. Whatever is lacking goes out with the newest form of each slot;
//! forms that were overtaken while a body was on its way are never sent.
//!
//! Several bodies may be on their way, never two with the same slot. A proxy answers a body only
//! when nothing of its slots is in flight by the old route, which takes seconds with a server that
//! hangs; so slots that leave different groups travel in different bodies, and those of a healthy
//! group wait for nobody. A body that fails is tried again after a pause, alone: no row waits for
//! another, so a proxy that hangs delays nobody else. What is acknowledged is known slot by slot,
//! hence a waiter for one slot is done while others still change.
//!
//! The proxy is looked at again now and then, so a table that changed behind the dashboard's back
//! is found and put right. A look that overlaps with a body says nothing of the body's slots.
//!
//! A slot that the proxy holds at a higher epoch counts as held: it heard a sentinel before we did.
//! A slot that the proxy took and still shows with other masters after two tries is left alone
//! until something else is wanted, or each look would fill it again for ever. One that it shows in
//! another group, or locked otherwise, is never held, and filled after each look; so is one that a
//! proxy which keeps epochs (it says so, or has shown one, or their digest) shows at a lower epoch.
//!
//! A form that was sent may be taken at any time until its body landed, and even later when it was
//! given up. So a slot is not held while another form of it is on its way, whatever was seen
//! before; and after a body that was given up only the next one that lands shows what the proxy
//! holds, for a proxy takes no body after a later one.

mod bodies;
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use codis_core::api::Slot;
use codis_core::backoff::Backoff;
use codis_core::epoch::Epoch;
use codis_core::time::Time;

use crate::forms::Wanted;
use place::{Place, Sight};

/// The first pause after a failure.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest pause after a failure.
const RETRY_MAX: Duration = Duration::from_secs(2);
/// How often a proxy is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Bodies on their way at once.
pub const FLIGHTS_MAX: usize = 8;
/// Bodies on their way at once to a proxy that did not take the last one: enough to find out about
/// new slots, few enough not to pile up at a process that is stopped.
pub const FLIGHTS_FAILING_MAX: usize = 2;

/// What the shell must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read the slots of the proxy, then call [`Row::handle_seen`] or [`Row::handle_failure`]. If
    /// all of them should be as in [`Row::expected`], [`Row::handle_unchanged`] does as well.
    Look {
        /// To be handed back.
        id: u64,
    },
    /// Send these, then call [`Row::handle_filled`] or [`Row::handle_failure`].
    Fill {
        /// To be handed back.
        id: u64,
        /// The newest form of slots that the proxy lacks.
        slots: Vec<Arc<Slot>>,
    },
}

/// How far a proxy is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The newest revision of the cluster that the proxy is known to have held in full.
    pub acked: u64,
    /// Grows whenever the proxy is known to hold more than before.
    pub progress: u64,
    /// Attempts that failed, ever.
    pub failures: u64,
    /// Why the last attempt failed, when it did.
    pub failing: Option<String>,
}

/// The row of one proxy.
#[derive(Debug)]
pub struct Row {
    wanted: Wanted,
    revision: u64,
    places: Vec<Place>,
    /// The slots that the proxy is not known to hold as wanted.
    lacking: BTreeSet<u16>,
    flights: BTreeMap<u64, Vec<u16>>,
    looking: Option<u64>,
    look_at: Time,
    /// Whether anything is known of what the proxy holds, or need not be known.
    known: bool,
    /// The proxy keeps epochs: it is one of ours.
    epochs: bool,
    open: bool,
    next_id: u64,
    backoff: Backoff,
    status: Status,
}

impl Row {
    /// The row of a proxy of which nothing is known. A row that is not `open` sends nothing until
    /// [`Row::handle_open`]: the caller does not yet know who is master.
    pub fn new(now: Time, open: bool, seed: u64) -> Self {
        Self {
            wanted: Arc::new([]),
            revision: 0,
            places: Vec::new(),
            lacking: BTreeSet::new(),
            flights: BTreeMap::new(),
            looking: None,
            look_at: now,
            known: false,
            epochs: false,
            open,
            next_id: 0,
            backoff: Backoff::new(RETRY_MIN, RETRY_MAX, seed),
            status: Status::default(),
        }
    }

    /// The cluster is at `revision` and wants these slots here, each at the place of its id.
    pub fn handle_wanted(&mut self, revision: u64, wanted: Wanted) {
        let before = std::mem::replace(&mut self.wanted, wanted);
        self.places.resize_with(self.wanted.len(), Place::default);
        for id in 0..self.wanted.len() {
            let same = before
                .get(id)
                .is_some_and(|old| Arc::ptr_eq(old, &self.wanted[id]) || **old == *self.wanted[id]);
            if !same {
                self.places[id].handle_wanted(before.get(id), self.revision);
                self.judge(id as u16);
            }
        }
        self.revision = self.revision.max(revision);
        self.settle();
    }

    /// The caller knows who is master now.
    pub const fn handle_open(&mut self) {
        self.open = true;
    }

    /// The proxy says that it is one of ours, which keep epochs. What it showed before is looked at
    /// again in that light: true if that is news.
    pub fn handle_ours(&mut self, now: Time) -> bool {
        let news = !std::mem::replace(&mut self.epochs, true);
        if news {
            self.look_at = self.look_at.min(now);
        }
        news
    }

    /// Whether the row may send.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// Somebody waits for this row: it tries again at once.
    pub fn handle_nudge(&mut self, now: Time) {
        for id in &self.lacking {
            self.places[usize::from(*id)].retry_at = None;
        }
        if !self.known {
            self.look_at = now;
        }
    }

    /// These slots, or all, are to be sent again whatever was seen; and at once.
    pub fn handle_refill(&mut self, now: Time, slots: Option<&[u16]>) {
        let all: Vec<u16> = match slots {
            Some(slots) => slots.to_vec(),
            None => (0..self.places.len() as u16).collect(),
        };
        for id in all {
            if let Some(place) = self.places.get_mut(usize::from(id)) {
                place.distrust();
                self.judge(id);
            }
        }
        self.handle_nudge(now);
        self.open = true;
        self.known = true;
        self.look_at = now + LOOK_EVERY;
        self.status.acked = 0;
        self.settle();
    }

    /// The proxy was seen to hold these.
    pub fn handle_seen(&mut self, now: Time, id: u64, slots: Vec<Slot>) {
        if !self.land_look(id) {
            return;
        }
        self.succeed(now);
        let first = !std::mem::replace(&mut self.known, true);
        let shows = |slot: &Slot| slot.backend_addr_epoch != Epoch::ZERO;
        self.epochs |= slots.iter().any(shows);
        for slot in slots {
            let at = slot.id;
            let (Some(place), Some(wanted)) = (
                self.places.get_mut(usize::from(at)),
                self.wanted.get(usize::from(at)),
            ) else {
                continue;
            };
            if place.is_newer_than(id) {
                continue;
            }
            let epochs = self.epochs;
            place.handle_seen(wanted, slot, Sight { first, epochs });
            self.judge(at);
        }
        self.settle();
    }

    /// The proxy was seen to hold what [`Row::expected`] said when it was asked: by a digest, which
    /// a proxy of Codis does not know.
    pub fn handle_unchanged(&mut self, now: Time, id: u64) {
        self.epochs = true;
        if self.land_look(id) {
            self.succeed(now);
            self.settle();
        }
    }

    /// The proxy took what it was sent.
    pub fn handle_filled(&mut self, now: Time, id: u64) {
        let Some(slots) = self.flights.remove(&id) else {
            return;
        };
        self.succeed(now);
        let (landed, revision) = (self.next_id(), self.revision);
        for slot in slots {
            self.places[usize::from(slot)].handle_landed(landed, revision);
            self.judge(slot);
        }
        self.settle();
    }

    /// The proxy did not answer, or refused.
    pub fn handle_failure(&mut self, now: Time, id: u64, reason: String) {
        let looked = self.land_look(id);
        let filled = self.flights.remove(&id);
        if !looked && filled.is_none() {
            return;
        }
        let retry_at = now + self.backoff.next_delay();
        if looked {
            self.look_at = retry_at;
        }
        let landed = self.next_id();
        for slot in filled.unwrap_or_default() {
            self.places[usize::from(slot)].handle_lost(landed, retry_at);
            self.judge(slot);
        }
        self.status.failures += 1;
        self.status.failing = Some(reason);
        self.settle();
    }

    /// The next thing to do. Ask until there is none.
    pub fn poll_effect(&mut self, now: Time) -> Option<Effect> {
        if !self.open || self.wanted.is_empty() {
            return None;
        }
        if self.may_look() && self.look_at <= now {
            let id = self.next_id();
            self.looking = Some(id);
            return Some(Effect::Look { id });
        }
        if !self.may_fill() {
            return None;
        }
        let due = self.due(now);
        let slots = bodies::next(&due, &self.places, &self.wanted);
        if slots.is_empty() {
            return None;
        }
        let id = self.next_id();
        let take = |at: &u16| {
            let form = self.wanted[usize::from(*at)].clone();
            self.places[usize::from(*at)].handle_sent(id, form.clone());
            form
        };
        let forms = slots.iter().map(take).collect();
        self.flights.insert(id, slots);
        Some(Effect::Fill { id, slots: forms })
    }

    /// When to ask [`Row::poll_effect`] again, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Time> {
        if !self.open || self.wanted.is_empty() {
            return None;
        }
        let look = self.may_look().then_some(self.look_at);
        let paused = self.lacking.iter().filter_map(|id| {
            let place = &self.places[usize::from(*id)];
            place.retry_at.filter(|_| !place.is_flying())
        });
        let fill = self.may_fill().then(|| paused.min()).flatten();
        look.into_iter().chain(fill).min()
    }

    /// How far the proxy is.
    pub const fn status(&self) -> &Status {
        &self.status
    }

    /// Whether the proxy is known to have held these slots as they were wanted at `revision`, or
    /// newer forms of them.
    pub fn holds(&self, slots: &[u16], revision: u64) -> bool {
        // The usual case, in which a hundred rows are asked for a thousand slots each.
        if self.lacking.is_empty() {
            let is_known = |id: &u16| usize::from(*id) < self.places.len();
            return slots.is_empty() || (self.revision >= revision && slots.iter().all(is_known));
        }
        slots
            .iter()
            .all(|id| self.through(*id).is_some_and(|through| through >= revision))
    }

    /// What all slots should look like at the proxy, when that is what is wanted.
    pub fn expected(&self) -> Option<&Wanted> {
        let as_wanted = |(place, wanted): (&Place, &Arc<Slot>)| place.is_exactly(wanted);
        let settled = self.lacking.is_empty() && self.flights.is_empty() && self.known;
        (settled && self.places.iter().zip(&*self.wanted).all(as_wanted)).then_some(&self.wanted)
    }

    /// A look is worth while before anything is sent, and when the proxy takes what it is sent.
    fn may_look(&self) -> bool {
        self.looking.is_none() && (self.known || self.flights.is_empty())
    }

    fn may_fill(&self) -> bool {
        let max = if self.status.failing.is_some() {
            FLIGHTS_FAILING_MAX
        } else {
            FLIGHTS_MAX
        };
        self.known && self.flights.len() < max
    }

    /// The slots to be sent now.
    fn due(&self, now: Time) -> Vec<u16> {
        let is_due = |id: &u16| {
            let place = &self.places[usize::from(*id)];
            !place.is_flying() && place.retry_at.is_none_or(|at| at <= now)
        };
        self.lacking.iter().copied().filter(is_due).collect()
    }

    /// Through which revision a slot is known to be held.
    fn through(&self, id: u16) -> Option<u64> {
        let place = self.places.get(usize::from(id))?;
        let newest = !self.lacking.contains(&id);
        Some(if newest { self.revision } else { place.through })
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn land_look(&mut self, id: u64) -> bool {
        self.looking.take_if(|look| *look == id).is_some()
    }

    fn succeed(&mut self, now: Time) {
        self.backoff.reset();
        self.look_at = now + LOOK_EVERY;
        self.status.failing = None;
    }

    fn judge(&mut self, id: u16) {
        let at = usize::from(id);
        if self.places[at].holds(&self.wanted[at]) {
            self.lacking.remove(&id);
        } else {
            self.lacking.insert(id);
        }
    }

    /// Raises the acknowledged revision to what every slot is held through.
    fn settle(&mut self) {
        if self.wanted.is_empty() {
            return;
        }
        let through = |id: &u16| self.places[usize::from(*id)].through;
        let held = self.lacking.iter().map(through).min();
        let acked = held.unwrap_or(self.revision);
        self.status.acked = self.status.acked.max(acked);
        self.status.progress += 1;
    }
}

#[cfg(test)]
mod tests;
