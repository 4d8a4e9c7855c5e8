//! Where a reply ends.

use memchr::memchr;

use super::request::within;
use super::{Fault, Limits, ProtocolError, number};

/// Depth of nesting that a scanner keeps room for between replies.
const DEPTH_KEPT_MAX: usize = 64;

/// Finds one reply at the start of a buffer, in as many steps as its bytes arrive in.
///
/// The scanner holds offsets and no bytes: between two calls the buffer may grow and move, but what
/// was in it must stay at its place. Only a reply with an array in an array costs an allocation,
/// and only the first one.
#[derive(Debug)]
pub struct ReplyScanner {
    limits: Limits,
    /// Start of the element at hand; everything before it is done with.
    at: usize,
    /// How far the element at hand was searched for its line end, or where a bulk string ends with
    /// its CRLF. At most `at` when nothing is known of it.
    ahead: usize,
    /// Elements that the innermost array still lacks; none outside of an array.
    left: usize,
    /// The same for the arrays around it, outermost first.
    outer: Vec<usize>,
    /// Whether the element at hand is inside of an array.
    nested: bool,
    done: bool,
}

/// What was found at the place of an element.
enum Element {
    /// It is not complete.
    Partial,
    /// It ends there.
    Leaf(usize),
    /// An array with so many elements, which start there.
    Array(usize, usize),
}

impl ReplyScanner {
    /// A scanner that stands before a reply.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            at: 0,
            ahead: 0,
            left: 0,
            outer: Vec::new(),
            nested: false,
            done: false,
        }
    }

    /// Goes on in `buf`, whose first byte is the first one of the reply. `Some(len)` when the reply
    /// is complete, and again on every further call; it takes `len` bytes of `buf`.
    ///
    /// # Errors
    /// The bytes are no reply. The same error comes again until [`Self::reset`].
    #[inline]
    pub fn scan(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
        while !self.done {
            match self.element(buf)? {
                Element::Partial => return Ok(None),
                Element::Leaf(next) => {
                    self.at = next;
                    self.close();
                }
                Element::Array(0, next) => {
                    self.check_depth()?;
                    self.at = next;
                    self.close();
                }
                Element::Array(count, next) => {
                    self.check_depth()?;
                    if self.nested {
                        self.outer.push(self.left);
                    }
                    self.nested = true;
                    self.left = count;
                    self.at = next;
                }
            }
        }
        Ok(Some(self.at))
    }

    /// Stands before the next reply.
    #[inline]
    pub fn reset(&mut self) {
        self.at = 0;
        self.ahead = 0;
        self.left = 0;
        self.nested = false;
        self.done = false;
        if !self.outer.is_empty() {
            self.outer.clear();
            self.outer.shrink_to(DEPTH_KEPT_MAX);
        }
    }

    /// Counts the element that just ended, and every array that ended with it.
    #[inline]
    fn close(&mut self) {
        loop {
            if !self.nested {
                self.done = true;
                return;
            }
            self.left -= 1;
            if self.left > 0 {
                return;
            }
            match self.outer.pop() {
                Some(left) => self.left = left,
                None => self.nested = false,
            }
        }
    }

    /// Whether one more array may open here.
    fn check_depth(&self) -> Result<(), ProtocolError> {
        let depth = usize::from(self.nested) + self.outer.len();
        if depth < self.limits.depth_max {
            Ok(())
        } else {
            Err(Fault::TooDeep.at(self.at))
        }
    }

    #[inline]
    fn element(&mut self, buf: &[u8]) -> Result<Element, ProtocolError> {
        let Some(&kind) = buf.get(self.at) else {
            return Ok(Element::Partial);
        };
        match kind {
            b'$' => self.bulk(buf),
            b'+' | b'-' | b'(' => self.line(buf),
            b'=' | b'!' => self.blob(buf, kind),
            b'_' | b'#' | b',' => self.scalar(buf, kind),
            b':' => Ok(match number::read(buf, self.at + 1)? {
                Some((_, next)) => Element::Leaf(next),
                None => Element::Partial,
            }),
            b'*' | b'%' | b'~' | b'>' => self.aggregate(buf, kind),
            other => Err(Fault::UnknownType(other).at(self.at)),
        }
    }

    #[inline]
    fn aggregate(&self, buf: &[u8], kind: u8) -> Result<Element, ProtocolError> {
        let Some((count, next)) = number::read(buf, self.at + 1)? else {
            return Ok(Element::Partial);
        };
        if count == -1 && kind == b'*' {
            return Ok(Element::Leaf(next));
        }
        let per_entry = if kind == b'%' { 2 } else { 1 };
        within(count, 0, self.limits.array_len_max / per_entry)
            .map(|count| Element::Array(per_entry * count, next))
            .ok_or(Fault::ArrayLength.at(self.at))
    }

    /// A verbatim string or a long error: a bulk string that is never null.
    fn blob(&mut self, buf: &[u8], kind: u8) -> Result<Element, ProtocolError> {
        let known = self.ahead > self.at;
        let at = self.at;
        if !known && matches!(number::read(buf, at + 1)?, Some((len, _)) if len < 0) {
            return Err(Fault::BulkLength.at(at));
        }
        let element = self.bulk(buf)?;
        let Element::Leaf(end) = element else {
            return Ok(element);
        };
        // A verbatim string starts with its format: three bytes and a colon.
        let text = memchr(b'\n', &buf[at..end]).map_or(end, |found| at + found + 1);
        if kind == b'=' && (end - text < 6 || buf.get(text + 3) != Some(&b':')) {
            return Err(Fault::Value.at(at));
        }
        Ok(element)
    }

    /// A null, a boolean or a double, which are a line of few forms.
    fn scalar(&mut self, buf: &[u8], kind: u8) -> Result<Element, ProtocolError> {
        let element = self.line(buf)?;
        let Element::Leaf(end) = element else {
            return Ok(element);
        };
        let text = &buf[self.at + 1..end - 2];
        let valid = match kind {
            b'_' => text.is_empty(),
            b'#' => matches!(text, b"t" | b"f"),
            _ => std::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok()),
        };
        if valid {
            Ok(element)
        } else {
            Err(Fault::Value.at(self.at))
        }
    }

    #[inline]
    fn bulk(&mut self, buf: &[u8]) -> Result<Element, ProtocolError> {
        if self.ahead <= self.at {
            let Some((len, next)) = number::read(buf, self.at + 1)? else {
                return Ok(Element::Partial);
            };
            if len == -1 {
                return Ok(Element::Leaf(next));
            }
            let len =
                within(len, 0, self.limits.bulk_bytes_max).ok_or(Fault::BulkLength.at(self.at))?;
            self.ahead = next + len + 2;
        }
        let end = self.ahead - 2;
        match buf.get(end..self.ahead) {
            None => Ok(Element::Partial),
            Some(b"\r\n") => Ok(Element::Leaf(self.ahead)),
            Some(_) => Err(Fault::LineEnd.at(end)),
        }
    }

    #[inline]
    fn line(&mut self, buf: &[u8]) -> Result<Element, ProtocolError> {
        let text = self.at + 1;
        let from = self.ahead.max(text);
        let newline = memchr(b'\n', &buf[from..]).map(|found| from + found);
        // With the line end still to come, the last byte may be its CR.
        let shown = newline.unwrap_or(buf.len()).saturating_sub(text + 1);
        if shown > self.limits.bulk_bytes_max {
            return Err(Fault::LineTooLong.at(self.at));
        }
        let Some(newline) = newline else {
            self.ahead = buf.len();
            return Ok(Element::Partial);
        };
        if newline == text || buf[newline - 1] != b'\r' {
            return Err(Fault::LineEnd.at(newline));
        }
        Ok(Element::Leaf(newline + 1))
    }
}
