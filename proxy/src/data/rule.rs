//! Whether a request may be sent again: the rules of failover, without the plumbing.
//!
//! A client is promised three things. What was never sent is not lost, it waits for the new master.
//! What only reads is asked again. What may have written is never sent twice: if its answer is
//! lost, the client is told that the outcome is unknown.

use codis_core::command::Access;

/// How far a request got on a connection that is lost or no longer right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The backend cannot have received all of it, so it cannot have run.
    NotWhole,
    /// All of it left; no answer came.
    Whole,
}

/// What becomes of such a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent again, as long as its hold lasts.
    Again,
    /// The client gets the error that says so.
    OutcomeUnknown,
}

/// The verdict on a request whose connection cannot answer any more.
pub const fn on_loss(access: Access, sent: Sent) -> Verdict {
    match (access, sent) {
        (_, Sent::NotWhole) | (Access::Read | Access::ReadMaster, Sent::Whole) => Verdict::Again,
        (Access::Write, Sent::Whole) => Verdict::OutcomeUnknown,
    }
}

/// Whether an error reply proves that the server did not run the command because of its role or
/// state, so that the same request may run elsewhere or later: the old master was demoted
/// (`READONLY`), lost its own master (`MASTERDOWN`) or has just started (`LOADING`).
pub fn is_not_executed(reply: &[u8]) -> bool {
    [&b"-READONLY "[..], b"-MASTERDOWN ", b"-LOADING "]
        .iter()
        .any(|code| reply.starts_with(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_write_that_left_is_never_repeated() {
        for access in [Access::Read, Access::ReadMaster, Access::Write] {
            assert_eq!(on_loss(access, Sent::NotWhole), Verdict::Again);
        }
        assert_eq!(on_loss(Access::Read, Sent::Whole), Verdict::Again);
        assert_eq!(on_loss(Access::ReadMaster, Sent::Whole), Verdict::Again);
        assert_eq!(on_loss(Access::Write, Sent::Whole), Verdict::OutcomeUnknown);
    }

    #[test]
    fn only_refusals_by_role_count_as_not_executed() {
        for reply in ["-READONLY You can't", "-MASTERDOWN Link", "-LOADING Redis"] {
            assert!(is_not_executed(reply.as_bytes()), "{reply}");
        }
        for reply in ["-ERR x", "-OOM x", "-READONLYX", "+OK", "-NOREPLICAS x"] {
            assert!(!is_not_executed(reply.as_bytes()), "{reply}");
        }
    }
}
