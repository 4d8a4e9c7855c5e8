//! Splits a command with many keys over several backends and merges the replies.
//!
//! The keys are grouped by where they go, not one by one, so `MGET` of a thousand keys on three
//! backends becomes three commands. Groups are numbered parts; when the route of a part changes
//! before it was sent, the part itself is grouped again. The merged reply is in key order, and the
//! error text of a backend reaches the client as the backend wrote it.

use std::ops::Range;

use bytes::Bytes;
use codis_core::command::Name;
use codis_core::resp::{Limits, ReplyScanner, Value, encode_command};
use codis_core::slot::SlotId;

use super::reply;

/// How the replies of the parts become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `MGET`: arrays, interleaved in key order.
    Gather,
    /// `MSET`: the last `+OK`.
    Set,
    /// `DEL`, `EXISTS`, `UNLINK`, `TOUCH`: integers, summed.
    Count,
}

impl Kind {
    /// Arguments for one key.
    pub const fn stride(self) -> usize {
        match self {
            Kind::Gather | Kind::Count => 1,
            Kind::Set => 2,
        }
    }
}

/// A group of keys of one split command that travels as one request.
#[derive(Debug)]
struct Part {
    keys: Vec<u32>,
    reply: Option<Bytes>,
}

/// A command that was split.
#[derive(Debug)]
pub struct Split {
    kind: Kind,
    raw: Bytes,
    args: Box<[Range<u32>]>,
    parts: Vec<Part>,
    open: usize,
    kept_bytes: usize,
}

impl Split {
    /// A command in its raw form, with the places of its arguments, name included. All keys are in
    /// part 0. Requests are limited to sizes that 32 bits hold, by [`crate::data::session`].
    pub fn new(kind: Kind, raw: Bytes, args: &[Range<usize>]) -> Self {
        let args: Box<[Range<u32>]> = args
            .iter()
            .map(|arg| arg.start as u32..arg.end as u32)
            .collect();
        let keys = (args.len().saturating_sub(1) / kind.stride()) as u32;
        let part = Part {
            keys: (0..keys).collect(),
            reply: None,
        };
        Self {
            kind,
            raw,
            args,
            parts: vec![part],
            open: 1,
            kept_bytes: 0,
        }
    }

    /// Bytes of the replies that wait for those to other parts.
    pub fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// The whole command as the client sent it.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    fn arg(&self, index: usize) -> &[u8] {
        let place = &self.args[index];
        &self.raw[place.start as usize..place.end as usize]
    }

    /// The slot of key number `key`.
    pub fn slot(&self, key: u32) -> SlotId {
        SlotId::of_key(self.arg(1 + key as usize * self.kind.stride()))
    }

    /// The slots of a part's keys, with repetitions.
    pub fn slots(&self, part: usize) -> impl Iterator<Item = SlotId> + '_ {
        self.parts[part].keys.iter().map(|&key| self.slot(key))
    }

    /// Whether a part has no more keys than `most`.
    pub fn is_few(&self, part: usize, most: usize) -> bool {
        self.parts[part].keys.len() <= most
    }

    /// Groups the keys of a part by what `target` says of their slots, in order of first
    /// appearance. The first group stays in the part; each other becomes a new part.
    pub fn regroup<T: PartialEq>(
        &mut self,
        part: usize,
        mut target: impl FnMut(SlotId) -> T,
    ) -> Vec<(usize, T)> {
        let keys = std::mem::take(&mut self.parts[part].keys);
        let mut groups: Vec<(T, Vec<u32>)> = Vec::new();
        for key in keys {
            let to = target(self.slot(key));
            match groups.iter_mut().find(|(known, _)| *known == to) {
                Some((_, members)) => members.push(key),
                None => groups.push((to, vec![key])),
            }
        }
        let mut out = Vec::with_capacity(groups.len());
        for (n, (to, keys)) in groups.into_iter().enumerate() {
            if n == 0 {
                self.parts[part].keys = keys;
                out.push((part, to));
            } else {
                self.parts.push(Part { keys, reply: None });
                self.open += 1;
                out.push((self.parts.len() - 1, to));
            }
        }
        out
    }

    /// The request of a part. The whole command, untouched, when the part has all keys.
    pub fn encode(&self, part: usize) -> Bytes {
        let keys = &self.parts[part].keys;
        let stride = self.kind.stride();
        if self.parts.len() == 1 && self.raw.first() == Some(&b'*') {
            return self.raw.clone();
        }
        let mut args: Vec<&[u8]> = Vec::with_capacity(1 + keys.len() * stride);
        args.push(self.arg(0));
        for &key in keys {
            let first = 1 + key as usize * stride;
            args.extend((first..first + stride).map(|index| self.arg(index)));
        }
        let bytes: usize = args.iter().map(|arg| arg.len() + 16).sum();
        let mut out = Vec::with_capacity(bytes + 16);
        encode_command(&mut out, &args);
        Bytes::from(out)
    }

    /// Drops the replies that are kept: nobody waits for the merged one any more.
    pub fn forget(&mut self) {
        for reply in self.parts.iter_mut().flat_map(|part| &mut part.reply) {
            *reply = Bytes::new();
        }
        self.kept_bytes = 0;
    }

    /// Takes the reply of a part; gives the merged one when it was the last that lacked.
    pub fn answer(&mut self, part: usize, reply: Bytes) -> Option<Bytes> {
        let slot = &mut self.parts[part].reply;
        if slot.is_some() {
            return None;
        }
        self.kept_bytes += reply.len();
        *slot = Some(reply);
        self.open -= 1;
        if self.open > 0 {
            return None;
        }
        let merged = self.merge();
        self.kept_bytes = 0;
        Some(merged)
    }

    fn merge(&self) -> Bytes {
        if let Some(error) = self.first_error() {
            return error;
        }
        if let [only] = &self.parts[..] {
            return only.reply.clone().unwrap_or_default();
        }
        let merged = match self.kind {
            Kind::Gather => self.gather(),
            Kind::Set => self.set(),
            Kind::Count => self.count(),
        };
        merged.unwrap_or_else(|| self.bad_shape())
    }

    /// What the client is told when a server answers with something else than the command gives.
    fn bad_shape(&self) -> Bytes {
        let name = Name::shown(self.arg(0)).to_ascii_lowercase();
        let is_bad = |part: &&Part| part.reply.as_ref().is_none_or(|r| !self.fits(part, r));
        let first = self.parts.iter().filter(is_bad);
        let first = first.min_by_key(|part| part.keys.first().copied());
        let raw = first.and_then(|part| part.reply.as_ref());
        let shape = shape(raw.map_or(&[], |raw| raw), self.kind);
        reply::error(&format!("ERR handle response, bad {name} resp: {shape}"))
    }

    fn fits(&self, part: &Part, raw: &[u8]) -> bool {
        match self.kind {
            Kind::Gather => array_body(raw, part.keys.len()).is_some(),
            Kind::Set => raw.first() == Some(&b'+'),
            Kind::Count => number(raw).is_some(),
        }
    }

    /// The last `+OK`.
    fn set(&self) -> Option<Bytes> {
        let mut last = None;
        for part in &self.parts {
            last = part.reply.as_ref().filter(|raw| self.fits(part, raw));
            last?;
        }
        last.cloned()
    }

    /// The error of the part with the lowest key.
    fn first_error(&self) -> Option<Bytes> {
        self.parts
            .iter()
            .filter(|part| {
                part.reply
                    .as_ref()
                    .is_some_and(|r| r.first() == Some(&b'-'))
            })
            .min_by_key(|part| part.keys.first().copied())
            .and_then(|part| part.reply.clone())
    }

    fn count(&self) -> Option<Bytes> {
        let mut sum = 0u64;
        for part in &self.parts {
            sum = sum.saturating_add(number(part.reply.as_ref()?)?);
        }
        // An integer of the protocol has a sign.
        Some(reply::integer(sum.min(i64::MAX as u64)))
    }

    fn gather(&self) -> Option<Bytes> {
        let total: usize = self.parts.iter().map(|part| part.keys.len()).sum();
        let mut elements: Vec<&[u8]> = vec![&[]; total];
        let mut bytes = 16;
        for part in &self.parts {
            let raw = part.reply.as_ref()?;
            let mut rest = array_body(raw, part.keys.len())?;
            bytes += rest.len();
            for &key in &part.keys {
                let mut scanner = ReplyScanner::new(Limits::default());
                let len = scanner.scan(rest).ok()??;
                let (element, tail) = rest.split_at(len);
                *elements.get_mut(key as usize)? = element;
                rest = tail;
            }
        }
        let mut out = Vec::with_capacity(bytes);
        codis_core::resp::write_array(&mut out, total);
        for element in elements {
            out.extend_from_slice(element);
        }
        Some(Bytes::from(out))
    }
}

/// An integer reply.
fn number(raw: &[u8]) -> Option<u64> {
    let digits = raw.strip_prefix(b":")?.strip_suffix(b"\r\n")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A reply in the words of Codis: its type, and how long it is.
fn shape(raw: &[u8], kind: Kind) -> String {
    let value = Value::parse(raw, &Limits::default()).ok().flatten();
    let (name, values, bytes) = match value.map(|(value, _)| value) {
        Some(Value::Simple(text)) => ("<string>", 0, text.len()),
        Some(Value::Error(text)) => ("<error>", 0, text.len()),
        Some(Value::Integer(number)) => ("<int>", 0, number.to_string().len()),
        Some(Value::Array(elements)) => ("<array>", elements.unwrap_or_default().len(), 0),
        other => (
            "<bulkbytes>",
            0,
            other
                .as_ref()
                .and_then(Value::as_bytes)
                .map_or(0, <[u8]>::len),
        ),
    };
    match kind {
        Kind::Gather => format!("{name} array.len = {values}"),
        Kind::Set | Kind::Count => format!("{name} value.len = {bytes}"),
    }
}

/// What follows the header of an array reply of `len` elements.
fn array_body(raw: &[u8], len: usize) -> Option<&[u8]> {
    let rest = raw.strip_prefix(b"*")?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let count: usize = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    (count == len).then(|| &rest[end + 2..])
}

#[cfg(test)]
mod tests {
    use codis_core::resp::RequestScanner;
    use proptest::prelude::*;

    use super::*;

    fn split(kind: Kind, args: &[&str]) -> Split {
        let mut raw = Vec::new();
        encode_command(&mut raw, args);
        let mut scanner = RequestScanner::new(Limits::default());
        assert_eq!(scanner.scan(&raw), Ok(Some(raw.len())));
        Split::new(kind, Bytes::from(raw), scanner.args())
    }

    /// Answers a part of MGET like a server on which each key holds its own name.
    fn echo(request: &[u8]) -> Bytes {
        let mut scanner = RequestScanner::new(Limits::default());
        scanner.scan(request).unwrap().unwrap();
        let keys: Vec<&[u8]> = scanner.args()[1..]
            .iter()
            .map(|a| &request[a.clone()])
            .collect();
        let mut out = Vec::new();
        encode_command(&mut out, &keys);
        Bytes::from(out)
    }

    proptest! {
        /// However keys fall on backends and parts are grouped again, MGET answers in key order.
        #[test]
        fn gathered_replies_are_in_key_order(
            keys in prop::collection::vec("[a-z]{1,6}", 1..40),
            first in 1u16..5,
            second in 1u16..5,
        ) {
            let mut args = vec!["MGET"];
            args.extend(keys.iter().map(String::as_str));
            let mut split = split(Kind::Gather, &args);
            let parts = split.regroup(0, |slot| slot.get() % first);
            let (again, _) = parts[parts.len() - 1];
            split.regroup(again, |slot| slot.get() % second);
            let mut merged = None;
            for part in (0..split.parts.len()).rev() {
                prop_assert!(merged.is_none());
                let reply = echo(&split.encode(part));
                merged = split.answer(part, reply);
            }
            let mut expected = Vec::new();
            encode_command(&mut expected, &keys);
            prop_assert_eq!(merged.unwrap(), Bytes::from(expected));
        }
    }

    #[test]
    fn counts_are_summed_and_errors_win() {
        let mut del = split(Kind::Count, &["DEL", "a", "b", "c"]);
        let parts = del.regroup(0, SlotId::get);
        assert_eq!(parts.len(), 3);
        assert_eq!(&del.encode(1)[..], b"*2\r\n$3\r\nDEL\r\n$1\r\nb\r\n");
        assert!(del.answer(2, Bytes::from_static(b":1\r\n")).is_none());
        assert!(del.answer(0, Bytes::from_static(b":41\r\n")).is_none());
        assert_eq!(del.kept_bytes(), 9);
        assert_eq!(
            del.answer(1, Bytes::from_static(b":0\r\n")).unwrap(),
            ":42\r\n"
        );

        let mut set = split(Kind::Set, &["MSET", "a", "1", "b", "2"]);
        set.regroup(0, SlotId::get);
        assert_eq!(
            &set.encode(1)[..],
            b"*3\r\n$4\r\nMSET\r\n$1\r\nb\r\n$1\r\n2\r\n"
        );
        assert!(set.answer(0, Bytes::from_static(b"-OOM no\r\n")).is_none());
        assert_eq!(set.answer(1, reply::OK).unwrap(), "-OOM no\r\n");
    }

    #[test]
    fn a_reply_of_another_shape_is_an_error() {
        let mut get = split(Kind::Gather, &["MGET", "a", "b"]);
        get.regroup(0, SlotId::get);
        get.answer(0, Bytes::from_static(b"*1\r\n$-1\r\n"));
        let merged = get
            .answer(1, Bytes::from_static(b"*2\r\n$-1\r\n$-1\r\n"))
            .unwrap();
        assert_eq!(
            merged,
            "-ERR handle response, bad mget resp: <array> array.len = 2\r\n"
        );
        let mut del = split(Kind::Count, &["DEL", "a", "b"]);
        del.regroup(0, SlotId::get);
        del.answer(0, Bytes::from_static(b":18446744073709551615\r\n"));
        let merged = del.answer(1, Bytes::from_static(b"$3\r\nabc\r\n"));
        assert_eq!(
            merged.unwrap(),
            "-ERR handle response, bad del resp: <bulkbytes> value.len = 3\r\n"
        );
        let mut set = split(Kind::Set, &["MSET", "a", "1", "b", "2"]);
        set.regroup(0, SlotId::get);
        set.answer(0, Bytes::from_static(b":1\r\n"));
        let merged = set.answer(1, reply::OK);
        assert_eq!(
            merged.unwrap(),
            "-ERR handle response, bad mset resp: <int> value.len = 1\r\n"
        );
    }
}
