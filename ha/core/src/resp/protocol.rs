//! Writing values in either version of the protocol.

use std::slice::Iter;

use bytes::BufMut;

use super::encode::{put_line, put_unsigned};
use super::{
    Value, write_array, write_bulk, write_error, write_integer, write_null_array, write_null_bulk,
    write_simple,
};

/// A version of the protocol, as HELLO names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Version 2, which every connection starts with.
    #[default]
    Resp2,
    /// Version 3.
    Resp3,
}

impl Protocol {
    /// The protocol of that number.
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            2 => Some(Self::Resp2),
            3 => Some(Self::Resp3),
            _ => None,
        }
    }

    /// 2 or 3.
    pub const fn number(self) -> i64 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}

/// Elements that are still to be written.
enum Rest<'a> {
    Elements(Iter<'a, Value>),
    /// Pairs, and the value of the pair whose key was written.
    Pairs(Iter<'a, (Value, Value)>, Option<&'a Value>),
}

impl<'a> Rest<'a> {
    fn next(&mut self) -> Option<&'a Value> {
        match self {
            Self::Elements(elements) => elements.next(),
            Self::Pairs(pairs, value) => value.take().or_else(|| {
                let (key, next) = pairs.next()?;
                *value = Some(next);
                Some(key)
            }),
        }
    }
}

impl Value {
    /// Writes the value. A line end inside of a simple string or error becomes a space.
    pub fn encode_as(&self, protocol: Protocol, out: &mut impl BufMut) {
        // Not recursive: a value that was made by hand may be of any depth.
        let mut open = vec![Rest::Elements(std::slice::from_ref(self).iter())];
        while let Some(rest) = open.last_mut() {
            match rest.next() {
                None => {
                    open.pop();
                }
                Some(value) => open.extend(start(value, protocol, out)),
            }
        }
    }
}

/// Writes a value up to its elements, which are to follow.
fn start<'a>(value: &'a Value, protocol: Protocol, out: &mut impl BufMut) -> Option<Rest<'a>> {
    if protocol == Protocol::Resp3 {
        if let Some(rest) = start_aggregate(value, out) {
            return Some(rest);
        }
        if write_resp3(value, out) {
            return None;
        }
    }
    match value {
        Value::Simple(text) => write_simple(out, text),
        Value::Error(text) => write_error(out, text),
        Value::Integer(number) => write_integer(out, *number),
        Value::Boolean(truth) => write_integer(out, i64::from(*truth)),
        Value::Bulk(Some(text))
        | Value::Double(text)
        | Value::BigNumber(text)
        | Value::Verbatim { text, .. } => write_bulk(out, text),
        Value::Bulk(None) | Value::Null => write_null_bulk(out),
        Value::Array(None) => write_null_array(out),
        Value::Array(Some(elements)) | Value::Set(elements) | Value::Push(elements) => {
            write_array(out, elements.len());
            return Some(Rest::Elements(elements.iter()));
        }
        Value::Map(pairs) => {
            write_array(out, 2 * pairs.len());
            return Some(Rest::Pairs(pairs.iter(), None));
        }
    }
    None
}

/// The same for the aggregates that RESP2 does not have.
fn start_aggregate<'a>(value: &'a Value, out: &mut impl BufMut) -> Option<Rest<'a>> {
    let (kind, len, rest) = match value {
        Value::Map(pairs) => (b'%', pairs.len(), Rest::Pairs(pairs.iter(), None)),
        Value::Set(elements) => (b'~', elements.len(), Rest::Elements(elements.iter())),
        Value::Push(elements) => (b'>', elements.len(), Rest::Elements(elements.iter())),
        Value::Simple(_)
        | Value::Error(_)
        | Value::Integer(_)
        | Value::Bulk(_)
        | Value::Array(_)
        | Value::Null
        | Value::Boolean(_)
        | Value::Double(_)
        | Value::BigNumber(_)
        | Value::Verbatim { .. } => return None,
    };
    out.put_u8(kind);
    put_unsigned(out, len as u64);
    out.put_slice(b"\r\n");
    Some(rest)
}

/// Writes what RESP2 does not have and has no elements; whether it was such a value.
fn write_resp3(value: &Value, out: &mut impl BufMut) -> bool {
    match value {
        Value::Null | Value::Bulk(None) | Value::Array(None) => out.put_slice(b"_\r\n"),
        Value::Boolean(true) => out.put_slice(b"#t\r\n"),
        Value::Boolean(false) => out.put_slice(b"#f\r\n"),
        Value::Double(text) => {
            out.put_u8(b',');
            put_line(out, text);
        }
        Value::BigNumber(text) => {
            out.put_u8(b'(');
            put_line(out, text);
        }
        Value::Verbatim { format, text } => {
            out.put_u8(b'=');
            put_unsigned(out, text.len() as u64 + 4);
            out.put_slice(b"\r\n");
            out.put_slice(format);
            out.put_u8(b':');
            out.put_slice(text);
            out.put_slice(b"\r\n");
        }
        Value::Simple(_)
        | Value::Error(_)
        | Value::Integer(_)
        | Value::Bulk(_)
        | Value::Array(_)
        | Value::Map(_)
        | Value::Set(_)
        | Value::Push(_) => return false,
    }
    true
}
