//! Giving the memory of large requests and replies back.
//!
//! A read buffer grows with what it has to hold, and what is split off it shares its memory. The
//! rest of the buffer, even an empty one, would keep all of that memory for as long as the
//! connection is idle. So the little that follows a large piece moves to memory of its own.

use bytes::BytesMut;

/// From this size on, a piece does not leave its memory behind.
const LARGE_BYTES_MIN: usize = 256 * 1024;

/// To be called once a piece of `len` bytes has been taken off the front. What is left is copied
/// only when it is no longer than the piece, so that many pieces cost no more than their length.
pub fn release(buf: &mut BytesMut, len: usize) {
    if len >= LARGE_BYTES_MIN && buf.len() <= len {
        *buf = BytesMut::from(&buf[..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_large_piece_keeps_none_of_its_memory() {
        let mut buf = BytesMut::zeroed(3 * LARGE_BYTES_MIN);
        let piece = buf.split_to(2 * LARGE_BYTES_MIN);
        release(&mut buf, piece.len());
        assert_eq!(buf.len(), LARGE_BYTES_MIN);
        drop(piece);
        let _ = buf.split_to(LARGE_BYTES_MIN);
        release(&mut buf, LARGE_BYTES_MIN);
        assert_eq!(buf.capacity(), 0);
        buf.extend_from_slice(&[1; 100]);
        let kept = buf.capacity();
        let _ = buf.split_to(50);
        release(&mut buf, 50);
        assert_eq!(
            buf.capacity(),
            kept - 50,
            "small pieces stay where they are"
        );
    }
}
