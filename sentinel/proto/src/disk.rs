//! What waits for the disk.
//!
//! A vote may be told only once it is on disk, our own vote for ourselves included: else a crash
//! could make us vote twice in one epoch. A disk that refuses a snapshot stops all voting until one
//! succeeds; the vote itself is kept in memory, because it may have reached the disk all the same.

use std::time::Duration;

use codis_core::time::Time;

use crate::ids::{PersistId, RequestId};
use crate::input::Opinion;

/// Answers that may wait for the disk at a time; later questions are refused.
const HELD_MAX: usize = 1024;
/// Limits of the time between two tries of a disk that refuses.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// An answer to a peer that waits for a snapshot.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) until: PersistId,
    pub(crate) request: RequestId,
    pub(crate) opinion: Opinion,
}

/// The state of the snapshots.
#[derive(Default, Debug)]
pub(crate) struct Disk {
    asked: PersistId,
    /// The last one whose result is known.
    answered: PersistId,
    durable: PersistId,
    wanted: bool,
    /// The last snapshot that was refused, until a later one succeeds.
    refused: Option<PersistId>,
    failures: u32,
    /// When the last one was asked for.
    asked_at: Time,
    /// How long the last one took whose result is known.
    took: Duration,
    retry_at: Option<Time>,
    held: Vec<Held>,
}

impl Disk {
    /// Asks for a snapshot at the end of this step; the id that it will have.
    pub(crate) fn want(&mut self) -> PersistId {
        self.wanted = true;
        PersistId(self.asked.0 + 1)
    }

    /// The id for the snapshot to write now, when one is wanted and none is being written: what is
    /// wanted meanwhile goes into the next one, all together.
    pub(crate) fn take(&mut self, now: Time) -> Option<PersistId> {
        if self.answered < self.asked || !std::mem::take(&mut self.wanted) {
            return None;
        }
        self.asked.0 += 1;
        self.asked_at = now;
        Some(self.asked)
    }

    /// How long a snapshot takes, as the last one did.
    pub(crate) const fn took(&self) -> Duration {
        self.took
    }

    /// The id of the last snapshot that is wanted or was asked for.
    pub(crate) const fn last(&self) -> PersistId {
        PersistId(self.asked.0 + self.wanted as u64)
    }

    pub(crate) fn is_durable(&self, id: PersistId) -> bool {
        id <= self.durable
    }

    /// Whether the disk refused the last snapshot.
    pub(crate) const fn refuses(&self) -> bool {
        self.refused.is_some()
    }

    /// Holds an answer back until `held.until` is durable; gives it back when too many wait.
    pub(crate) fn hold(&mut self, held: Held) -> Option<Held> {
        if self.held.len() >= HELD_MAX {
            return Some(held);
        }
        self.held.push(held);
        None
    }

    /// The result of a snapshot. Gives the answers that no longer wait: with `ok` they may be told,
    /// without they may not.
    pub(crate) fn persisted(&mut self, now: Time, id: PersistId, ok: bool) -> Vec<Held> {
        assert!(
            id <= self.asked,
            "only a snapshot that was asked for can be done"
        );
        self.answered = self.answered.max(id);
        self.took = now.since(self.asked_at);
        if ok {
            self.durable = self.durable.max(id);
            // A refusal of a later snapshot stands.
            if self.refused.is_none_or(|refused| refused < id) {
                self.refused = None;
                self.failures = 0;
                self.retry_at = None;
            }
        } else if id > self.durable {
            let pause = RETRY_MIN * 2_u32.saturating_pow(self.failures.min(10));
            self.failures += 1;
            self.refused = self.refused.max(Some(id));
            self.retry_at = Some(now + pause.min(RETRY_MAX));
        }
        let settled = |held: &Held| held.until <= id;
        let (done, kept) = self.held.drain(..).partition(settled);
        self.held = kept;
        done
    }

    /// Tries again when it is time; when the next try is due.
    pub(crate) fn sweep(&mut self, now: Time) -> Option<Time> {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.want();
        }
        self.retry_at
    }
}

#[cfg(test)]
mod tests {
    use codis_core::epoch::Epoch;

    use super::*;

    fn held(until: PersistId) -> Held {
        Held {
            until,
            request: RequestId(1),
            opinion: Opinion {
                down: true,
                leader: None,
                leader_epoch: Epoch(1),
            },
        }
    }

    #[test]
    fn answers_wait_for_their_snapshot_and_refusals_end_with_a_success() {
        let mut disk = Disk::default();
        let first = disk.want();
        assert_eq!(disk.take(Time::ZERO), Some(first));
        assert!(disk.hold(held(first)).is_none());
        assert!(!disk.is_durable(first));
        assert_eq!(disk.persisted(Time::ZERO, first, false).len(), 1);
        assert!(disk.refuses());
        assert_eq!(
            disk.sweep(Time::from_millis(50)),
            Some(Time::from_millis(100))
        );
        assert_eq!(disk.sweep(Time::from_millis(100)), None);
        let second = disk.take(Time::from_millis(100)).unwrap();
        assert!(
            disk.persisted(Time::from_millis(101), second, true)
                .is_empty()
        );
        assert!(!disk.refuses());
        assert!(disk.is_durable(first), "a later snapshot contains it");
    }

    #[test]
    fn what_is_wanted_during_a_write_goes_into_one_later_snapshot() {
        let mut disk = Disk::default();
        let first = disk.want();
        assert_eq!((disk.take(Time::ZERO), disk.last()), (Some(first), first));
        let second = disk.want();
        assert_eq!(disk.take(Time::ZERO), None, "one is being written");
        assert_eq!((disk.want(), disk.last()), (second, second));
        disk.persisted(Time::ZERO, first, true);
        assert_eq!(disk.take(Time::ZERO), Some(second));
        assert_eq!(disk.take(Time::ZERO), None);
    }
}
