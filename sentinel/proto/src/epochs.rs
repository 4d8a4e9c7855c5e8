//! Which epochs are believed.
//!
//! Epochs only rise, and everybody adopts the highest that anybody speaks of. One false message
//! with an epoch near the end of the numbers would end all elections of a quorum for ever, so an
//! epoch that no number of elections can have led to is not believed.

use codis_core::epoch::Epoch;

/// How far an epoch may be above the highest that was seen before.
const JUMP_MAX: u64 = 1 << 32;

/// The highest epoch that a file may hold, with room for all elections to come.
pub const STORED_MAX: u64 = 1 << 62;

/// Whether an epoch can be true where `seen` is the highest so far.
pub fn is_plausible(epoch: Epoch, seen: Epoch) -> bool {
    epoch.0 <= seen.0.saturating_add(JUMP_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_to_the_end_of_the_numbers_is_not_believed() {
        assert!(is_plausible(Epoch(1_000_000), Epoch::ZERO));
        assert!(is_plausible(Epoch(3), Epoch(9)));
        assert!(!is_plausible(Epoch(u64::MAX), Epoch(9)));
        assert!(!is_plausible(Epoch(i64::MAX as u64), Epoch(9)));
    }
}
