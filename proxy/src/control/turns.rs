//! Whose turn it is to fill: a fill waits for those before it that have a slot in common with it,
//! and for no others.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::route::SlotSet;

/// Fills that may wait at once.
const FILLS_MAX: usize = 256;

/// The fills under way, in the order in which they came.
#[derive(Debug, Default)]
pub struct Turns {
    queue: Mutex<Queue>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    fills: Vec<(u64, SlotSet)>,
}

impl Queue {
    fn is_first(&self, number: u64, slots: &SlotSet) -> bool {
        let earlier = |(other, _): &&(u64, SlotSet)| *other < number;
        let mut before = self.fills.iter().filter(earlier);
        !before.any(|(_, others)| others.overlaps(slots))
    }
}

/// The right to fill some slots, until it is dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let number = self.number;
        self.turns.queue().fills.retain(|(n, _)| *n != number);
        self.turns.ended.notify_waiters();
    }
}

impl Turns {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn to fill these slots. `None` when too many wait already.
    pub async fn take(&self, slots: SlotSet) -> Option<Turn<'_>> {
        let turn = {
            let mut queue = self.queue();
            if queue.fills.len() >= FILLS_MAX {
                return None;
            }
            let number = queue.next;
            queue.next += 1;
            queue.fills.push((number, slots));
            Turn {
                turns: self,
                number,
            }
        };
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.queue().is_first(turn.number, &slots) {
                return Some(turn);
            }
            ended.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn set(slots: &[u16]) -> SlotSet {
        slots.iter().copied().collect()
    }

    #[tokio::test]
    async fn only_fills_with_a_slot_in_common_wait() {
        let turns = Turns::default();
        let moment = Duration::from_millis(20);
        let first = turns.take(set(&[1, 2])).await.unwrap();
        let other = turns.take(set(&[3])).await.unwrap();
        let wide = turns.take(set(&[2, 3, 4]));
        tokio::pin!(wide);
        assert!(tokio::time::timeout(moment, &mut wide).await.is_err());
        drop(first);
        assert!(tokio::time::timeout(moment, &mut wide).await.is_err());
        let behind = turns.take(set(&[4]));
        tokio::pin!(behind);
        assert!(
            tokio::time::timeout(moment, &mut behind).await.is_err(),
            "the order in which they came stands"
        );
        drop(other);
        drop(wide.await.unwrap());
        drop(behind.await.unwrap());
        assert!(turns.queue().fills.is_empty());
    }

    #[tokio::test]
    async fn fills_that_wait_are_limited() {
        let turns = Turns::default();
        let mut held = Vec::new();
        for n in 0..FILLS_MAX as u16 {
            held.push(turns.take(set(&[n])).await.unwrap());
        }
        assert!(turns.take(set(&[1000])).await.is_none());
    }
}
