//! A set of slots.

use codis_core::slot::SLOTS;

/// Slots in one word.
const BITS: usize = u64::BITS as usize;
/// Words of a set.
pub const WORDS: usize = SLOTS / BITS;

/// A set of slots, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotSet(pub [u64; WORDS]);

impl SlotSet {
    /// Adds a slot. Numbers that are no slots are left out.
    pub fn insert(&mut self, slot: u16) {
        if let Some(word) = self.0.get_mut(usize::from(slot) / BITS) {
            *word |= 1 << (usize::from(slot) % BITS);
        }
    }

    /// Whether any slot is in both sets.
    pub fn overlaps(&self, other: &SlotSet) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    /// Whether no slot is in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

impl FromIterator<u16> for SlotSet {
    fn from_iter<I: IntoIterator<Item = u16>>(slots: I) -> Self {
        let mut set = Self::default();
        for slot in slots {
            set.insert(slot);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_overlap_where_they_share_a_slot() {
        let set: SlotSet = [0, 63, 64, 1023, 1024].into_iter().collect();
        for slot in [0, 63, 64, 1023] {
            assert!(set.overlaps(&[slot].into_iter().collect()));
        }
        assert!(!set.overlaps(&[1, 62, 65, 1022].into_iter().collect()));
        assert!(SlotSet::from_iter([1024, 60_000]).is_empty());
        assert!(!set.is_empty());
    }
}
