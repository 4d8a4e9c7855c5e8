//! The content of a reply.

use std::borrow::Cow;

use bytes::{BufMut, Bytes};

use super::build::build;
use super::{Limits, Protocol, ProtocolError, ReplyScanner};

/// One value of either version of the protocol.
///
/// Whoever makes a reply says what it means, and the version of the connection decides how that is
/// written: [`Value::encode_as`] makes a flat array of a [`Value::Map`] in RESP2, for instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A status such as `OK`; has no line end inside.
    Simple(Bytes),
    /// An error with its code, without the leading `-`; has no line end inside.
    Error(Bytes),
    /// A signed number.
    Integer(i64),
    /// Any bytes, or null. The null is `_` in RESP3.
    Bulk(Option<Bytes>),
    /// Values, or null. The null is `_` in RESP3.
    Array(Option<Vec<Value>>),
    /// The null of RESP3; a null bulk string in RESP2.
    Null,
    /// Pairs in order; a flat array in RESP2.
    Map(Vec<(Value, Value)>),
    /// Values of which each is there once; an array in RESP2.
    Set(Vec<Value>),
    /// Something that nobody asked for, such as a message; an array in RESP2.
    Push(Vec<Value>),
    /// Truth; 1 or 0 in RESP2.
    Boolean(bool),
    /// A number with a fraction, as its text; a bulk string in RESP2.
    Double(Bytes),
    /// An integer of any size, as its text; a bulk string in RESP2.
    BigNumber(Bytes),
    /// A text for people; a bulk string in RESP2.
    Verbatim {
        /// `txt` or `mkd`.
        format: [u8; 3],
        /// The text.
        text: Bytes,
    },
}

impl Value {
    /// The status `OK`.
    pub const fn ok() -> Self {
        Self::Simple(Bytes::from_static(b"OK"))
    }

    /// The null bulk string.
    pub const fn null() -> Self {
        Self::Bulk(None)
    }

    /// A status.
    pub fn simple(text: impl Into<Bytes>) -> Self {
        Self::Simple(text.into())
    }

    /// An error; the text starts with its code.
    pub fn error(text: impl Into<Bytes>) -> Self {
        Self::Error(text.into())
    }

    /// A bulk string.
    pub fn bulk(bytes: impl Into<Bytes>) -> Self {
        Self::Bulk(Some(bytes.into()))
    }

    /// A plain text for people.
    pub fn verbatim(text: impl Into<Bytes>) -> Self {
        Self::Verbatim {
            format: *b"txt",
            text: text.into(),
        }
    }

    /// An array.
    pub fn array(elements: impl IntoIterator<Item = Value>) -> Self {
        Self::Array(Some(elements.into_iter().collect()))
    }

    /// Reads the reply at the start of `buf`. `None` when it is not complete; else the value and
    /// how many bytes it takes. For replies that come in pieces, find the end with [`ReplyScanner`]
    /// first: this function starts from the front each time.
    ///
    /// # Errors
    /// The bytes are no reply.
    pub fn parse(buf: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some(len) = ReplyScanner::new(*limits).scan(buf)? else {
            return Ok(None);
        };
        build(&buf[..len]).map(|value| value.map(|value| (value, len)))
    }

    /// Writes the value in RESP2. A line end inside of a simple string or error becomes a space.
    pub fn encode(&self, out: &mut impl BufMut) {
        self.encode_as(Protocol::Resp2, out);
    }

    /// The value in RESP2.
    pub fn to_bytes(&self) -> Bytes {
        self.to_bytes_as(Protocol::Resp2)
    }

    /// The value in that version of the protocol.
    pub fn to_bytes_as(&self, protocol: Protocol) -> Bytes {
        let mut out = Vec::new();
        self.encode_as(protocol, &mut out);
        out.into()
    }

    /// The bytes of a string of any kind.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(bytes)
            | Self::Bulk(Some(bytes))
            | Self::Double(bytes)
            | Self::BigNumber(bytes)
            | Self::Verbatim { text: bytes, .. } => Some(bytes),
            Self::Error(_)
            | Self::Integer(_)
            | Self::Bulk(None)
            | Self::Array(_)
            | Self::Null
            | Self::Map(_)
            | Self::Set(_)
            | Self::Push(_)
            | Self::Boolean(_) => None,
        }
    }

    /// The text of a string of any kind, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes()
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The number of an integer.
    pub const fn as_int(&self) -> Option<i64> {
        if let Self::Integer(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// The elements of an array, a set or a push.
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(Some(elements)) | Self::Set(elements) | Self::Push(elements) = self {
            Some(elements)
        } else {
            None
        }
    }

    /// The pairs of a map.
    pub fn as_map(&self) -> Option<&[(Value, Value)]> {
        if let Self::Map(pairs) = self {
            Some(pairs)
        } else {
            None
        }
    }

    /// The text of an error; bytes that are not UTF-8 are replaced.
    pub fn as_error(&self) -> Option<Cow<'_, str>> {
        if let Self::Error(text) = self {
            Some(String::from_utf8_lossy(text))
        } else {
            None
        }
    }

    /// Whether it is a null of any kind.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Bulk(None) | Self::Array(None) | Self::Null)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}
