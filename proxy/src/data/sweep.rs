//! Looking at every deadline of a worker.
//!
//! One pass every `SWEEP_PERIOD` over what waits costs less than a timer for each request, and
//! no deadline in here needs more precision than that.

use std::rc::Rc;
use std::time::Duration;

use super::session::Session;
use super::worker::Worker;

/// How often deadlines are looked at while anything is under way.
const SWEEP_PERIOD: Duration = Duration::from_millis(50);
/// How often they are while nothing is.
const DOZE_PERIOD: Duration = Duration::from_secs(1);
/// Sessions are looked at so many times within the shortest of their time limits.
const LOOKS_PER_LIMIT: u32 = 10;
/// The longest time between two looks at all sessions.
const SESSIONS_PERIOD_MAX: Duration = Duration::from_secs(5);

impl Worker {
    /// Looks at every deadline, again and again.
    pub async fn sweep(self: Rc<Self>) {
        let mut sessions_at = 0;
        let sessions_period = self.sessions_period();
        loop {
            if self.local.dozing.get() {
                let stirred = self.local.stirred.notified();
                let _ = tokio::time::timeout(DOZE_PERIOD, stirred).await;
            } else {
                tokio::time::sleep(SWEEP_PERIOD).await;
            }
            self.local.tick();
            self.check_fence();
            self.sweep_refused();
            self.sweep_parked();
            self.sweep_lines();
            self.end_resp3();
            if self.local.now() >= sessions_at || self.shared.is_memory_full() {
                sessions_at = self.local.now() + sessions_period;
                self.sweep_sessions();
            }
            let conns = self.conns();
            let mut links = 0;
            for conn in &conns {
                conn.sweep(&self);
                links += u64::from(conn.is_up());
            }
            let counters = self.local.counters();
            counters.links.set(links);
            let (slot_waiting, slot_waiting_bytes) = self.slot_waiting();
            counters.slot_waiting.set(slot_waiting as u64);
            counters.slot_waiting_bytes.set(slot_waiting_bytes as u64);
            let waiting = slot_waiting + self.refused.borrow().len();
            let queued: usize = conns
                .iter()
                .filter(|c| !c.is_up())
                .map(|c| c.queued())
                .sum();
            counters.waiting.set((waiting + queued) as u64);
            self.check_drained();
            let full = self.shared.is_memory_full();
            let held = self.local.held.is_up();
            let busy = waiting > 0 || full || held || self.draining.get().is_some();
            self.local
                .dozing
                .set(!busy && conns.iter().all(|conn| conn.is_quiet()));
        }
    }

    /// Microseconds between two looks at all sessions.
    fn sessions_period(&self) -> u64 {
        let settings = self.settings();
        let limits = [
            &settings.session_recv_timeout,
            &settings.session_send_timeout,
        ];
        let set = limits.into_iter().map(|limit| limit.duration());
        let shortest = set.filter(|limit| !limit.is_zero()).min();
        let period = shortest.map_or(SESSIONS_PERIOD_MAX, |limit| limit / LOOKS_PER_LIMIT);
        period.clamp(SWEEP_PERIOD, SESSIONS_PERIOD_MAX).as_micros() as u64
    }

    fn sweep_sessions(&self) {
        let settings = self.settings();
        let recv = settings.session_recv_timeout.duration().as_micros() as u64;
        let send = settings.session_send_timeout.duration().as_micros() as u64;
        let full = self.shared.is_memory_full();
        let is_late = |session: &Rc<Session>| {
            let (read, unread) = session.idle();
            let unread = unread.unwrap_or(0);
            let overstays = || full && session.overstays(&self.shared);
            (recv > 0 && read > recv) || (send > 0 && unread > send) || overstays()
        };
        let late: Vec<_> = self
            .sessions
            .borrow()
            .values()
            .filter(|s| is_late(s))
            .cloned()
            .collect();
        for session in late {
            tracing::debug!(session = session.id, "session timed out");
            session.kill();
        }
    }
}
