//! Requests as they come in: cutting bytes into words, with the limits and error texts of Redis.
//!
//! What a client sent and the reader has not given out yet is bounded as a whole
//! ([`QUERY_BYTES_MAX`]), so announced lengths need no memory and may be as large as Redis takes
//! them; a request that would not fit is refused when it is announced.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

use crate::conf::lex;

/// Bytes of one request, and of what waits behind it. The longest request that means anything is a
/// SET with every option, or an INFO-CACHE of every master.
pub const QUERY_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of an inline request, or of the line of a length.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Words of one request that are made room for before they have come.
const WORDS_ROOM: usize = 16;

/// The highest announced number of words.
const WORDS_MAX: i64 = i32::MAX as i64;

/// The highest announced length of a word.
const WORD_BYTES_MAX: i64 = 512 * 1024 * 1024;

/// The same two before AUTH.
const WORDS_MAX_UNAUTHENTICATED: i64 = 10;
const WORD_BYTES_MAX_UNAUTHENTICATED: i64 = 16 * 1024;

/// Why a connection cannot go on. The text follows `-ERR Protocol error: `.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// A line without an end.
    #[error("too big inline request")]
    InlineTooBig,
    /// A quote that is not closed, or is followed by something.
    #[error("unbalanced quotes in request")]
    Quotes,
    /// The line of the number of words has no end.
    #[error("too big mbulk count string")]
    CountTooBig,
    /// The number of words is none, or too high.
    #[error("invalid multibulk length")]
    Count,
    /// The number of words is too high before AUTH.
    #[error("unauthenticated multibulk length")]
    CountUnauthenticated,
    /// A word does not start with its length.
    #[error("expected '$', got '{}'", char::from(*.0))]
    NoLength(u8),
    /// The line of a length has no end.
    #[error("too big bulk count string")]
    LengthTooBig,
    /// The length of a word is none, or too high.
    #[error("invalid bulk length")]
    Length,
    /// The length of a word is too high before AUTH.
    #[error("unauthenticated bulk length")]
    LengthUnauthenticated,
    /// The whole request is longer than [`QUERY_BYTES_MAX`].
    #[error("request is longer than {QUERY_BYTES_MAX} bytes")]
    TooLong,
    /// A word does not end where it should.
    #[error("invalid CRLF in request")]
    LineEnd,
}

impl Fault {
    /// The text of the error reply. It repeats a wrong byte as it came.
    pub fn reply(self) -> Vec<u8> {
        let mut text = b"ERR Protocol error: ".to_vec();
        match self {
            Self::NoLength(byte) => {
                text.extend_from_slice(b"expected '$', got '");
                text.extend_from_slice(&[byte, b'\'']);
            }
            other => text.extend_from_slice(other.to_string().as_bytes()),
        }
        text
    }

    /// Whether the request was too long rather than malformed.
    pub const fn is_limit(self) -> bool {
        matches!(
            self,
            Self::InlineTooBig | Self::CountTooBig | Self::LengthTooBig | Self::TooLong
        )
    }
}

/// Reads requests, in as many steps as their bytes arrive in.
#[derive(Debug, Default)]
pub struct Reader {
    words: Vec<Bytes>,
    words_bytes: usize,
    /// Words that the request still lacks.
    left: i64,
    /// The length of the word at hand, once it is known.
    length: Option<usize>,
}

impl Reader {
    /// The next request in `input`, which loses what was read; an empty one is no request and is
    /// to be skipped. `None` when more bytes are needed.
    pub fn next(
        &mut self,
        input: &mut BytesMut,
        authenticated: bool,
    ) -> Result<Option<Vec<Bytes>>, Fault> {
        if self.left == 0 {
            match input.first() {
                None => return Ok(None),
                Some(b'*') => {}
                Some(_) => return inline(input),
            }
            let Some(count) = number(input, Fault::CountTooBig, Fault::Count)? else {
                return Ok(None);
            };
            match count {
                ..=0 => return Ok(Some(Vec::new())),
                count if count > WORDS_MAX => return Err(Fault::Count),
                count if !authenticated && count > WORDS_MAX_UNAUTHENTICATED => {
                    return Err(Fault::CountUnauthenticated);
                }
                count => self.left = count,
            }
            self.words = Vec::with_capacity(WORDS_ROOM);
        }
        while self.left > 0 {
            if !self.word(input, authenticated)? {
                return Ok(None);
            }
            self.left -= 1;
        }
        self.words_bytes = 0;
        Ok(Some(std::mem::take(&mut self.words)))
    }

    /// Bytes that are held for the request at hand.
    pub fn held_bytes(&self) -> usize {
        // An empty word takes room too.
        self.words_bytes + self.words.len() * size_of::<Bytes>()
    }

    /// Takes one word; whether it was complete.
    fn word(&mut self, input: &mut BytesMut, authenticated: bool) -> Result<bool, Fault> {
        let length = match self.length {
            Some(length) => length,
            None => {
                // Redis looks at the line only once its end is there.
                match input.first() {
                    None => return Ok(false),
                    Some(&other) if other != b'$' && memchr(b'\r', input).is_some() => {
                        return Err(Fault::NoLength(printable(other)));
                    }
                    Some(_) => {}
                }
                let Some(length) = number(input, Fault::LengthTooBig, Fault::Length)? else {
                    return Ok(false);
                };
                if !(0..=WORD_BYTES_MAX).contains(&length) {
                    return Err(Fault::Length);
                }
                if !authenticated && length > WORD_BYTES_MAX_UNAUTHENTICATED {
                    return Err(Fault::LengthUnauthenticated);
                }
                let length = usize::try_from(length).map_err(|_| Fault::Length)?;
                if self.held_bytes() + length > QUERY_BYTES_MAX {
                    return Err(Fault::TooLong);
                }
                self.length = Some(length);
                length
            }
        };
        match input.get(length..length + 2) {
            None => return Ok(false),
            Some(b"\r\n") => {}
            Some(_) => return Err(Fault::LineEnd),
        }
        // A copy, so that a short word does not keep a long buffer.
        self.words.push(Bytes::copy_from_slice(&input[..length]));
        self.words_bytes += length;
        input.advance(length + 2);
        self.length = None;
        Ok(true)
    }
}

/// An inline request: words as in a config file, up to the end of the line.
fn inline(input: &mut BytesMut) -> Result<Option<Vec<Bytes>>, Fault> {
    let searched = &input[..input.len().min(LINE_BYTES_MAX)];
    let Some(newline) = memchr(b'\n', searched) else {
        return if input.len() > LINE_BYTES_MAX {
            Err(Fault::InlineTooBig)
        } else {
            Ok(None)
        };
    };
    let line = &input[..newline];
    let words = lex::split(line.strip_suffix(b"\r").unwrap_or(line)).ok_or(Fault::Quotes)?;
    input.advance(newline + 1);
    Ok(Some(words.into_iter().map(Bytes::from).collect()))
}

/// The number of a header line, in the one form that Redis takes: no sign but `-`, no leading
/// zeros. `None` when the line is not complete.
fn number(input: &mut BytesMut, too_long: Fault, wrong: Fault) -> Result<Option<i64>, Fault> {
    let searched = &input[..input.len().min(LINE_BYTES_MAX)];
    let Some(end) = memchr(b'\r', searched) else {
        return if input.len() > LINE_BYTES_MAX {
            Err(too_long)
        } else {
            Ok(None)
        };
    };
    if input.len() < end + 2 {
        return Ok(None);
    }
    let text = std::str::from_utf8(&input[1..end]).map_err(|_| wrong)?;
    let number: i64 = text.parse().map_err(|_| wrong)?;
    if number.to_string() != text {
        return Err(wrong);
    }
    input.advance(end + 2);
    Ok(Some(number))
}

/// A byte as an error shows it; a line end would end the error.
fn printable(byte: u8) -> u8 {
    match byte {
        b'\r' | b'\n' => b' ',
        byte => byte,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], authenticated: bool) -> Result<Vec<Vec<String>>, Fault> {
        let mut input = BytesMut::from(bytes);
        let mut reader = Reader::default();
        let mut requests = Vec::new();
        while let Some(words) = reader.next(&mut input, authenticated)? {
            let text = |word: &Bytes| String::from_utf8_lossy(word).into_owned();
            requests.push(words.iter().map(text).collect());
        }
        Ok(requests)
    }

    #[test]
    fn requests_of_both_kinds_are_read() {
        assert_eq!(
            read(
                b"PING \"a b\"\r\n*2\r\n$4\r\nPING\r\n$1\r\nx\r\n\r\n*0\r\n*-1\r\nx\n",
                true
            ),
            Ok(vec![
                vec!["PING".into(), "a b".into()],
                vec!["PING".into(), "x".into()],
                vec![],
                vec![],
                vec![],
                vec!["x".into()],
            ])
        );
    }

    #[test]
    fn errors_are_those_of_redis() {
        for (bytes, text) in [
            (&b"PING \"a\r\n"[..], "unbalanced quotes in request"),
            (b"*\r\n", "invalid multibulk length"),
            (b"*x\r\n", "invalid multibulk length"),
            (b"*01\r\n", "invalid multibulk length"),
            (b"*+1\r\n", "invalid multibulk length"),
            (b"*1\n$4\r\n", "invalid multibulk length"),
            (b"*3000000000\r\n", "invalid multibulk length"),
            (b"*1\r\n+PING\r\n", "expected '$', got '+'"),
            (b"*1\r\n\r\n", "expected '$', got ' '"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*1\r\n$04\r\n", "invalid bulk length"),
            (b"*1\r\n$600000000\r\n", "invalid bulk length"),
            (b"*1\r\n$1\r\nxyz", "invalid CRLF in request"),
        ] {
            let shown = bytes.escape_ascii();
            assert_eq!(read(bytes, true).unwrap_err().to_string(), text, "{shown}");
        }
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        assert_eq!(read(&long, true), Err(Fault::InlineTooBig));
        let long = [b"*".as_slice(), &[b'1'; LINE_BYTES_MAX]].concat();
        assert_eq!(read(&long, true), Err(Fault::CountTooBig));
    }

    #[test]
    fn before_auth_requests_are_short() {
        assert_eq!(read(b"*10\r\n$16384\r\n", false), Ok(vec![]));
        assert_eq!(read(b"*11\r\n", false), Err(Fault::CountUnauthenticated));
        assert_eq!(
            read(b"*1\r\n$16385\r\n", false),
            Err(Fault::LengthUnauthenticated)
        );
    }

    #[test]
    fn bytes_in_pieces_give_the_same_requests() {
        let whole = b"*2\r\n$4\r\nPING\r\n$1\r\nx\r\nPING\r\n";
        let mut reader = Reader::default();
        let mut input = BytesMut::new();
        let mut count = 0;
        for byte in whole {
            input.extend_from_slice(&[*byte]);
            while reader.next(&mut input, true).unwrap().is_some() {
                count += 1;
            }
        }
        assert_eq!((count, input.len()), (2, 0));
    }

    #[test]
    fn a_request_is_bounded() {
        let mut input = BytesMut::from(&b"*100000\r\n"[..]);
        let mut reader = Reader::default();
        let mut fed = 0;
        let fault = loop {
            input.extend_from_slice(b"$65536\r\n");
            input.extend_from_slice(&[b'x'; 65536]);
            input.extend_from_slice(b"\r\n");
            fed += 1;
            match reader.next(&mut input, true) {
                Ok(None) => assert!(fed < 100),
                Ok(Some(_)) => panic!("it is not complete"),
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault, Fault::TooLong);
        assert!(reader.held_bytes() <= QUERY_BYTES_MAX);
    }
}
