//! What the calls to one proxy process have shown, after the dashboard's `push::peerage`: a proxy
//! that is behind holds nothing up when it is gone, or stopped behind its stall fence.
//!
//! A stopped process is told from a broken network by a witness: a call that its kernel took, and
//! that has had no answer for so long; at the end the kernel must still take connections.

use codis_core::time::Time;

/// What a proxy that is behind is to clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peerage {
    /// It serves, or may.
    Serving,
    /// It is stopped and fenced.
    Silent,
    /// There is no process.
    Gone,
}

/// A call that the proxy's kernel took, and that has no answer.
#[derive(Clone, Copy, Debug)]
pub struct Witness {
    /// When it was sent.
    pub sent: Time,
    /// It has waited for long enough, and the network still carries connections.
    pub is_silence: bool,
}

/// The signs.
#[derive(Debug, Default)]
pub struct Pulse {
    unanswered: bool,
    refused: bool,
    /// The call that counts.
    pub witness: Option<Witness>,
    lifted: Option<u64>,
}

impl Pulse {
    /// The proxy answered a call, be it with an error.
    pub const fn handle_answer(&mut self) {
        self.unanswered = false;
        self.refused = false;
        self.witness = None;
    }

    /// Its figures: for which number of stalls the fence is to be lifted.
    pub fn handle_stats(&mut self, stall_fence: bool, stalls: u64) -> Option<u64> {
        self.handle_answer();
        if !stall_fence {
            self.lifted = None;
            return None;
        }
        (self.lifted != Some(stalls)).then_some(stalls)
    }

    /// The proxy lifted its fence, so from now on it is armed.
    pub const fn handle_lifted(&mut self, stalls: u64) {
        self.lifted = Some(stalls);
    }

    /// Whether it did not answer, or nobody listened, when last heard of.
    pub const fn is_quiet(&self) -> bool {
        self.unanswered || self.refused
    }

    /// A call was not answered.
    pub const fn handle_unanswered(&mut self) {
        self.unanswered = true;
        self.refused = false;
    }

    /// Nobody listens.
    pub const fn handle_refused(&mut self) {
        self.refused = true;
        self.witness = None;
    }

    /// What it is to clients now.
    pub const fn peerage(&self) -> Peerage {
        match self.witness {
            _ if self.refused => Peerage::Gone,
            Some(witness) if witness.is_silence && self.lifted.is_some() => Peerage::Silent,
            Some(_) | None => Peerage::Serving,
        }
    }
}
