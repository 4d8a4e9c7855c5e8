//! When peers are asked.
//!
//! Each peer has its turn, a place within the second, so hundreds are not asked at once. The turns
//! are few, so the peers of one wake up together: a wake-up of the process costs as much as asking
//! one of them. Servers are asked less often while nobody reads their figures.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How often each is asked.
pub const EVERY: Duration = Duration::from_secs(1);
/// How often servers are asked while nobody reads their figures: hundreds of them once a second
/// keep a processor busy for nothing.
pub const EVERY_UNREAD: Duration = Duration::from_secs(3);
/// For so long after somebody read them the figures are kept as fresh as can be.
const READ_FOR: Duration = Duration::from_secs(15);
/// Between two turns.
const TICK: Duration = Duration::from_millis(250);

/// Hands out turns, and knows whether somebody reads.
#[derive(Debug)]
pub struct Pace {
    origin: Instant,
    unread: Duration,
    turns: AtomicU32,
    read_at: Mutex<Option<Instant>>,
    reading: Notify,
}

/// The turn of one peer.
#[derive(Clone, Copy, Debug)]
pub struct Turn(u32);

impl Default for Pace {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            unread: EVERY_UNREAD,
            turns: AtomicU32::new(0),
            read_at: Mutex::default(),
            reading: Notify::new(),
        }
    }
}

impl Pace {
    /// The turn of a further peer.
    pub fn turn(&self) -> Turn {
        Turn(self.turns.fetch_add(1, Ordering::Relaxed))
    }

    /// Somebody reads the figures of servers.
    pub fn handle_read(&self) {
        let before = self.read_at().replace(Instant::now());
        if before.is_none_or(|at| at.elapsed() >= READ_FOR) {
            self.reading.notify_waiters();
        }
    }

    /// Waits for the next turn of a peer that was asked just now.
    pub async fn next(&self, turn: Turn) {
        tokio::time::sleep_until(self.due(turn, EVERY, Instant::now() + EVERY / 2)).await;
    }

    /// Waits for the next turn of a server that was asked just now.
    pub async fn next_of_server(&self, turn: Turn) {
        let asked = Instant::now();
        let reading = self.reading.notified();
        tokio::pin!(reading);
        // A reader that comes from here on is heard.
        reading.as_mut().enable();
        if !self.is_read(asked) {
            let due = self.due(turn, self.unread, asked + self.unread / 2);
            tokio::select! {
                () = reading => {}
                () = tokio::time::sleep_until(due) => return,
            }
        }
        // When the reader comes, all servers wait here: each for its turn, not all at once.
        let earliest = Instant::now().max(asked + EVERY / 2);
        tokio::time::sleep_until(self.due(turn, EVERY, earliest)).await;
    }

    fn is_read(&self, now: Instant) -> bool {
        let is_recent = |at: Instant| now.saturating_duration_since(at) < READ_FOR;
        self.read_at().is_some_and(is_recent)
    }

    fn read_at(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.read_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first turn of a peer from `earliest` on. Callers leave half a round between a question
    /// and the next one, so a peer that is slow to answer misses its turn.
    fn due(&self, turn: Turn, every: Duration, earliest: Instant) -> Instant {
        let turns = every.as_millis() / TICK.as_millis();
        let place = TICK * (u128::from(turn.0) % turns) as u32;
        let earliest = earliest.saturating_duration_since(self.origin);
        let rounds = earliest
            .saturating_sub(place)
            .as_nanos()
            .div_ceil(every.as_nanos());
        self.origin + place + every * u32::try_from(rounds).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_a_turn_in_each_round() {
        let pace = Pace::default();
        let at = |millis| pace.origin + Duration::from_millis(millis);
        let due = |turn, earliest| {
            let due = pace.due(Turn(turn), EVERY, at(earliest));
            (due - pace.origin).as_millis()
        };
        assert_eq!([due(0, 0), due(3, 0)], [0, 750]);
        assert_eq!(
            [due(0, 500), due(0, 1000), due(0, 1001)],
            [1000, 1000, 2000]
        );
        assert_eq!([due(3, 1750), due(3, 1751)], [1750, 2750]);
        assert_eq!(due(7, 1751), 2750, "turns are shared");
        let unread = pace.due(Turn(14), EVERY_UNREAD, at(501));
        assert_eq!(unread, at(3500));
    }

    #[test]
    fn figures_are_read_for_a_while_after_somebody_read_them() {
        let pace = Pace::default();
        let now = Instant::now();
        assert!(!pace.is_read(now));
        pace.handle_read();
        assert!(pace.is_read(now) && pace.is_read(now + READ_FOR / 2));
        assert!(!pace.is_read(now + READ_FOR * 2));
    }

    #[tokio::test]
    async fn a_reader_shortens_the_wait() {
        let pace = Pace {
            unread: Duration::from_secs(3600),
            ..Pace::default()
        };
        let turn = pace.turn();
        let waiting = pace.next_of_server(turn);
        tokio::pin!(waiting);
        let soon = tokio::time::timeout(EVERY * 2, &mut waiting).await;
        assert!(soon.is_err(), "nobody reads");
        pace.handle_read();
        let limit = Duration::from_secs(60);
        tokio::time::timeout(limit, waiting).await.unwrap();
        // The next ones are short from the start.
        tokio::time::timeout(limit, pace.next_of_server(turn))
            .await
            .unwrap();
    }
}
