//! What is known of one slot at one proxy.

use std::sync::Arc;

use codis_core::api::Slot;
use codis_core::time::Time;

/// How often a slot is filled again though the proxy shows it otherwise.
pub const DISPUTES_MAX: u8 = 2;

/// A form on its way.
#[derive(Debug)]
struct Flying {
    form: Arc<Slot>,
    /// The last revision that wanted this form, once another one is wanted.
    through: Option<u64>,
    /// The proxy must be sent the slot again, whatever comes of this.
    distrusted: bool,
}

/// What a look at a proxy is.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// The first one.
    pub first: bool,
    /// Of a proxy that is known to keep epochs.
    pub epochs: bool,
}

/// One slot at one proxy.
#[derive(Debug, Default)]
pub struct Place {
    /// The form that the proxy holds, when that is known.
    seen: Option<Arc<Slot>>,
    /// The form that it was last known to hold.
    last: Option<Arc<Slot>>,
    flying: Option<Flying>,
    /// A body was given up, and may be taken yet: what the proxy shows until the next one landed
    /// may not last.
    loose: bool,
    disputes: u8,
    /// When a body with the slot last left or landed, on the row's count of such events.
    touched: u64,
    /// The newest revision that the proxy is known to have held, before the one wanted now.
    pub through: u64,
    /// When to send it again after a failure.
    pub retry_at: Option<Time>,
}

impl Place {
    /// Another form is wanted than before; `revision` was the last one that wanted `before`.
    pub fn handle_wanted(&mut self, before: Option<&Arc<Slot>>, revision: u64) {
        if let Some(before) = before {
            if self.holds(before) {
                self.through = self.through.max(revision);
            }
            if let Some(flying) = &mut self.flying
                && flying.form == *before
            {
                flying.through.get_or_insert(revision);
            }
        }
        self.disputes = 0;
        self.retry_at = None;
    }

    /// The slot leaves in a body.
    pub fn handle_sent(&mut self, id: u64, form: Arc<Slot>) {
        self.touched = id;
        self.retry_at = None;
        self.flying = Some(Flying {
            form,
            through: None,
            distrusted: false,
        });
    }

    /// The proxy took the body; `revision` is the newest one.
    pub fn handle_landed(&mut self, event: u64, revision: u64) {
        self.touched = event;
        let Some(flying) = self.flying.take() else {
            return;
        };
        if flying.distrusted {
            self.seen = None;
            return;
        }
        self.through = self.through.max(flying.through.unwrap_or(revision));
        self.loose = false;
        self.last = Some(flying.form.clone());
        self.seen = Some(flying.form);
    }

    /// Nobody knows whether the proxy took the body.
    pub fn handle_lost(&mut self, event: u64, retry_at: Time) {
        self.touched = event;
        self.flying = None;
        self.loose = true;
        self.seen = None;
        self.retry_at = Some(retry_at);
    }

    /// The proxy shows `slot`.
    pub fn handle_seen(&mut self, wanted: &Arc<Slot>, slot: Slot, sight: Sight) {
        let Sight { first, epochs } = sight;
        let behind = epochs && is_behind(wanted, &slot);
        if agrees(wanted, &slot) || !is_same_plan(wanted, &slot) || behind {
            self.disputes = 0;
        } else if !first && self.is_exactly(wanted) {
            self.disputes = self.disputes.saturating_add(1);
        }
        let seen = if **wanted == slot {
            wanted.clone()
        } else {
            Arc::new(slot)
        };
        self.last = Some(seen.clone());
        self.seen = (!self.loose).then_some(seen);
    }

    /// Nothing is known any more.
    pub fn distrust(&mut self) {
        self.seen = None;
        self.disputes = 0;
        self.through = 0;
        if let Some(flying) = &mut self.flying {
            flying.distrusted = true;
        }
    }

    /// Whether the proxy is known to hold what is wanted, or will not be moved to. While another
    /// form is on its way it may hold that one by now.
    pub fn holds(&self, wanted: &Arc<Slot>) -> bool {
        let flying = self.flying.as_ref();
        let overtaken = flying.is_some_and(|flying| *flying.form != **wanted);
        let seen = self.seen.as_ref();
        let agreed = seen.is_some_and(|seen| Arc::ptr_eq(seen, wanted) || agrees(wanted, seen));
        !overtaken && (self.disputes >= DISPUTES_MAX || agreed)
    }

    /// Whether the proxy holds the very form that is wanted.
    pub fn is_exactly(&self, wanted: &Arc<Slot>) -> bool {
        let same = |seen: &Arc<Slot>| Arc::ptr_eq(seen, wanted) || **seen == **wanted;
        self.seen.as_ref().is_some_and(same)
    }

    /// Whether the slot is on its way.
    pub const fn is_flying(&self) -> bool {
        self.flying.is_some()
    }

    /// Whether a look that began at `id` says nothing of this slot.
    pub const fn is_newer_than(&self, id: u64) -> bool {
        self.flying.is_some() || self.touched > id
    }

    /// The form that the proxy was last known to hold.
    pub fn last(&self) -> Option<&Slot> {
        self.last.as_deref()
    }
}

/// Whether both name the same groups and the same lock. That is for the dashboard alone to say; the
/// masters of groups a proxy may know better, and an original does not show all there is.
const fn is_same_plan(wanted: &Slot, seen: &Slot) -> bool {
    wanted.backend_addr_group_id == seen.backend_addr_group_id
        && wanted.migrate_from_group_id == seen.migrate_from_group_id
        && wanted.locked == seen.locked
}

/// Whether it names a master of an epoch that is over. Who keeps epochs cannot know better then.
fn is_behind(wanted: &Slot, seen: &Slot) -> bool {
    seen.backend_addr_epoch < wanted.backend_addr_epoch
        || seen.migrate_from_epoch < wanted.migrate_from_epoch
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
