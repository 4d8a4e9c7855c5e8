//! What others of the worker ask of a session: how much it keeps, and to leave.

use super::Session;
use crate::data::memory;
use crate::data::worker::Shared;

/// Requests under way, and their bytes, from which on a session counts as one that floods.
const MUCH_LEN: usize = 256;
const MUCH_BYTES: usize = 64 * 1024;

impl Session {
    /// Ends the session once it has answered what it has read.
    pub fn leave(&self) {
        if !self.leaving.replace(true) {
            self.wake();
        }
    }

    /// Whether its client has more under way than it needs to make progress.
    pub fn waits_for_much(&self) -> bool {
        let state = self.state.borrow();
        state
            .busy
            .as_ref()
            .is_some_and(|busy| busy.ring.len() >= MUCH_LEN || busy.ring.bytes() >= MUCH_BYTES)
    }

    /// Whether it has more under way, or keeps more replies, than a client needs that gets on.
    pub fn keeps_much(&self) -> bool {
        let state = self.state.borrow();
        state.busy.as_ref().is_some_and(|busy| {
            let bytes = busy.ring.bytes() + busy.reply_bytes();
            busy.ring.len() >= MUCH_LEN || bytes >= MUCH_BYTES
        })
    }

    /// The answered parts of a command had `before` bytes and have `after`.
    pub fn count_parts(&self, before: usize, after: usize) {
        let mut state = self.state.borrow_mut();
        let Some(busy) = &mut state.busy else {
            return;
        };
        let kept = busy.reply_bytes();
        if kept == 0 {
            self.write_at.set(self.local.now());
        }
        busy.part_bytes = (busy.part_bytes + after).saturating_sub(before);
        let keeps = busy.reply_bytes();
        drop(state);
        if memory::is_step(kept, keeps) {
            self.wake();
        }
    }

    /// Bytes of requests under way and of replies that have not left.
    pub fn buffered(&self) -> usize {
        let state = self.state.borrow();
        let busy = state.busy.as_ref();
        busy.map_or(0, |busy| busy.ring.bytes() + busy.reply_bytes())
    }

    /// Whether it has to end because memory is short and it keeps too many replies for too long,
    /// be it that its client does not read or that the first of them does not come.
    pub fn overstays(&self, shared: &Shared) -> bool {
        let kept = self
            .state
            .borrow()
            .busy
            .as_ref()
            .map_or(0, |b| b.reply_bytes());
        let Some(patience) = shared.patience(kept) else {
            return false;
        };
        let waits = self.local.now().saturating_sub(self.write_at.get());
        let is_over = waits >= patience.as_micros() as u64;
        if is_over {
            tracing::info!(
                session = self.id,
                client = self.peer(),
                bytes = kept,
                "session keeps too many unread replies, see session_max_buffered"
            );
        }
        is_over
    }
}
