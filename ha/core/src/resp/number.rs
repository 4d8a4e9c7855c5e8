//! Numbers on a line: lengths, counts and integer replies.

use super::{Fault, ProtocolError};

/// Bytes of a header after its type byte, line end included. A 64-bit number has 20 at most; the
/// rest is room for leading zeros.
pub(super) const HEADER_BYTES_MAX: usize = 32;

/// Reads the number that starts at `start` and ends with CRLF. `None` when the line is not
/// complete; else the number and the offset behind the line.
///
/// Like Codis, this takes a leading `+`.
#[inline]
pub(super) fn read(buf: &[u8], start: usize) -> Result<Option<(i64, usize)>, ProtocolError> {
    if let Some(short) = read_short(buf, start) {
        return Ok(Some(short));
    }
    let mut at = start;
    let negative = match buf.get(at) {
        Some(b'-') => {
            at += 1;
            true
        }
        Some(b'+') => {
            at += 1;
            false
        }
        Some(_) => false,
        None => return Ok(None),
    };
    let digits = at;
    let mut sum: u64 = 0;
    loop {
        let Some(&byte) = buf.get(at) else {
            return Ok(None);
        };
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        if at - start >= HEADER_BYTES_MAX {
            return Err(Fault::HeaderTooLong.at(start));
        }
        sum = sum
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(digit)))
            .ok_or(Fault::Number.at(start))?;
        at += 1;
    }
    if at == digits {
        return Err(Fault::Number.at(start));
    }
    match (buf[at], buf.get(at + 1)) {
        (b'\r', Some(b'\n')) => {}
        (b'\r', None) => return Ok(None),
        (b'\r' | b'\n', _) => return Err(Fault::LineEnd.at(at)),
        _ => return Err(Fault::Number.at(start)),
    }
    let signed = if negative {
        0i64.checked_sub_unsigned(sum)
    } else {
        i64::try_from(sum).ok()
    };
    let number = signed.ok_or(Fault::Number.at(start))?;
    Ok(Some((number, at + 2)))
}

/// The same for what most lengths are: one or two digits, with the line end already there.
#[inline]
fn read_short(buf: &[u8], start: usize) -> Option<(i64, usize)> {
    match buf.get(start..)?.first_chunk()? {
        [ones @ b'0'..=b'9', b'\r', b'\n', _] => Some((i64::from(ones - b'0'), start + 3)),
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', b'\r', b'\n'] => {
            let number = 10 * (tens - b'0') + (ones - b'0');
            Some((i64::from(number), start + 4))
        }
        _ => None,
    }
}

/// Whether the length that was read from `start` to `next` is written as Redis demands it: no sign
/// and no zero in front. [`read`] has seen that the rest are digits.
#[inline]
pub(super) fn is_plain(buf: &[u8], start: usize, next: usize) -> bool {
    matches!(buf[start], b'1'..=b'9') || next - start == "0\r\n".len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Option<i64> {
        read(text.as_bytes(), 0)
            .ok()
            .flatten()
            .map(|(number, _)| number)
    }

    #[test]
    fn numbers_of_64_bits_are_read() {
        assert_eq!(whole("0\r\n"), Some(0));
        assert_eq!(whole("+7\r\n"), Some(7));
        assert_eq!(whole("-1\r\n"), Some(-1));
        assert_eq!(whole("000000000000000000000012\r\n"), Some(12));
        assert_eq!(whole("9223372036854775807\r\n"), Some(i64::MAX));
        assert_eq!(whole("-9223372036854775808\r\n"), Some(i64::MIN));
    }

    #[test]
    fn servers_take_lengths_without_sign_and_leading_zeros() {
        for (text, plain) in [
            ("0\r\n", true),
            ("7\r\n", true),
            ("10\r\n", true),
            ("+7\r\n", false),
            ("00\r\n", false),
            ("07\r\n", false),
            ("-0\r\n", false),
        ] {
            let (_, next) = read(text.as_bytes(), 0).unwrap().unwrap();
            assert_eq!(is_plain(text.as_bytes(), 0, next), plain, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_told_apart_from_what_is_not_complete() {
        for part in ["", "-", "+", "1", "12\r"] {
            assert_eq!(read(part.as_bytes(), 0), Ok(None), "{part}");
        }
        for (bad, fault) in [
            ("\r\n", Fault::Number),
            ("-\r\n", Fault::Number),
            ("+-1\r\n", Fault::Number),
            ("1x\r\n", Fault::Number),
            ("x", Fault::Number),
            ("1\n", Fault::LineEnd),
            ("1\rx", Fault::LineEnd),
            ("9223372036854775808\r\n", Fault::Number),
            ("-9223372036854775809\r\n", Fault::Number),
            ("99999999999999999999", Fault::Number),
            ("0000000000000000000000000000000000", Fault::HeaderTooLong),
        ] {
            assert_eq!(read(bad.as_bytes(), 0).unwrap_err().fault, fault, "{bad}");
        }
    }
}
