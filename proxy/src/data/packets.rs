//! Clients of a packet socket (`unixpacket`).
//!
//! A session reads a stream, and a packet that does not fit a read would lose its end. So a task
//! stands between: it reads whole packets, however long, and passes them on as a stream.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as PairOf;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

use super::socket;

/// The longest packet that is sent; the kernel takes this much with its default buffers.
const PACKET_BYTES_MAX: usize = 64 * 1024;

/// The stream that stands for a packet socket.
///
/// # Errors
/// No more file descriptors.
pub(super) fn as_stream(packets: OwnedFd) -> io::Result<OwnedFd> {
    let (inner, outer) = PairOf::pair()?;
    inner.set_nonblocking(true)?;
    outer.set_nonblocking(true)?;
    let packets = UnixStream::from_std(PairOf::from(packets))?;
    let inner = socket::stream(OwnedFd::from(inner))?;
    tokio::task::spawn_local(async move {
        let (mut reader, mut writer) = inner.into_split();
        let receiving = async {
            while let Some(packet) = receive(&packets).await? {
                writer.write_all(&packet).await?;
            }
            writer.shutdown().await
        };
        let sending = async {
            let mut chunk = vec![0; PACKET_BYTES_MAX];
            loop {
                let len = reader.read(&mut chunk).await?;
                if len == 0 {
                    // The session has ended: so does the packet socket.
                    return Err::<(), _>(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
                pass_on(&packets, &chunk[..len]).await?;
            }
        };
        let _ = tokio::try_join!(receiving, sending);
    });
    Ok(OwnedFd::from(outer))
}

/// One whole packet; `None` at the end.
async fn receive(packets: &UnixStream) -> io::Result<Option<Vec<u8>>> {
    loop {
        packets.readable().await?;
        let received = packets.try_io(Interest::READABLE, || {
            let peek = RecvFlags::PEEK | RecvFlags::TRUNC | RecvFlags::DONTWAIT;
            let mut nothing = [0u8; 0];
            let (_, len) = recv(packets, &mut nothing[..], peek)?;
            let mut packet = vec![0; len];
            if len > 0 {
                recv(packets, &mut packet[..], RecvFlags::DONTWAIT)?;
            }
            Ok(packet)
        });
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => return received.map(|packet| Some(packet).filter(|p| !p.is_empty())),
        }
    }
}

async fn pass_on(packets: &UnixStream, packet: &[u8]) -> io::Result<()> {
    loop {
        packets.writable().await?;
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let sent = packets.try_io(Interest::WRITABLE, || Ok(send(packets, packet, flags)?));
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return sent.map(|_| ()),
        }
    }
}
