//! Bytes on their way to a socket: small pieces are gathered, large ones are passed on uncopied.
//!
//! Copying forty bytes is cheaper than a segment of a vectored write; copying a megabyte is not.
//! So small pieces go into one growing buffer that is reused, and a large piece is queued as it is.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};

use super::stream::Stream;

/// From this size on, a piece is not copied.
pub const SHARE_BYTES_MIN: usize = 4096;
/// A gathering buffer that grew beyond this is not kept.
const KEEP_BYTES_MAX: usize = 256 * 1024;
/// A gathering buffer that an idle session's output keeps.
const TRIM_BYTES_MAX: usize = 32 * 1024;
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

    /// Gives back the memory of large output. Nothing may wait.
    pub fn trim(&mut self) {
        if self.spare.capacity() > TRIM_BYTES_MAX {
            self.spare = Vec::new();
        }
    }

    /// Writes once. Gives the number of bytes that the socket took, at least one, or `None` when
    /// it is full.
    ///
    /// # Errors
    /// The socket failed. Must not be called when nothing waits.
    pub fn write(&mut self, socket: &Stream) -> io::Result<Option<usize>> {
        let taken = if let [only] = self.pieces.as_slices().0
            && self.pieces.len() == 1
        {
            socket.write(only.rest())?
        } else {
            let mut segments = [IoSlice::new(&[]); SEGMENTS_MAX];
            let mut count = 0;
            for (segment, piece) in segments.iter_mut().zip(&self.pieces) {
                *segment = IoSlice::new(piece.rest());
                count += 1;
            }
            socket.write_vectored(&segments[..count])?
        };
        if let Some(taken) = taken {
            self.advance(taken);
        }
        Ok(taken)
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
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every byte leaves once and in order, however the pieces and the writes fall: the socket
        /// is read in steps of its own, and is full most of the time.
        #[test]
        fn bytes_leave_in_order(
            sizes in prop::collection::vec(1usize..90_000, 1..20),
            step in 1usize..200_000,
        ) {
            let (mut reader, writer) = UnixStream::pair().unwrap();
            writer.set_nonblocking(true).unwrap();
            let socket = Stream::from(OwnedFd::from(writer));
            let mut out = Outgoing::default();
            let mut expected = Vec::new();
            for (n, size) in sizes.iter().enumerate() {
                let piece = vec![n as u8; *size];
                out.push(&Bytes::from(piece.clone()));
                expected.extend(piece);
            }
            let mut got = Vec::new();
            let mut chunk = vec![0; step];
            while got.len() < expected.len() {
                while !out.is_empty() && out.write(&socket).unwrap().is_some() {}
                let n = reader.read(&mut chunk).unwrap();
                got.extend_from_slice(&chunk[..n]);
            }
            prop_assert!(out.is_empty());
            prop_assert_eq!(got, expected);
        }
    }
}
