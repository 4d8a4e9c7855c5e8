//! Slots: the 1024 parts into which the key space is cut.
//!
//! A key belongs to the slot that the CRC-32 of its hash tag names, or of the whole key when it has
//! no tag. The rule is Codis's and not that of Redis Cluster: an empty tag `{}` counts as a tag.

use std::fmt;

use memchr::memchr;
use serde::{Deserialize, Serialize};

/// How many slots there are.
pub const SLOTS: usize = 1024;

/// The id of a slot, 0..=1023.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
#[serde(try_from = "u16", into = "u16")]
pub struct SlotId(u16);

/// A number that is no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("use of invalid slot id {0}: expected 0..=1023")]
pub struct InvalidSlot(pub u16);

impl SlotId {
    /// The slot with this id, if there is one.
    pub const fn new(id: u16) -> Option<Self> {
        if (id as usize) < SLOTS {
            Some(Self(id))
        } else {
            None
        }
    }

    /// The id.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The id as an index into a table of [`SLOTS`] entries.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// All slots in order.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator {
        (0..SLOTS as u16).map(Self)
    }

    /// The slot that a key belongs to.
    #[inline]
    pub fn of_key(key: &[u8]) -> Self {
        let crc = crc32fast::hash(hash_tag(key));
        Self((crc % SLOTS as u32) as u16)
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u16> for SlotId {
    type Error = InvalidSlot;

    fn try_from(id: u16) -> Result<Self, InvalidSlot> {
        Self::new(id).ok_or(InvalidSlot(id))
    }
}

impl From<SlotId> for u16 {
    fn from(slot: SlotId) -> Self {
        slot.0
    }
}

/// The bytes of a key that decide its slot: those between the first `{` and the first `}` after it,
/// or all of them.
#[inline]
pub fn hash_tag(key: &[u8]) -> &[u8] {
    memchr(b'{', key)
        .map(|open| &key[open + 1..])
        .and_then(|rest| memchr(b'}', rest).map(|close| &rest[..close]))
        .unwrap_or(key)
}

#[cfg(test)]
mod tests;
