//! What has been read from a client and is not taken up yet.
//!
//! While the requests of a pipeline are taken up, what was read is frozen and each request becomes
//! a part of it: one shared piece of memory for all of them instead of one each. What is left of an
//! unfinished request moves back to the buffer before more is read, at most once for each read.

use std::ops::Deref;
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};

use super::buffer;
use super::raw::Raw;

/// A buffer that holds more is not frozen: what is left of it might be much to move back.
const FREEZE_BYTES_MAX: usize = 128 * 1024;

/// Bytes of a client, oldest first.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    buf: BytesMut,
    /// What is being taken up, and how much of it is. Then the buffer is empty.
    frozen: Option<(Rc<Bytes>, usize)>,
}

impl Deref for Inbox {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.frozen {
            Some((whole, at)) => &whole[*at..],
            None => &self.buf,
        }
    }
}

impl From<BytesMut> for Inbox {
    fn from(buf: BytesMut) -> Self {
        Self { buf, frozen: None }
    }
}

impl Inbox {
    /// Drops the first `len` bytes.
    pub fn advance(&mut self, len: usize) {
        match &mut self.frozen {
            Some((_, at)) => *at += len,
            None => self.buf.advance(len),
        }
    }

    /// Takes the first `len` bytes, which are a request.
    pub fn take(&mut self, len: usize) -> Raw {
        if self.frozen.is_none() && self.buf.len() > FREEZE_BYTES_MAX {
            let raw = self.buf.split_to(len).freeze();
            buffer::release(&mut self.buf, len);
            return Raw::from(raw);
        }
        let freeze = || (Rc::new(self.buf.split().freeze()), 0);
        let (whole, at) = self.frozen.get_or_insert_with(freeze);
        let raw = Raw::part(whole, *at, len);
        *at += len;
        raw
    }

    /// No more is taken up for now: what is left may be added to.
    pub fn thaw(&mut self) {
        if let Some((whole, at)) = self.frozen.take() {
            self.buf.extend_from_slice(&whole[at..]);
        }
    }

    /// The buffer without what is in it, which moves elsewhere if that is at most `len_max` bytes;
    /// `None` when it is more.
    pub fn give_back(&mut self, len_max: usize) -> Option<BytesMut> {
        if self.buf.len() > len_max {
            return None;
        }
        let mut buf = std::mem::take(&mut self.buf);
        if !buf.is_empty() {
            self.buf = BytesMut::from(&buf[..]);
            buf.clear();
        }
        Some(buf)
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.frozen = None;
        self.buf.clear();
    }

    /// Where more is read into; nothing may be frozen.
    pub fn buffer(&mut self) -> &mut BytesMut {
        debug_assert!(self.frozen.is_none(), "what is frozen comes first");
        &mut self.buf
    }

    /// Bytes that it holds or has room for.
    pub fn capacity(&self) -> usize {
        let frozen = self.frozen.as_ref();
        let frozen = frozen.map_or(0, |(whole, at)| whole.len() - at);
        frozen + self.buf.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox(text: &[u8]) -> Inbox {
        Inbox::from(BytesMut::from(text))
    }

    #[test]
    fn requests_share_what_was_read_and_the_rest_can_grow() {
        let mut inbox = inbox(b"onetwothr");
        let one = inbox.take(3);
        let two = inbox.take(3);
        assert!(Rc::ptr_eq(&one.whole(), &two.whole()));
        assert_eq!(&inbox[..], b"thr");
        inbox.thaw();
        inbox.buffer().extend_from_slice(b"ee");
        assert_eq!(&inbox[..], b"three");
        assert_eq!((&one[..], &two[..]), (&b"one"[..], &b"two"[..]));
        assert_eq!(two.to_bytes(), "two");
    }

    #[test]
    fn what_waits_keeps_nobody_from_the_buffer() {
        let mut inbox = inbox(b"onetwo");
        inbox.take(3);
        assert_eq!(inbox.give_back(0).map(|buf| buf.len()), Some(0));
        assert_eq!(&inbox[..], b"two", "it is frozen");
        assert_eq!(inbox.capacity(), 3);
        inbox.thaw();
        assert_eq!(inbox.give_back(2), None, "it is too much to move");
        assert_eq!(inbox.give_back(3).map(|buf| buf.len()), Some(0));
        assert_eq!(&inbox[..], b"two");
    }

    #[test]
    fn what_is_refused_is_skipped_in_either_form() {
        let mut inbox = inbox(b"onetwothree");
        inbox.advance(3);
        assert_eq!(&*inbox.take(3), b"two");
        inbox.advance(5);
        assert!(inbox.is_empty());
        inbox.thaw();
        assert_eq!(inbox.len(), 0);
    }

    #[test]
    fn a_large_request_shares_with_no_other() {
        let mut large = vec![b'x'; 2 * FREEZE_BYTES_MAX];
        large.extend_from_slice(b"rest");
        let mut inbox = inbox(&large);
        let raw = inbox.take(2 * FREEZE_BYTES_MAX);
        assert_eq!(raw.len(), 2 * FREEZE_BYTES_MAX);
        assert_eq!(&inbox[..], b"rest");
        assert_eq!(&*inbox.take(4), b"rest");
    }
}
