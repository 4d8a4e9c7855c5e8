//! Bytes on their way to a socket: small pieces are gathered, large ones are passed on uncopied.
//!
//! Copying forty bytes is cheaper than a segment of a vectored write; copying a megabyte is not.
//! So small pieces go into one growing buffer that is reused, and a large piece is queued as it is.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// From this size on, a piece is not copied.
pub const SHARE_BYTES_MIN: usize = 4096;
/// A gathering buffer that grew beyond this is not kept.
const KEEP_BYTES_MAX: usize = 256 * 1024;
/// A gathering buffer is closed at this size, so that one piece never grows without end.
const GATHER_BYTES_MAX: usize = 128 * 1024;
/// Segments in one vectored write.
const SEGMENTS_MAX: usize = 32;

#[derive(Debug)]
enum Piece {
    Gathered { data: Vec<u8>, sent: usize },
    Shared(Bytes),
}

impl Piece {
    fn rest(&self) -> &[u8] {
        match self {
            Piece::Gathered { data, sent } => &data[*sent..],
            Piece::Shared(bytes) => bytes,
        }
    }
}

/// A queue of bytes for one socket.
#[derive(Debug, Default)]
pub struct Outgoing {
    pieces: VecDeque<Piece>,
    spare: Vec<u8>,
    len: usize,
}

impl Outgoing {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Queues a copy of `data`.
    pub fn copy(&mut self, data: &[u8]) {
        self.len += data.len();
        if let Some(Piece::Gathered { data: tail, .. }) = self.pieces.back_mut()
            && tail.len() < GATHER_BYTES_MAX
        {
            tail.extend_from_slice(data);
            return;
        }
        let mut fresh = std::mem::take(&mut self.spare);
        fresh.extend_from_slice(data);
        self.pieces.push_back(Piece::Gathered {
            data: fresh,
            sent: 0,
        });
    }

    /// Queues `data`, copying it only when that is cheaper.
    pub fn push(&mut self, data: &Bytes) {
        if data.len() < SHARE_BYTES_MIN {
            self.copy(data);
        } else {
            self.len += data.len();
            self.pieces.push_back(Piece::Shared(data.clone()));
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.len = 0;
    }

    /// Writes once. Gives the number of bytes that the socket took; at least one.
    ///
    /// # Errors
    /// The socket failed. Must not be called when nothing waits.
    pub fn poll_write<W: AsyncWrite>(
        &mut self,
        socket: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let taken = if self.pieces.len() == 1 {
            ready!(socket.poll_write(cx, self.pieces[0].rest()))?
        } else {
            let mut segments = [IoSlice::new(&[]); SEGMENTS_MAX];
            let mut count = 0;
            for (segment, piece) in segments.iter_mut().zip(&self.pieces) {
                *segment = IoSlice::new(piece.rest());
                count += 1;
            }
            ready!(socket.poll_write_vectored(cx, &segments[..count]))?
        };
        if taken == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(taken);
        Poll::Ready(Ok(taken))
    }

    fn advance(&mut self, mut taken: usize) {
        self.len -= taken;
        while taken > 0 {
            let Some(front) = self.pieces.front_mut() else {
                return;
            };
            let rest = front.rest().len();
            let step = rest.min(taken);
            taken -= step;
            match front {
                Piece::Gathered { sent, .. } => *sent += step,
                Piece::Shared(bytes) => bytes.advance(step),
            }
            if step == rest {
                self.recycle();
            }
        }
    }

    fn recycle(&mut self) {
        if let Some(Piece::Gathered { mut data, .. }) = self.pieces.pop_front()
            && data.capacity() <= KEEP_BYTES_MAX
            && self.spare.capacity() == 0
        {
            data.clear();
            self.spare = data;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;

    /// A socket that takes at most `step` bytes at once.
    struct Slow {
        step: usize,
        got: Vec<u8>,
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let n = buf.len().min(self.step);
            self.got.extend_from_slice(&buf[..n]);
            Poll::Ready(Ok(n))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        /// Every byte leaves once and in order, however the pieces and the writes fall.
        #[test]
        fn bytes_leave_in_order(
            sizes in prop::collection::vec(1usize..9000, 1..20),
            step in 1usize..20_000,
        ) {
            let mut out = Outgoing::default();
            let mut expected = Vec::new();
            for (n, size) in sizes.iter().enumerate() {
                let piece = vec![n as u8; *size];
                out.push(&Bytes::from(piece.clone()));
                expected.extend(piece);
            }
            let mut socket = Slow { step, got: Vec::new() };
            let mut cx = Context::from_waker(Waker::noop());
            while !out.is_empty() {
                let polled = out.poll_write(Pin::new(&mut socket), &mut cx);
                prop_assert!(matches!(polled, Poll::Ready(Ok(n)) if n > 0));
            }
            prop_assert_eq!(socket.got, expected);
        }
    }
}
