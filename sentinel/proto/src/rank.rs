//! Who stands first for the election about a master.
//!
//! Candidates that stand in the same moment split the vote. So every sentinel computes the same
//! order from what all of them know, the ids of the sentinels and the name of the master, and waits
//! a step for each one before it. Masters that die together have different orders, hence different
//! leaders. The order only saves a round: when two sentinels see different ones, or the first of it
//! is dead, the next stands a step later and the votes decide as ever.

use std::time::Duration;

use crate::core::Core;
use crate::ids::SentinelId;
use crate::instance::Peer;
use crate::master::Master;

/// All ranks of a quorum of the usual size stand within this time.
const SPREAD: Duration = Duration::from_millis(45);
/// Limits of the time between two ranks: above the time that a vote takes to reach the others.
const STEP_MIN: Duration = Duration::from_millis(5);
const STEP_MAX: Duration = Duration::from_millis(20);
/// A disk that is slow makes the steps longer, up to this: the first one is not heard before its
/// own vote is on disk.
const SLOW_MAX: Duration = Duration::from_millis(100);
/// The random part of the delay, in milliseconds: for sentinels that see different orders.
const JITTER_MS: u64 = 3;

impl Master {
    /// How long this sentinel waits before it stands.
    pub(crate) fn candidacy_delay(&self, core: &mut Core) -> Duration {
        let jitter = core.random_ms(0, JITTER_MS);
        let reachable = |(_, peer): &(&SentinelId, &Peer)| {
            peer.node.s_down.is_none() && core.link_is_up(peer.node.link)
        };
        let others = self.peers.iter().filter(reachable).map(|(id, _)| id);
        let others: Vec<&SentinelId> = others.collect();
        let own = weight(&core.settings.myid, &self.name);
        let before = others.iter().filter(|id| weight(id, &self.name) < own);
        let rank = u32::try_from(before.count()).unwrap_or(u32::MAX);
        let steps = u32::try_from(others.len()).unwrap_or(u32::MAX);
        step(steps, core.disk.took()).saturating_mul(rank) + jitter
    }
}

/// The time between two ranks where `others` sentinels may stand besides us and a disk needs
/// `disk` for a vote, as ours does.
fn step(others: u32, disk: Duration) -> Duration {
    let usual = (SPREAD / others.max(1)).clamp(STEP_MIN, STEP_MAX);
    usual.max((2 * disk).min(SLOW_MAX))
}

/// The place of a sentinel in the order of a master: the lowest stands first. The id decides
/// between equal hashes (FNV-1a, with the bits mixed at the end).
fn weight<'a>(id: &'a SentinelId, name: &str) -> (u64, &'a SentinelId) {
    let bytes = name.bytes().chain([0]).chain(id.as_str().bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed ^ (mixed >> 33), id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn all_ranks_of_a_usual_quorum_stand_within_fifty_milliseconds() {
        let fast = Duration::from_millis(2);
        for voters in 3..=7 {
            let last = step(voters - 1, fast) * (voters - 1) + Duration::from_millis(JITTER_MS);
            assert!(last <= Duration::from_millis(50), "{voters}: {last:?}");
        }
        assert_eq!(step(100, fast), STEP_MIN);
        assert_eq!(step(0, fast), STEP_MAX);
        let slow = Duration::from_millis(30);
        assert_eq!(step(2, slow), 2 * slow);
        assert_eq!(step(2, 10 * slow), SLOW_MAX);
    }

    #[test]
    fn masters_that_die_together_have_different_leaders() {
        let ids: Vec<SentinelId> = (0..5)
            .map(|n| SentinelId::new(format!("{n:040}")))
            .collect();
        let mut led: BTreeMap<&SentinelId, u32> = BTreeMap::new();
        for group in 0..1000 {
            let name = format!("codis-demo-{group}");
            let first = ids.iter().min_by_key(|id| weight(id, &name)).unwrap();
            *led.entry(first).or_default() += 1;
        }
        assert_eq!(led.len(), 5);
        assert!(
            led.values().all(|count| (150..=250).contains(count)),
            "{led:?}"
        );
    }
}
