//! Refused and reset connections: what they say of a process that is dead.

use std::time::Duration;

use codis_core::time::Time;

/// Tries to connect that were refused or reset, in awake time, without a proof of life between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refusals {
    first: Time,
    last: Time,
}

impl Refusals {
    /// One more. A connection that was open for long says that nothing was refused before it.
    pub(crate) fn more(before: Option<Self>, awake: Time, was_long_open: bool) -> Self {
        let first = before.filter(|_| !was_long_open).map(|it| it.first);
        Self {
            first: first.unwrap_or(awake),
            last: awake,
        }
    }

    /// When they had lasted for `span`: nobody knows before one comes that late.
    pub(crate) fn lasted(&self, span: Duration) -> Option<Time> {
        let at = self.first + span;
        (self.last >= at).then_some(at)
    }
}
