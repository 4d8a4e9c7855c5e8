//! What others of the worker ask of a session: how much it keeps, and to leave.

use super::{Session, UNREAD_BYTES_MAX};

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

    /// Bytes of requests under way and of replies that the client has not read.
    pub fn buffered(&self) -> usize {
        let state = self.state.borrow();
        let busy = state.busy.as_ref();
        busy.map_or(0, |busy| busy.ring.bytes() + busy.out.len())
    }

    /// Whether the client leaves more unread than a session may gather.
    pub fn is_unread(&self) -> bool {
        self.unread() >= UNREAD_BYTES_MAX
    }
}
