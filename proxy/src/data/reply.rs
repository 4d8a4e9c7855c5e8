//! The replies that the proxy makes by itself: one list, because their texts are an interface.

use bytes::Bytes;

/// A reply on its way to a client: borrowed from the read buffer of a backend, or owned.
#[derive(Debug)]
pub enum Reply<'a> {
    /// Copied when it is delivered; small.
    Slice(&'a [u8]),
    /// Shared without copying.
    Shared(Bytes),
}

impl Reply<'_> {
    /// The wire form.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Reply::Slice(slice) => slice,
            Reply::Shared(bytes) => bytes,
        }
    }

    /// The wire form, owned.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Reply::Slice(slice) => Bytes::copy_from_slice(slice),
            Reply::Shared(bytes) => bytes,
        }
    }
}

/// `+OK`.
pub const OK: Bytes = Bytes::from_static(b"+OK\r\n");
/// `+PONG`.
pub const PONG: Bytes = Bytes::from_static(b"+PONG\r\n");
/// Sent on accept when the limit of sessions is reached.
pub const MAX_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";
/// Sent on accept before `start`.
pub const NOT_ONLINE: &[u8] = b"-ERR router is not online\r\n";
/// Sent to a session that did not authenticate.
pub const NO_AUTH: Bytes = Bytes::from_static(b"-NOAUTH Authentication required\r\n");
/// HELLO with a version that is not spoken.
pub const NO_PROTO: Bytes = Bytes::from_static(b"-NOPROTO unsupported protocol version\r\n");
/// The slot has no backend.
pub const SLOT_NOT_READY: Bytes =
    Bytes::from_static(b"-ERR handle request, slot is not ready, may be offline\r\n");
/// A command name of 0 or more than 64 bytes.
pub const BAD_COMMAND_LENGTH: Bytes =
    Bytes::from_static(b"-ERR handle request, bad command length, too short or too long\r\n");
/// The slot stayed locked for longer than a request may wait.
pub const SLOT_LOCKED: Bytes =
    Bytes::from_static(b"-ERR handle request, slot is locked for too long\r\n");

/// A key stayed in migration for longer than a request may wait.
pub const KEY_MOVING: Bytes =
    Bytes::from_static(b"-ERR handle request, key is being migrated for too long\r\n");
/// No more requests may wait for locked and migrating slots.
pub const SLOT_WAIT_FULL: Bytes = Bytes::from_static(
    b"-ERR handle request, too many requests wait for locked or migrating slots\r\n",
);

/// An error reply of any text; line breaks inside it become spaces.
pub fn error(text: &str) -> Bytes {
    let mut out = String::with_capacity(text.len() + 3);
    out.push('-');
    out.extend(
        text.chars()
            .map(|c| if c == '\r' || c == '\n' { ' ' } else { c }),
    );
    out.push_str("\r\n");
    Bytes::from(out)
}

/// A command that clients may not send.
pub fn not_allowed(name: &str) -> Bytes {
    error(&format!(
        "ERR handle request, command '{name}' is not allowed"
    ))
}

/// A wrong number of arguments.
pub fn wrong_arguments(name: &str) -> Bytes {
    error(&format!(
        "ERR wrong number of arguments for '{name}' command"
    ))
}

/// A backend named by its address that the proxy does not know.
pub fn no_backend(addr: &str) -> Bytes {
    error(&format!("ERR backend server '{addr}' not found"))
}

/// A request that reached no backend, or a read whose reply got lost for good.
pub fn backend_failure(reason: &str) -> Bytes {
    error(&format!(
        "ERR handle response, backend conn failure, {reason}"
    ))
}

/// A write that was sent and never answered.
pub fn outcome_unknown(reason: &str) -> Bytes {
    error(&format!(
        "ERR handle response, backend conn failure, outcome of the write is unknown: {reason}"
    ))
}

/// A request that is not RESP.
pub fn protocol_error(reason: &str) -> Bytes {
    error(&format!("ERR Protocol error: {reason}"))
}

/// A bulk string.
pub fn bulk(data: &[u8]) -> Bytes {
    let mut out = format!("${}\r\n", data.len()).into_bytes();
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
    Bytes::from(out)
}

/// An integer.
pub fn integer(value: u64) -> Bytes {
    Bytes::from(format!(":{value}\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_single_lines() {
        assert_eq!(error("ERR a\r\nb"), Bytes::from_static(b"-ERR a  b\r\n"));
        assert_eq!(
            not_allowed("KEYS"),
            "-ERR handle request, command 'KEYS' is not allowed\r\n"
        );
        assert_eq!(bulk(b"ab"), "$2\r\nab\r\n");
    }
}
