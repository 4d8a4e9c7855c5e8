//! RESP, the protocol of Redis, in the form that a proxy needs it.
//!
//! Requests are those of both versions of the protocol; replies are read and written in either
//! ([`Protocol`]). Of RESP3, attributes and strings of unknown length are not read: Redis sends
//! neither.
//!
//! Most bytes that pass through are never looked into: a router has to know where a request ends,
//! which bytes are its name and key, and where a reply ends. So the two scanners only find
//! boundaries. They keep their place when the bytes run out, and take it up when more have come, so
//! a value that arrives in a thousand pieces is still looked at once. [`Value`] is for those who
//! want the content of a reply, and the `write_*` functions are for those who make one.
//!
//! Nothing in here believes a header: an announced length is checked against [`Limits`], and memory
//! is taken only for bytes that have arrived.

mod build;
mod encode;
mod number;
mod protocol;
mod reply;
mod request;
mod value;

pub use encode::{
    encode_command, write_array, write_bulk, write_error, write_integer, write_null_array,
    write_null_bulk, write_simple,
};
pub use protocol::Protocol;
pub use reply::ReplyScanner;
pub use request::RequestScanner;
pub use value::Value;

/// What is refused for its size. The defaults are those of Codis, with a length for inline requests
/// and a depth for replies, which Codis does not limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Elements of one array, in requests and replies; a map has two for each pair.
    pub array_len_max: usize,
    /// Bytes of one bulk string; bounds the simple strings and errors of replies too.
    pub bulk_bytes_max: usize,
    /// Bytes of one inline request, without its line end.
    pub inline_bytes_max: usize,
    /// How deep aggregates may nest in a reply; an array of plain values has depth 1.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            array_len_max: 1024 * 1024,
            bulk_bytes_max: 512 * 1024 * 1024,
            inline_bytes_max: 64 * 1024,
            depth_max: 64,
        }
    }
}

/// Bytes that are not RESP, or are beyond the limits. The text may be sent to a client after
/// `-ERR Protocol error: `.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at byte {offset}")]
pub struct ProtocolError {
    /// What is wrong.
    pub fault: Fault,
    /// Where, counted from the start of the request or reply.
    pub offset: usize,
}

/// What can be wrong with the bytes of a request or reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A length or integer that is none, or does not fit 64 bits.
    #[error("invalid number")]
    Number,
    /// A header without CRLF within the length that any number needs.
    #[error("header line too long")]
    HeaderTooLong,
    /// A line or bulk string that does not end with CRLF.
    #[error("expected CRLF")]
    LineEnd,
    /// An element of a request is not a bulk string.
    #[error("expected '$', got '{}'", .0.escape_ascii())]
    NotBulk(u8),
    /// A reply starts with a byte that no type has.
    #[error("unknown reply type '{}'", .0.escape_ascii())]
    UnknownType(u8),
    /// A request with a count of arguments below one or above the limit, or a reply array with a
    /// count below -1 or above the limit.
    #[error("invalid multibulk length")]
    ArrayLength,
    /// A bulk string shorter than nothing or above the limit; in a request also a null one.
    #[error("invalid bulk length")]
    BulkLength,
    /// An inline request above the limit.
    #[error("too big inline request")]
    InlineTooLong,
    /// A simple string or error above the limit.
    #[error("too big line")]
    LineTooLong,
    /// A null, boolean, double or verbatim string that is none.
    #[error("invalid value")]
    Value,
    /// Arrays nested above the limit.
    #[error("arrays nested too deep")]
    TooDeep,
}

impl Fault {
    pub(crate) const fn at(self, offset: usize) -> ProtocolError {
        ProtocolError {
            fault: self,
            offset,
        }
    }
}

#[cfg(test)]
mod tests;
