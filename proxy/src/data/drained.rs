//! Which held slots still have requests in flight on a worker, for the control side to read.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::route::{SLOT_WORDS, SlotSet};

/// Written by one worker, read by the control side.
///
/// The set is written before the version, and a slot that is held gets no new requests in flight:
/// whoever reads a version sees a set that is as new as that version or newer.
#[derive(Debug, Default)]
pub struct Drained {
    version: AtomicU64,
    busy: [AtomicU64; SLOT_WORDS],
}

impl Drained {
    /// Tells which of the slots that the table of `version` holds are busy. Gives whether that is
    /// news.
    pub fn tell(&self, version: u64, busy: &SlotSet) -> bool {
        let mut news = self.version.load(Ordering::Relaxed) != version;
        for (known, word) in self.busy.iter().zip(busy.0) {
            news |= known.swap(word, Ordering::Relaxed) != word;
        }
        self.version.store(version, Ordering::Release);
        news
    }

    /// Whether nothing of `slots` is in flight, held since the table of `version`.
    pub fn is_drained(&self, version: u64, slots: &SlotSet) -> bool {
        self.version.load(Ordering::Acquire) >= version && {
            let word = |word: &AtomicU64| word.load(Ordering::Relaxed);
            !slots.overlaps(&SlotSet(self.busy.each_ref().map(word)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_slots_that_are_asked_for_count() {
        let drained = Drained::default();
        let (healthy, hung) = (SlotSet::from_iter([1]), SlotSet::from_iter([2]));
        assert!(!drained.is_drained(1, &healthy), "not told yet");
        assert!(drained.tell(1, &hung));
        assert!(drained.is_drained(1, &healthy));
        assert!(!drained.is_drained(1, &hung));
        assert!(!drained.is_drained(2, &healthy));
        assert!(!drained.tell(1, &hung));
        assert!(drained.tell(2, &SlotSet::default()));
        assert!(drained.is_drained(2, &hung));
    }
}
