//! Where a request ends, and where its arguments are.

use std::ops::Range;

use memchr::memchr;

use super::{Fault, Limits, ProtocolError, number};

/// Room for arguments that a scanner keeps between requests. One huge request must not make a
/// session big for the rest of its life.
const ARGS_KEPT_MAX: usize = 1024;

/// Finds one request at the start of a buffer, in as many steps as its bytes arrive in.
///
/// The scanner holds offsets and no bytes: between two calls the buffer may grow and move, but what
/// was in it must stay at its place.
#[derive(Debug)]
pub struct RequestScanner {
    limits: Limits,
    state: State,
    /// Everything before this offset is done with.
    at: usize,
    args: Vec<Range<usize>>,
    /// A length is written in a way that servers refuse.
    odd: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first byte is not there yet.
    Start,
    /// The header of a multi-bulk request is not complete.
    Count,
    /// At the header of an argument; so many are to come, that one included.
    Header { left: usize },
    /// Inside an argument that ends at `end`, without its CRLF.
    Body { left: usize, end: usize },
    /// An inline request without its line end.
    Inline,
    /// Complete.
    Done { inline: bool },
}

impl RequestScanner {
    /// A scanner that stands before a request.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Start,
            at: 0,
            args: Vec::new(),
            odd: false,
        }
    }

    /// Goes on in `buf`, whose first byte is the first one of the request. `Some(len)` when the
    /// request is complete, and again on every further call; it takes `len` bytes of `buf`.
    ///
    /// # Errors
    /// The bytes are no request. The same error comes again until [`Self::reset`].
    pub fn scan(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
        loop {
            match self.state {
                State::Start => match buf.first() {
                    None => return Ok(None),
                    Some(b'*') => self.state = State::Count,
                    Some(_) => self.state = State::Inline,
                },
                State::Count => {
                    let Some((count, next)) = number::read(buf, 1)? else {
                        return Ok(None);
                    };
                    let left = within(count, 1, self.limits.array_len_max)
                        .ok_or(Fault::ArrayLength.at(0))?;
                    self.odd |= !number::is_plain(buf, 1, next);
                    self.at = next;
                    self.state = State::Header { left };
                }
                State::Header { left: 0 } => self.state = State::Done { inline: false },
                State::Header { left } => match self.argument_header(buf)? {
                    Some(len) => {
                        let end = self.at + len;
                        self.state = State::Body { left, end };
                    }
                    None => return Ok(None),
                },
                State::Body { left, end } => {
                    if !self.argument_body(buf, end)? {
                        return Ok(None);
                    }
                    self.state = State::Header { left: left - 1 };
                }
                State::Inline => {
                    if !self.inline(buf)? {
                        return Ok(None);
                    }
                    self.state = State::Done { inline: true };
                }
                State::Done { .. } => return Ok(Some(self.at)),
            }
        }
    }

    /// Where the arguments are in the buffer, name first; all of them once [`Self::scan`] said that
    /// the request is complete. Empty for an inline request of nothing but spaces.
    pub fn args(&self) -> &[Range<usize>] {
        &self.args
    }

    /// Whether a server takes the bytes of the request as they are; known when it is complete. An
    /// inline request may not be told apart from what follows it, and a server ends the connection
    /// over a length like `+1` or `03`, which Codis takes.
    pub const fn is_verbatim(&self) -> bool {
        !self.odd && matches!(self.state, State::Done { inline: false })
    }

    /// Whether the request is an inline one; known when it is complete.
    pub const fn is_inline(&self) -> bool {
        matches!(self.state, State::Done { inline: true } | State::Inline)
    }

    /// Stands before the next request.
    pub fn reset(&mut self) {
        self.state = State::Start;
        self.at = 0;
        self.odd = false;
        self.args.clear();
        self.args.shrink_to(ARGS_KEPT_MAX);
    }

    /// The length of the argument whose header is at the current place; leaves the place behind it.
    #[inline]
    fn argument_header(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
        match buf.get(self.at) {
            Some(b'$') => {}
            Some(&other) => return Err(Fault::NotBulk(other).at(self.at)),
            None => return Ok(None),
        }
        let Some((announced, next)) = number::read(buf, self.at + 1)? else {
            return Ok(None);
        };
        let len = within(announced, 0, self.limits.bulk_bytes_max)
            .ok_or(Fault::BulkLength.at(self.at))?;
        self.odd |= !number::is_plain(buf, self.at + 1, next);
        self.at = next;
        Ok(Some(len))
    }

    /// Whether the argument that ends at `end` is complete; leaves the place behind its CRLF.
    #[inline]
    fn argument_body(&mut self, buf: &[u8], end: usize) -> Result<bool, ProtocolError> {
        let Some(tail) = buf.get(end..end + 2) else {
            return Ok(false);
        };
        if tail != b"\r\n" {
            return Err(Fault::LineEnd.at(end));
        }
        self.args.push(self.at..end);
        self.at = end + 2;
        Ok(true)
    }

    /// Whether the line is complete; `at` is how far it was searched before.
    fn inline(&mut self, buf: &[u8]) -> Result<bool, ProtocolError> {
        let fresh = &buf[self.at..];
        let newline = memchr(b'\n', fresh).map(|found| self.at + found);
        // With the line end still to come, the last byte may be its CR.
        let shown = newline.unwrap_or(buf.len()).saturating_sub(1);
        if shown > self.limits.inline_bytes_max {
            return Err(Fault::InlineTooLong.at(self.limits.inline_bytes_max));
        }
        let Some(newline) = newline else {
            self.at = buf.len();
            return Ok(false);
        };
        // People and health checks type a bare LF; Redis takes it, so it is no error here either.
        let line = &buf[..newline];
        self.split_line(line.strip_suffix(b"\r").unwrap_or(line));
        self.at = newline + 1;
        Ok(true)
    }

    fn split_line(&mut self, line: &[u8]) {
        let mut start = 0;
        for word in line.split(|&byte| byte == b' ') {
            let end = start + word.len();
            if !word.is_empty() {
                self.args.push(start..end);
            }
            start = end + 1;
        }
    }
}

/// `number` as a length, when it lies in `min..=max`.
#[inline]
pub(super) fn within(number: i64, min: usize, max: usize) -> Option<usize> {
    usize::try_from(number)
        .ok()
        .filter(|len| (min..=max).contains(len))
}
