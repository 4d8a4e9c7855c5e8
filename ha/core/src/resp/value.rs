//! The content of a reply.

use bytes::{BufMut, Bytes};

use super::{
    Limits, ProtocolError, ReplyScanner, number, write_array, write_bulk, write_error,
    write_integer, write_null_array, write_null_bulk, write_simple,
};

/// One RESP2 value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A status such as `OK`; has no line end inside.
    Simple(Bytes),
    /// An error with its code, without the leading `-`; has no line end inside.
    Error(Bytes),
    /// A signed number.
    Integer(i64),
    /// Any bytes, or null.
    Bulk(Option<Bytes>),
    /// Values, or null.
    Array(Option<Vec<Value>>),
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

    /// Writes the value. A line end inside of a simple string or error becomes a space.
    pub fn encode(&self, out: &mut impl BufMut) {
        // Not recursive: a value that was made by hand may be of any depth.
        let mut open = vec![std::slice::from_ref(self).iter()];
        while let Some(elements) = open.last_mut() {
            match elements.next() {
                None => {
                    open.pop();
                }
                Some(Self::Simple(text)) => write_simple(out, text),
                Some(Self::Error(text)) => write_error(out, text),
                Some(Self::Integer(number)) => write_integer(out, *number),
                Some(Self::Bulk(Some(bytes))) => write_bulk(out, bytes),
                Some(Self::Bulk(None)) => write_null_bulk(out),
                Some(Self::Array(None)) => write_null_array(out),
                Some(Self::Array(Some(inner))) => {
                    write_array(out, inner.len());
                    open.push(inner.iter());
                }
            }
        }
    }

    /// The encoded value.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::new();
        self.encode(&mut out);
        out.into()
    }

    /// The bytes of a simple or bulk string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(bytes) | Self::Bulk(Some(bytes)) => Some(bytes),
            Self::Error(_) | Self::Integer(_) | Self::Bulk(None) | Self::Array(_) => None,
        }
    }

    /// The text of a simple or bulk string, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        self.as_bytes()
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The number of an integer.
    pub const fn as_int(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Simple(_) | Self::Error(_) | Self::Bulk(_) | Self::Array(_) => None,
        }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(elements) => elements.as_deref(),
            Self::Simple(_) | Self::Error(_) | Self::Integer(_) | Self::Bulk(_) => None,
        }
    }

    /// The text of an error; bytes that are not UTF-8 are replaced.
    pub fn as_error(&self) -> Option<std::borrow::Cow<'_, str>> {
        match self {
            Self::Error(text) => Some(String::from_utf8_lossy(text)),
            Self::Simple(_) | Self::Integer(_) | Self::Bulk(_) | Self::Array(_) => None,
        }
    }

    /// Whether it is a null bulk string or a null array.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Bulk(None) | Self::Array(None))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

/// An array whose elements are being read.
struct Open {
    elements: Vec<Value>,
    len: usize,
}

/// Builds the value of one whole reply. The scanner has been over it, so every count in it is
/// backed by bytes, and what the scanner cannot promise to the compiler comes out as `None`.
fn build(reply: &[u8]) -> Result<Option<Value>, ProtocolError> {
    let mut stack: Vec<Open> = Vec::new();
    let mut at = 0;
    loop {
        let Some((next, leaf)) = leaf(reply, at)? else {
            return Ok(None);
        };
        at = next;
        let mut value = match leaf {
            Leaf::Value(value) => value,
            Leaf::Array(0) => Value::Array(Some(Vec::new())),
            Leaf::Array(len) => {
                let elements = Vec::with_capacity(len);
                stack.push(Open { elements, len });
                continue;
            }
        };
        loop {
            let Some(top) = stack.last_mut() else {
                return Ok(Some(value));
            };
            top.elements.push(value);
            if top.elements.len() < top.len {
                break;
            }
            let elements = std::mem::take(&mut top.elements);
            stack.pop();
            value = Value::Array(Some(elements));
        }
    }
}

enum Leaf {
    Value(Value),
    /// The header of an array with so many elements.
    Array(usize),
}

fn leaf(reply: &[u8], at: usize) -> Result<Option<(usize, Leaf)>, ProtocolError> {
    let Some(&kind) = reply.get(at) else {
        return Ok(None);
    };
    if kind == b'+' || kind == b'-' {
        let rest = &reply[at + 1..];
        let Some(newline) = memchr::memchr(b'\n', rest) else {
            return Ok(None);
        };
        let text = Bytes::copy_from_slice(&rest[..newline.saturating_sub(1)]);
        let value = if kind == b'+' {
            Value::Simple(text)
        } else {
            Value::Error(text)
        };
        return Ok(Some((at + 1 + newline + 1, Leaf::Value(value))));
    }
    let Some((count, next)) = number::read(reply, at + 1)? else {
        return Ok(None);
    };
    let len = usize::try_from(count).ok();
    Ok(match (kind, len) {
        (b':', _) => Some((next, Leaf::Value(Value::Integer(count)))),
        (b'$', None) => Some((next, Leaf::Value(Value::Bulk(None)))),
        (b'$', Some(len)) => reply.get(next..next + len).map(|bytes| {
            let value = Value::bulk(Bytes::copy_from_slice(bytes));
            (next + len + 2, Leaf::Value(value))
        }),
        (_, None) => Some((next, Leaf::Value(Value::Array(None)))),
        (_, Some(len)) => Some((next, Leaf::Array(len))),
    })
}
