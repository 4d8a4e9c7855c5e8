//! The bytes of a request, shared with those that were read together with it.
//!
//! A pipeline is read at once, and each of its requests lives until it is answered. They share
//! what was read; since they never leave their worker, counting them needs no atomic operation.

use std::ops::Deref;
use std::rc::Rc;

use bytes::Bytes;

/// A part of bytes that several requests share, at most 4 GiB from their start.
#[derive(Clone, Debug)]
pub struct Raw {
    whole: Rc<Bytes>,
    at: u32,
    len: u32,
}

impl Raw {
    /// The `len` bytes from `at` on.
    ///
    /// # Panics
    /// They are not there.
    pub(super) fn part(whole: &Rc<Bytes>, at: usize, len: usize) -> Self {
        assert!(at + len <= whole.len() && whole.len() <= u32::MAX as usize);
        Self {
            whole: whole.clone(),
            at: at as u32,
            len: len as u32,
        }
    }

    #[cfg(test)]
    pub(super) fn whole(&self) -> Rc<Bytes> {
        self.whole.clone()
    }

    /// The same bytes for those that take [`Bytes`].
    pub fn to_bytes(&self) -> Bytes {
        let at = self.at as usize;
        self.whole.slice(at..at + self.len as usize)
    }
}

impl Deref for Raw {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let at = self.at as usize;
        &self.whole[at..at + self.len as usize]
    }
}

impl From<Bytes> for Raw {
    fn from(bytes: Bytes) -> Self {
        let len = bytes.len();
        Self::part(&Rc::new(bytes), 0, len)
    }
}
