//! Deadlines, and what has to be looked at before the machine rests.
//!
//! Everything that may act has a [`Key`] with at most one deadline. An input *touches* the keys
//! that it may have changed; touched keys and keys whose deadline has come are swept, and a sweep
//! ends by naming the key's next deadline. So a wake-up costs in proportion to what is due, not to
//! how much is monitored.

use std::collections::{BTreeMap, BTreeSet};

use codis_core::addr::Addr;
use codis_core::time::Time;

use crate::ids::{LinkId, SentinelId};

/// A monitored master inside the machine: stable while its name is monitored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct MasterId(pub u64);

/// An instance in the context of one master.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Who {
    /// The master itself.
    Master,
    /// One of its replicas.
    Replica(Addr),
    /// Another sentinel that watches it.
    Peer(SentinelId),
}

/// An instance in the context of its master.
pub(crate) type User = (MasterId, Who);

/// What can be due. The order is the order of sweeping: evidence, then judgement, then decision.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Key {
    /// Connections and PING of one link.
    Link(LinkId),
    /// S_DOWN, INFO and hello of one instance.
    Node(MasterId, Who),
    /// O_DOWN, questions, election and failover of one master.
    Master(MasterId),
    /// A snapshot that has to be tried again.
    Disk,
    /// The end of TILT.
    Tilt,
}

/// One deadline for each key.
#[derive(Default, Debug)]
pub(crate) struct Schedule {
    by_time: BTreeSet<(Time, Key)>,
    by_key: BTreeMap<Key, Time>,
    touched: BTreeSet<Key>,
}

impl Schedule {
    /// Marks a key for the sweep of this step.
    pub(crate) fn touch(&mut self, key: Key) {
        self.touched.insert(key);
    }

    /// The next key to sweep.
    pub(crate) fn pop_touched(&mut self) -> Option<Key> {
        self.touched.pop_first()
    }

    /// Marks every key whose deadline has come.
    pub(crate) fn touch_due(&mut self, now: Time) {
        let due = self.by_time.iter().take_while(|(at, _)| *at <= now);
        self.touched.extend(due.map(|(_, key)| key.clone()));
    }

    /// Sets the one deadline of a key, or none.
    pub(crate) fn set(&mut self, key: Key, at: Option<Time>) {
        if self.by_key.get(&key).copied() == at {
            return;
        }
        if let Some(old) = self.by_key.remove(&key) {
            self.by_time.remove(&(old, key.clone()));
        }
        if let Some(at) = at {
            self.by_time.insert((at, key.clone()));
            self.by_key.insert(key, at);
        }
    }

    /// Forgets a key that is gone.
    pub(crate) fn forget(&mut self, key: Key) {
        self.touched.remove(&key);
        self.set(key, None);
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(at, _)| *at)
    }
}

/// The earlier of two moments, where there may be none yet.
pub(crate) fn sooner(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_deadline_and_is_due_at_it() {
        let mut schedule = Schedule::default();
        schedule.set(Key::Disk, Some(Time::from_millis(5)));
        schedule.set(Key::Disk, Some(Time::from_millis(3)));
        schedule.set(Key::Tilt, Some(Time::from_millis(4)));
        assert_eq!(schedule.next(), Some(Time::from_millis(3)));
        schedule.touch_due(Time::from_millis(3));
        assert_eq!(schedule.pop_touched(), Some(Key::Disk));
        assert_eq!(schedule.pop_touched(), None);
        schedule.forget(Key::Disk);
        assert_eq!(schedule.next(), Some(Time::from_millis(4)));
    }
}
