//! Handing the listening sockets to a successor, so that the binary can be replaced while clients
//! connect.
//!
//! Both processes then hold the same sockets, and a client in a queue of the kernel is served by
//! one of them. The steps, over a Unix socket that only the same user may use:
//!
//! 1. The successor connects and gets the sockets, the routes and the epochs.
//! 2. It serves clients, and says `READY`. Until then the predecessor goes on as before.
//! 3. The predecessor takes no more clients and admin calls, says `GONE`, and drains.
//! 4. The successor answers admin calls.

use std::fs;
use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use codis_core::json;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::task::spawn_blocking;

use super::{Inherited, Proxy};
use crate::control::Control;
use crate::control::snapshot::Snapshot;
use crate::data::socket::{self, Wanted};
use crate::settings::Settings;

/// How long one step of the other side may take.
const STEP_MAX: Duration = Duration::from_secs(10);
/// Sockets in one message; the kernel takes up to 253.
const FDS_PER_MESSAGE: usize = 64;
/// Sockets that are taken over at most: one for each worker, and the admin API's.
const FDS_MAX: usize = 2048;
/// The longest snapshot.
const STATE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long the loop that accepts admin calls takes to end.
const ADMIN_END: Duration = Duration::from_millis(50);
const READY: &str = "READY";
const GONE: &str = "GONE";

/// A predecessor that has given its sockets and waits for us to serve.
#[derive(Debug)]
pub struct Predecessor {
    stream: BufReader<UnixStream>,
    /// What it knew.
    pub snapshot: Snapshot,
}

/// Asks the proxy at `proxy_handover` for its sockets; `None` when none runs.
///
/// # Errors
/// The setting is empty, or what runs there cannot be followed.
pub async fn take(settings: &Settings) -> anyhow::Result<Option<(Inherited, Predecessor)>> {
    let path = PathBuf::from(&settings.proxy_handover);
    ensure!(
        !path.as_os_str().is_empty(),
        "--takeover needs proxy_handover: the path at which the running proxy gives its sockets"
    );
    let settings = settings.clone();
    let taken = spawn_blocking(move || take_from(&path, &settings)).await;
    taken.context("take over")?
}

fn take_from(path: &Path, settings: &Settings) -> anyhow::Result<Option<(Inherited, Predecessor)>> {
    let stream = match UnixStream::connect(path) {
        Err(error) if is_nobody(&error) => return Ok(None),
        connected => connected,
    };
    let context = || format!("take over from the proxy at {}", path.display());
    let taken = stream
        .map_err(Into::into)
        .and_then(|s| receive(s, settings));
    taken.map(Some).with_context(context)
}

fn is_nobody(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused)
}

fn receive(stream: UnixStream, settings: &Settings) -> anyhow::Result<(Inherited, Predecessor)> {
    limit(&stream)?;
    // Read byte by byte: a buffer would swallow what comes with the sockets.
    let head = read_line(&stream)?;
    let mut sizes = head.split(' ').map(str::parse::<usize>);
    let (Some(Ok(fds)), Some(Ok(bytes))) = (sizes.next(), sizes.next()) else {
        bail!("it said {head:?} instead of two sizes");
    };
    ensure!(
        fds <= FDS_MAX && bytes <= STATE_BYTES_MAX,
        "it offers too much: {head}"
    );
    let mut inherited = Inherited::default();
    for fd in receive_fds(&stream, fds)? {
        inherited.sort_in(settings, fd)?;
    }
    let mut state = vec![0; bytes];
    (&stream).read_exact(&mut state)?;
    let snapshot: Snapshot = json::decode(&state)?;
    ensure!(
        snapshot.product == settings.product_name,
        "it serves product {}, this proxy {}",
        snapshot.product,
        settings.product_name
    );
    let stream = BufReader::new(stream);
    Ok((inherited, Predecessor { stream, snapshot }))
}

impl Predecessor {
    /// Says that clients are served here now, and waits until the predecessor takes no more.
    pub async fn dismiss(mut self) {
        let parting = spawn_blocking(move || {
            writeln!(self.stream.get_mut(), "{READY}")?;
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            io::Result::Ok(line)
        });
        match parting.await.unwrap_or_else(|error| Err(error.into())) {
            Ok(line) if line.trim() == GONE => tracing::info!("taken over"),
            Ok(line) => tracing::warn!(line, "the predecessor parted without a word"),
            Err(error) => tracing::warn!(%error, "the predecessor parted without a word"),
        }
    }
}

/// Where successors ask.
#[derive(Debug)]
struct Offer {
    control: Arc<Control>,
    path: PathBuf,
}

impl Proxy {
    /// Gives the sockets to whoever asks at `proxy_handover`, once.
    ///
    /// # Errors
    /// The path cannot be listened on.
    pub fn offer_handover(&self) -> anyhow::Result<()> {
        let settings = self.control.settings();
        if settings.proxy_handover.is_empty() {
            return Ok(());
        }
        let listeners = socket::bind(Wanted {
            proto: "unix",
            address: &settings.proxy_handover,
            mode: Some(0o600),
            count: 1,
            may_grow: false,
        });
        let listeners = listeners.context("proxy_handover")?;
        let listener = std::os::unix::net::UnixListener::from(OwnedFd::from(
            listeners.into_iter().next().context("proxy_handover")?,
        ));
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let offer = Offer {
            control: self.control.clone(),
            path: PathBuf::from(&settings.proxy_handover),
        };
        let (crew, admin, end) = (
            self.crew.clone(),
            self.admin.copy.try_clone()?,
            self.admin.end.clone(),
        );
        let mut stopping = Box::pin(self.control.shutdown.requested());
        tokio::spawn(async move {
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted.map(|(stream, _)| stream),
                    () = &mut stopping => break,
                };
                // No fill may fall between what the successor is told and its taking over.
                let turn = offer.control.turn_for_all().await;
                let crew = crew.lock().await;
                let mut fds: Vec<BorrowedFd<'_>> = vec![admin.as_fd()];
                fds.extend(crew.listeners.iter().map(AsFd::as_fd));
                let fds: io::Result<Vec<OwnedFd>> =
                    fds.into_iter().map(|fd| fd.try_clone_to_owned()).collect();
                drop(crew);
                let given = match (stream, fds, &turn) {
                    (Ok(stream), Ok(fds), Ok(_)) => offer.give(stream, fds).await,
                    (Err(error), ..) | (_, Err(error), _) => Err(error.into()),
                    (_, _, Err(error)) => Err(error.clone().into()),
                };
                match given {
                    Ok((mut stream, pid)) => {
                        offer
                            .control
                            .shared
                            .handed_over
                            .store(true, Ordering::Relaxed);
                        end.request("handed over");
                        offer
                            .control
                            .close(&format!("handed over to process {pid}"));
                        drop(listener);
                        let _ = fs::remove_file(&offer.path);
                        tokio::time::sleep(ADMIN_END).await;
                        let _ = spawn_blocking(move || writeln!(stream, "{GONE}")).await;
                        return;
                    }
                    Err(error) => tracing::warn!("not handed over: {error:#}"),
                }
            }
            drop(listener);
            let _ = fs::remove_file(&offer.path);
        });
        Ok(())
    }
}

impl Offer {
    /// Gives everything to a successor, and waits until it serves. Gives its process id.
    async fn give(
        &self,
        stream: tokio::net::UnixStream,
        fds: Vec<OwnedFd>,
    ) -> anyhow::Result<(UnixStream, i32)> {
        let peer = stream.peer_cred()?;
        let own = rustix::process::geteuid().as_raw();
        ensure!(
            peer.uid() == own || peer.uid() == 0,
            "user {} asked, only {own} and root may",
            peer.uid()
        );
        let state = json::encode(&self.control.snapshot());
        let stream = stream.into_std()?;
        let given = spawn_blocking(move || {
            stream.set_nonblocking(false)?;
            limit(&stream)?;
            writeln!(&stream, "{} {}", fds.len(), state.len())?;
            send_fds(&stream, &fds)?;
            (&stream).write_all(&state)?;
            let line = read_line(&stream)?;
            ensure!(line == READY, "the successor did not come up");
            Ok(stream)
        });
        Ok((given.await??, peer.pid().unwrap_or_default()))
    }
}

fn limit(stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(STEP_MAX))?;
    stream.set_write_timeout(Some(STEP_MAX))
}

fn read_line(mut stream: &UnixStream) -> io::Result<String> {
    const LINE_MAX: usize = 64;
    let mut line = Vec::new();
    let mut byte = [0u8; 1];
    while line.len() < LINE_MAX {
        stream.read_exact(&mut byte)?;
        if byte[0] == b'\n' {
            break;
        }
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn send_fds(stream: &UnixStream, fds: &[OwnedFd]) -> io::Result<()> {
    for chunk in fds.chunks(FDS_PER_MESSAGE) {
        let chunk: Vec<BorrowedFd<'_>> = chunk.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&chunk));
        sendmsg(
            stream,
            &[IoSlice::new(b"F")],
            &mut control,
            SendFlags::NOSIGNAL,
        )?;
    }
    Ok(())
}

fn receive_fds(stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut fds = Vec::new();
    while fds.len() < count {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0u8; 1];
        let mut into = [IoSliceMut::new(&mut byte)];
        let received = recvmsg(stream, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
    }
    Ok(fds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_sockets_pass_in_order() {
        let (from, to) = UnixStream::pair().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<OwnedFd> = (0..FDS_PER_MESSAGE + 3)
            .map(|n| {
                let path = dir.path().join(n.to_string());
                fs::write(&path, n.to_string()).unwrap();
                fs::File::open(path).unwrap().into()
            })
            .collect();
        send_fds(&from, &files).unwrap();
        let received = receive_fds(&to, files.len()).unwrap();
        assert_eq!(received.len(), files.len());
        for (n, fd) in received.into_iter().enumerate() {
            let text = io::read_to_string(fs::File::from(fd)).unwrap();
            assert_eq!(text, n.to_string());
        }
    }
}
