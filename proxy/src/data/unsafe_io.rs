//! The two unsafe steps of the data path: bytes that the kernel wrote into spare room join the
//! buffer, and the runtime watches a descriptor.

#![allow(
    unsafe_code,
    reason = "neither the buffer nor the runtime can see that the kernel keeps its word"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Reads from a socket into the spare room of `buf`, without waiting. `None` when nothing is there.
///
/// # Errors
/// The socket failed.
pub fn read_spare(socket: impl AsFd, buf: &mut BytesMut) -> io::Result<Option<usize>> {
    let len = buf.len();
    let read = match recv(socket, buf.spare_capacity_mut(), RecvFlags::DONTWAIT) {
        Ok((_, read)) => read,
        Err(Errno::AGAIN) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // SAFETY: the kernel has filled `read` bytes of the spare room behind the first `len`.
    unsafe { buf.set_len(len + read) };
    Ok(Some(read))
}

/// Lets the runtime tell when there is something to read on a descriptor.
///
/// # Errors
/// The runtime cannot watch it.
pub fn watch<T: AsRawFd + Into<OwnedFd>>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the owner of a descriptor keeps it open and the same for as long as it lives.
    unsafe { AsyncFd::register_with_interest(owner, Interest::READABLE) }.map_err(Into::into)
}
