//! A connected stream socket, without waiting.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use bytes::BytesMut;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown, getsockname, send, sendmsg, shutdown};

use super::unsafe_io::read_spare;

/// A stream socket of any family in non-blocking mode.
#[derive(Debug)]
pub struct Stream(OwnedFd);

impl From<OwnedFd> for Stream {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<Stream> for OwnedFd {
    fn from(stream: Stream) -> Self {
        stream.0
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Stream {
    /// Reads into the spare room of `buf`, which there must be. `None` when nothing is there,
    /// 0 when the peer has closed its half.
    ///
    /// # Errors
    /// The socket failed.
    pub fn read(&self, buf: &mut BytesMut) -> io::Result<Option<usize>> {
        read_spare(&self.0, buf)
    }

    /// Writes what the socket takes now; `None` when it takes nothing.
    ///
    /// # Errors
    /// The socket failed.
    pub fn write(&self, data: &[u8]) -> io::Result<Option<usize>> {
        taken(retry_on_intr(|| send(&self.0, data, SendFlags::NOSIGNAL)))
    }

    /// Like [`Stream::write`], from several pieces.
    ///
    /// # Errors
    /// The socket failed.
    pub fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        taken(retry_on_intr(|| {
            let mut none = SendAncillaryBuffer::default();
            sendmsg(&self.0, pieces, &mut none, SendFlags::NOSIGNAL)
        }))
    }

    /// The address that the peer has dialled; none for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        getsockname(&self.0).ok()?.try_into().ok()
    }

    /// Says that nothing more will be written.
    pub fn finish(&self) {
        let _ = shutdown(&self.0, Shutdown::Write);
    }
}

fn taken(written: rustix::io::Result<usize>) -> io::Result<Option<usize>> {
    match written {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Ok(n) => Ok(Some(n)),
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
