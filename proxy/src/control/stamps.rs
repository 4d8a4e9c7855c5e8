//! Which fill of a slot is the newest, so that one that was late on its way does no harm.
//!
//! A dashboard gives up waiting for a fill that is not answered, and sends newer ones. The old body
//! may lie in a buffer of this machine meanwhile: a process that goes on after a stop finds all of
//! them at once, in no order. So our dashboard numbers its fills, and a slot takes no number below
//! the one that it has. An original dashboard numbers nothing and is believed, as ever.

use std::sync::{Mutex, PoisonError};

use codis_core::api::Slot;
use codis_core::slot::SLOTS;
use serde::Deserialize;

/// The place of a fill among those of one run of a dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Stamp {
    /// Which run.
    pub run: u64,
    /// Grows with each fill of the run.
    pub fill: u64,
}

/// The newest stamp of each slot.
#[derive(Debug, Default)]
pub struct Stamps(Mutex<Newest>);

#[derive(Debug)]
struct Newest {
    run: u64,
    fills: Box<[u64; SLOTS]>,
}

impl Default for Newest {
    fn default() -> Self {
        Self {
            run: 0,
            fills: Box::new([0; SLOTS]),
        }
    }
}

impl Stamps {
    /// Takes a fill whose turn it is. Gives `false` when any of its slots has a newer one.
    pub fn take(&self, stamp: Stamp, slots: &[Slot]) -> bool {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.run != stamp.run {
            *newest = Newest {
                run: stamp.run,
                ..Newest::default()
            };
        }
        let at = |slot: &Slot| usize::from(slot.id).min(SLOTS - 1);
        if slots.iter().any(|slot| newest.fills[at(slot)] > stamp.fill) {
            return false;
        }
        for slot in slots {
            newest.fills[at(slot)] = stamp.fill;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overtaken_fill_is_refused_as_a_whole() {
        let stamps = Stamps::default();
        let slots = |ids: &[u16]| -> Vec<Slot> {
            let slot = |id: &u16| Slot {
                id: *id,
                ..Slot::default()
            };
            ids.iter().map(slot).collect()
        };
        let stamp = |run, fill| Stamp { run, fill };
        assert!(stamps.take(stamp(7, 2), &slots(&[1, 2])));
        assert!(!stamps.take(stamp(7, 1), &slots(&[2, 3])));
        assert!(stamps.take(stamp(7, 1), &slots(&[3])), "nothing newer");
        assert!(stamps.take(stamp(7, 2), &slots(&[1])), "sent twice");
        assert!(stamps.take(stamp(8, 1), &slots(&[1])), "another run");
    }
}
