//! The story of a failover in moments, each measured from the fault.

use std::time::Instant;

use serde::Serialize;

use codis_core::addr::Addr;

use crate::events::Event;
use crate::layout::Layout;
use crate::workload::{History, Op};

/// Something that happened, in milliseconds from the fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// What.
    pub what: String,
    /// When; negative before the fault.
    pub ms: f64,
    /// Who showed it.
    pub who: String,
}

/// What a failover is told from.
#[derive(Clone, Copy, Debug)]
pub struct Story<'a> {
    /// The group that lost its master.
    pub group: u32,
    /// The name that sentinels know it by.
    pub monitor: &'a str,
    /// Just before the fault.
    pub fault: Instant,
    /// Who was master.
    pub old: &'a Addr,
    /// Who is master now.
    pub new: &'a Addr,
    /// What clients saw.
    pub history: &'a History,
    /// What the sentinels published since the fault.
    pub events: &'a [Event],
}

impl Story<'_> {
    /// Milliseconds from the fault, negative before it.
    pub fn ms(&self, at: Instant) -> f64 {
        let after = at.saturating_duration_since(self.fault).as_secs_f64();
        let before = self.fault.saturating_duration_since(at).as_secs_f64();
        (after - before) * 1e3
    }

    /// The last write to the group that was acknowledged before the fault.
    pub fn last_write_before(&self) -> Option<Moment> {
        let writes = self.history.writes(self.group);
        let before = writes.filter(|(_, op)| op.done <= self.fault);
        let (lane, op) = before.max_by_key(|(_, op)| op.done)?;
        Some(self.moment("last write before", op.done, &lane.proxy))
    }

    /// The first write to the group through `proxy` that was sent to live on: acknowledged after
    /// the new master was one.
    pub fn first_write_after(&self, proxy: &Addr) -> Option<&Op> {
        let promoted = self.promoted_at()?;
        let writes = self.history.writes(self.group);
        let after = writes.filter(|(lane, op)| lane.proxy == *proxy && op.done >= promoted);
        after.map(|(_, op)| op).min_by_key(|op| op.done)
    }

    /// When the first sentinel told the world of the new master.
    pub fn pushed_at(&self) -> Option<Instant> {
        self.first(|event| self.tells_new_master(event))
            .map(|event| event.at)
    }

    /// All moments in order.
    pub fn moments(&self, layout: &Layout) -> Vec<Moment> {
        let mut moments: Vec<_> = self.last_write_before().into_iter().collect();
        moments.push(self.moment("fault", self.fault, self.old));
        for (what, channel) in [("S_DOWN", "+sdown"), ("O_DOWN", "+odown")] {
            let is_it = |e: &Event| e.name == channel && e.is_about_master(self.monitor);
            moments.extend(self.event_moment(what, is_it));
        }
        let elected = |e: &Event| e.name == "+elected-leader" && e.is_about_master(self.monitor);
        moments.extend(self.event_moment("elected", elected));
        moments.extend(self.event_moment("promoted", |e| self.is_promotion(e)));
        moments.extend(self.event_moment("topology pushed", |e| self.tells_new_master(e)));
        for proxy in layout.proxies() {
            if let Some(op) = self.first_write_after(&proxy.addr) {
                moments.push(self.moment("first write after", op.done, proxy.name()));
            }
        }
        moments.sort_by(|a, b| a.ms.total_cmp(&b.ms));
        moments
    }

    /// A moment of this story.
    pub fn moment(&self, what: &str, at: Instant, who: impl ToString) -> Moment {
        Moment {
            what: what.to_owned(),
            ms: self.ms(at),
            who: who.to_string(),
        }
    }

    /// The promotion as its leader publishes it; the pushed topology where that event is missing.
    fn promoted_at(&self) -> Option<Instant> {
        let promotion = self
            .first(|event| self.is_promotion(event))
            .map(|event| event.at);
        promotion.into_iter().chain(self.pushed_at()).min()
    }

    fn is_promotion(&self, event: &Event) -> bool {
        event.name == "+promoted-slave" && event.is_beside_master(self.monitor)
    }

    fn tells_new_master(&self, event: &Event) -> bool {
        event
            .pair(self.monitor)
            .is_some_and(|(_, master)| master == *self.new)
    }

    fn first(&self, is_it: impl Fn(&Event) -> bool) -> Option<&Event> {
        self.events
            .iter()
            .filter(|event| is_it(event))
            .min_by_key(|event| event.at)
    }

    fn event_moment(&self, what: &str, is_it: impl Fn(&Event) -> bool) -> Option<Moment> {
        let event = self.first(is_it)?;
        Some(self.moment(what, event.at, &event.from))
    }
}
