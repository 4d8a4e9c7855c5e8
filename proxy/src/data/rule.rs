//! Whether a request may be sent again: the rules of failover, without the plumbing.
//!
//! A client is promised three things. What was never sent is not lost, it waits for the new master.
//! What only reads is asked again. What may have written is never sent twice: if its answer is
//! lost, the client is told that the outcome is unknown.

use codis_core::command::Access;

/// How far a request got on a connection that is lost or no longer right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Not a byte of it left.
    Nothing,
    /// The backend cannot have received all of it, so it cannot have run.
    Partly,
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
        (_, Sent::Nothing | Sent::Partly) | (Access::Read | Access::ReadMaster, Sent::Whole) => {
            Verdict::Again
        }
        (Access::Write, Sent::Whole) => Verdict::OutcomeUnknown,
    }
}

/// Whether an error reply proves that the server did not run the command because of its role or
/// state, so that the same request may run elsewhere or later: the old master was demoted
/// (`READONLY`), lost its own master (`MASTERDOWN`) or has just started (`LOADING`). The code alone
/// proves nothing, since a script that has written may end with an error of its own making.
pub fn is_not_executed(reply: &[u8]) -> bool {
    match reply.strip_prefix(b"-LOADING ") {
        Some(text) => text.ends_with(b" is loading the dataset in memory\r\n"),
        None => [
            &b"-READONLY You can't write against a read only "[..],
            b"-MASTERDOWN Link with MASTER is down",
        ]
        .iter()
        .any(|refusal| reply.starts_with(refusal)),
    }
}

/// Whether an error reply to `PING` shows that a server is there, if not ready.
pub fn is_alive(reply: &[u8]) -> bool {
    [&b"-LOADING "[..], b"-MASTERDOWN "]
        .iter()
        .any(|code| reply.starts_with(code))
}

/// Whether a reply to `HELLO 3` shows that the server never speaks RESP3, rather than not now.
pub fn lacks_resp3(reply: &[u8]) -> bool {
    [&b"-ERR unknown command"[..], b"-NOPROTO"]
        .iter()
        .any(|code| reply.starts_with(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_resp3_is_known_by_its_reply() {
        for (reply, lacks) in [
            ("-ERR unknown command 'HELLO'", true),
            (
                "-ERR unknown command `HELLO`, with args beginning with: `3`, ",
                true,
            ),
            ("-NOPROTO unsupported protocol version", true),
            (
                "-NOAUTH HELLO must be called with the client already authenticated",
                false,
            ),
            ("-NOPERM this user has no permissions", false),
            ("-LOADING Redis is loading the dataset in memory", false),
            ("%7", false),
        ] {
            assert_eq!(
                lacks_resp3(format!("{reply}\r\n").as_bytes()),
                lacks,
                "{reply}"
            );
        }
    }

    #[test]
    fn only_a_write_that_left_is_never_repeated() {
        for access in [Access::Read, Access::ReadMaster, Access::Write] {
            assert_eq!(on_loss(access, Sent::Nothing), Verdict::Again);
            assert_eq!(on_loss(access, Sent::Partly), Verdict::Again);
        }
        assert_eq!(on_loss(Access::Read, Sent::Whole), Verdict::Again);
        assert_eq!(on_loss(Access::ReadMaster, Sent::Whole), Verdict::Again);
        assert_eq!(on_loss(Access::Write, Sent::Whole), Verdict::OutcomeUnknown);
    }

    #[test]
    fn only_refusals_by_role_count_as_not_executed() {
        for reply in [
            "-READONLY You can't write against a read only replica.",
            "-READONLY You can't write against a read only slave.",
            "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "-LOADING Redis is loading the dataset in memory",
            "-LOADING Valkey is loading the dataset in memory",
        ] {
            assert!(
                is_not_executed(format!("{reply}\r\n").as_bytes()),
                "{reply}"
            );
        }
        for reply in [
            "-ERR x",
            "-OOM x",
            "-READONLYX",
            "-READONLY says the script",
            "-LOADING x",
            "+OK",
            "-NOREPLICAS x",
        ] {
            assert!(
                !is_not_executed(format!("{reply}\r\n").as_bytes()),
                "{reply}"
            );
        }
    }
}
