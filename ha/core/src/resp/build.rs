//! Building the value of a reply that was found to be complete.

use bytes::Bytes;

use super::{ProtocolError, Value, number};

/// Bytes of the format in front of a verbatim string, with its colon.
const FORMAT_BYTES: usize = 4;

/// An aggregate whose elements are being read.
struct Open {
    elements: Vec<Value>,
    /// Elements in all; twice the pairs of a map.
    len: usize,
    kind: u8,
}

/// Builds the value of one whole reply. The scanner has been over it, so every count in it is
/// backed by bytes, and what the scanner cannot promise to the compiler comes out as `None`.
pub(super) fn build(reply: &[u8]) -> Result<Option<Value>, ProtocolError> {
    let mut stack: Vec<Open> = Vec::new();
    let mut at = 0;
    loop {
        let Some((next, leaf)) = leaf(reply, at)? else {
            return Ok(None);
        };
        at = next;
        let mut value = match leaf {
            Leaf::Value(value) => value,
            Leaf::Open(kind, 0) => aggregate(kind, Vec::new()),
            Leaf::Open(kind, len) => {
                let elements = Vec::with_capacity(len);
                stack.push(Open {
                    elements,
                    len,
                    kind,
                });
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
            value = aggregate(top.kind, elements);
            stack.pop();
        }
    }
}

/// The aggregate of that type byte.
fn aggregate(kind: u8, elements: Vec<Value>) -> Value {
    match kind {
        b'%' => {
            let mut pairs = Vec::with_capacity(elements.len() / 2);
            let mut elements = elements.into_iter();
            while let (Some(key), Some(value)) = (elements.next(), elements.next()) {
                pairs.push((key, value));
            }
            Value::Map(pairs)
        }
        b'~' => Value::Set(elements),
        b'>' => Value::Push(elements),
        _ => Value::Array(Some(elements)),
    }
}

enum Leaf {
    Value(Value),
    /// The header of an aggregate of that type byte with so many elements.
    Open(u8, usize),
}

fn leaf(reply: &[u8], at: usize) -> Result<Option<(usize, Leaf)>, ProtocolError> {
    let Some(&kind) = reply.get(at) else {
        return Ok(None);
    };
    if matches!(kind, b'+' | b'-' | b',' | b'(' | b'#' | b'_') {
        let rest = &reply[at + 1..];
        let Some(newline) = memchr::memchr(b'\n', rest) else {
            return Ok(None);
        };
        let text = Bytes::copy_from_slice(&rest[..newline.saturating_sub(1)]);
        let value = line(kind, text);
        return Ok(Some((at + 1 + newline + 1, Leaf::Value(value))));
    }
    let Some((count, next)) = number::read(reply, at + 1)? else {
        return Ok(None);
    };
    let len = usize::try_from(count).ok();
    Ok(match (kind, len) {
        (b':', _) => Some((next, Leaf::Value(Value::Integer(count)))),
        (b'$', None) => Some((next, Leaf::Value(Value::Bulk(None)))),
        (b'$' | b'=' | b'!', Some(len)) => reply.get(next..next + len).map(|bytes| {
            let value = blob(kind, bytes);
            (next + len + 2, Leaf::Value(value))
        }),
        (_, None) => Some((next, Leaf::Value(Value::Array(None)))),
        (b'%', Some(pairs)) => Some((next, Leaf::Open(kind, 2 * pairs))),
        (_, Some(len)) => Some((next, Leaf::Open(kind, len))),
    })
}

/// The value that is the rest of a line.
fn line(kind: u8, text: Bytes) -> Value {
    match kind {
        b'-' => Value::Error(text),
        b',' => Value::Double(text),
        b'(' => Value::BigNumber(text),
        b'#' => Value::Boolean(text == "t"),
        b'_' => Value::Null,
        _ => Value::Simple(text),
    }
}

/// The value that is a number of bytes.
fn blob(kind: u8, bytes: &[u8]) -> Value {
    match kind {
        b'!' => Value::Error(Bytes::copy_from_slice(bytes)),
        b'=' => match bytes.split_at_checked(FORMAT_BYTES) {
            Some(([a, b, c, _], text)) => Value::Verbatim {
                format: [*a, *b, *c],
                text: Bytes::copy_from_slice(text),
            },
            _ => Value::bulk(Bytes::copy_from_slice(bytes)),
        },
        _ => Value::bulk(Bytes::copy_from_slice(bytes)),
    }
}
