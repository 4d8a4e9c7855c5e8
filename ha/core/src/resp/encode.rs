//! Writing requests and replies.

use bytes::BufMut;

/// Writes a request as an array of bulk strings.
pub fn encode_command<A: AsRef<[u8]>>(out: &mut impl BufMut, args: &[A]) {
    write_array(out, args.len());
    for arg in args {
        write_bulk(out, arg.as_ref());
    }
}

/// Writes the header of an array; `len` elements are to follow.
pub fn write_array(out: &mut impl BufMut, len: usize) {
    out.put_u8(b'*');
    put_unsigned(out, len as u64);
    out.put_slice(b"\r\n");
}

/// Writes a bulk string.
pub fn write_bulk(out: &mut impl BufMut, bytes: &[u8]) {
    out.put_u8(b'$');
    put_unsigned(out, bytes.len() as u64);
    out.put_slice(b"\r\n");
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

/// Writes the null bulk string.
pub fn write_null_bulk(out: &mut impl BufMut) {
    out.put_slice(b"$-1\r\n");
}

/// Writes the null array.
pub fn write_null_array(out: &mut impl BufMut) {
    out.put_slice(b"*-1\r\n");
}

/// Writes a simple string. Line ends inside of it become spaces, as they would end the reply.
pub fn write_simple(out: &mut impl BufMut, text: &[u8]) {
    out.put_u8(b'+');
    put_line(out, text);
}

/// Writes an error; `text` starts with its code (`ERR`, `NOAUTH`, ...). Line ends inside of it
/// become spaces, as they would end the reply.
pub fn write_error(out: &mut impl BufMut, text: &[u8]) {
    out.put_u8(b'-');
    put_line(out, text);
}

/// Writes an integer.
pub fn write_integer(out: &mut impl BufMut, number: i64) {
    out.put_u8(b':');
    if number < 0 {
        out.put_u8(b'-');
    }
    put_unsigned(out, number.unsigned_abs());
    out.put_slice(b"\r\n");
}

pub(super) fn put_line(out: &mut impl BufMut, text: &[u8]) {
    let mut pieces = text.split(|&byte| byte == b'\r' || byte == b'\n');
    if let Some(first) = pieces.next() {
        out.put_slice(first);
    }
    for piece in pieces {
        out.put_u8(b' ');
        out.put_slice(piece);
    }
    out.put_slice(b"\r\n");
}

pub(super) fn put_unsigned(out: &mut impl BufMut, mut number: u64) {
    // 20 digits hold any 64-bit number.
    let mut digits = [0u8; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.put_slice(&digits[first..]);
}
