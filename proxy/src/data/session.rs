//! One client connection.
//!
//! The shared half ([`Session`]) is what connections to backends complete replies into; the task's
//! half (`Io`) owns the socket. One task does both directions: on each wake-up it takes up what
//! has been read, flushes what has been answered, and reads as long as there is room. There is
//! room while the pipeline, the bytes of waiting requests and the bytes of unread replies are
//! below their limits; beyond them the session is not closed, it just reads no further.

mod limits;

use std::cell::{Cell, Ref, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use codis_core::resp::{Limits, RequestScanner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::buffer;
use super::client;
use super::memory::Share;
use super::outgoing::Outgoing;
use super::reply::{self, Reply};
use super::request::Outcome;
use super::ring::{Done, Meta, Ring};
use super::worker::{Local, Worker};

/// Bytes of requests of one session that may wait for replies; one request may exceed it.
pub const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of replies that a client has not read yet before its session stops reading.
pub const UNREAD_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of replies that the requests in flight of one session may bring, by the size of its last
/// replies. A client that asks for large values has few in flight, so it cannot fill the memory.
const EXPECTED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What a reply is expected to bring before the first one has come.
const EXPECTED_BYTES_FIRST: usize = 32 * 1024;
/// Requests in flight that a session is always allowed, if its pipeline is that long.
const IN_FLIGHT_MIN: usize = 32;
/// The largest request. Places inside a request fit 32 bits because of it.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// The largest request of a client that has not given its password yet.
const STRANGER_BYTES_MAX: usize = 64 * 1024;
/// Reads in one wake-up, so that one busy client does not starve the others.
const READS_PER_WAKE: usize = 4;
/// A fresh read buffer; grows up to `session_recv_bufsize` for clients that fill it.
const READ_BYTES_MIN: usize = 16 * 1024;
/// How long a closed session is read from, so that the client sees the last reply and no reset.
const LINGER_MAX: Duration = Duration::from_millis(500);

/// What backends complete replies into.
#[derive(Debug)]
pub struct Session {
    /// Unique in the process.
    pub id: u64,
    /// The address of the client, if it has one.
    peer: Option<SocketAddr>,
    /// What the client calls itself.
    name: RefCell<Vec<u8>>,
    pub(super) local: Rc<Local>,
    state: RefCell<State>,
    closed: Cell<bool>,
    killed: Cell<bool>,
    leaving: Cell<bool>,
    read_at: Cell<u64>,
    write_at: Cell<u64>,
}

#[derive(Debug)]
struct State {
    ring: Ring,
    out: Outgoing,
    /// The mean size of the last replies.
    reply_bytes: usize,
    waker: Option<Waker>,
    woken: bool,
    /// A reply that is to be the last one is there; no more requests are taken.
    ending: bool,
    /// The last reply has been delivered.
    last: bool,
}

impl Session {
    fn new(id: u64, peer: Option<SocketAddr>, local: Rc<Local>) -> Self {
        let now = local.now();
        Self {
            id,
            peer,
            name: RefCell::default(),
            local,
            state: RefCell::new(State {
                ring: Ring::default(),
                out: Outgoing::default(),
                reply_bytes: EXPECTED_BYTES_FIRST,
                waker: None,
                woken: false,
                ending: false,
                last: false,
            }),
            closed: Cell::new(false),
            killed: Cell::new(false),
            leaving: Cell::new(false),
            read_at: Cell::new(now),
            write_at: Cell::new(now),
        }
    }

    /// The address of the client as text.
    pub fn peer(&self) -> String {
        self.peer
            .map_or_else(|| "unix:0".to_owned(), |peer| peer.to_string())
    }

    /// What the client calls itself.
    pub fn name(&self) -> Ref<'_, Vec<u8>> {
        self.name.borrow()
    }

    /// Takes the name that the client gives itself.
    pub fn set_name(&self, name: &[u8]) {
        *self.name.borrow_mut() = name.to_vec();
    }

    /// Whether the client is gone.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// The client is gone. Requests under way still refer to the session, but not to its replies.
    fn close(&self) {
        self.closed.set(true);
        let mut state = self.state.borrow_mut();
        state.ring = Ring::default();
        state.out = Outgoing::default();
    }

    /// Makes the task look again: room has come, or the worker stops.
    pub fn wake(&self) {
        self.state.borrow_mut().wake();
    }

    /// Ends the session without another word.
    pub fn kill(&self) {
        self.killed.set(true);
        self.wake();
    }

    /// Microseconds since something was read; since something was written while replies wait.
    pub fn idle(&self) -> (u64, Option<u64>) {
        let now = self.local.now();
        let unread = !self.state.borrow().out.is_empty();
        let read = now.saturating_sub(self.read_at.get());
        (
            read,
            unread.then(|| now.saturating_sub(self.write_at.get())),
        )
    }

    /// Takes a place in the ring for a request that is decoded now.
    pub fn open(&self, command: u16, bytes: usize) -> u64 {
        let meta = Meta {
            command,
            bytes: bytes as u32,
            born: self.local.now(),
        };
        self.state.borrow_mut().ring.push(meta)
    }

    /// Puts a reply into its place. Replies beyond the last one are dropped. Gives how long it
    /// took in microseconds, if the place was there.
    pub fn complete(&self, place: u64, reply: Reply<'_>, outcome: Outcome) -> Option<u64> {
        if self.closed.get() {
            return None;
        }
        let last = outcome != Outcome::Answered && self.local.settings.session_break_on_failure;
        let meta = self.put(place, reply, last, outcome)?;
        Some(self.local.now().saturating_sub(meta.born))
    }

    /// Like [`Session::complete`], and the session closes after this reply.
    pub fn complete_last(&self, place: u64, reply: Reply<'_>) {
        self.put(place, reply, true, Outcome::Answered);
    }

    fn put(&self, place: u64, reply: Reply<'_>, last: bool, outcome: Outcome) -> Option<Meta> {
        let mut state = self.state.borrow_mut();
        if outcome == Outcome::Failed {
            state.count_failure(&self.local, place);
        }
        if state.last {
            return None;
        }
        state.ending |= last;
        state.reply_bytes = (state.reply_bytes * 7 + reply.bytes().len()) / 8;
        if state.out.is_empty() {
            self.write_at.set(self.local.now());
        }
        let meta = if state.ring.is_head(place) {
            let meta = state.ring.take_head();
            if let Some(meta) = meta {
                state.deliver(&self.local, meta, &reply, last);
            }
            while !state.last
                && let Some((meta, done)) = state.ring.pop_done()
            {
                state.deliver(&self.local, meta, &Reply::Shared(done.reply), done.last);
            }
            meta
        } else {
            let reply = reply.into_bytes();
            state.ring.complete(place, Done { reply, last })
        };
        state.wake();
        meta
    }

    fn has_room(&self) -> bool {
        let state = self.state.borrow();
        let pipeline = self.local.settings.session_max_pipeline.max(1);
        let expected = EXPECTED_BYTES_MAX / state.reply_bytes.max(1);
        !state.ending
            && state.ring.len() < pipeline.min(expected.max(IN_FLIGHT_MIN))
            && state.ring.bytes() < WAITING_BYTES_MAX
            && state.out.len() < UNREAD_BYTES_MAX
    }
}

impl State {
    fn wake(&mut self) {
        if !self.woken {
            self.woken = true;
            if let Some(waker) = &self.waker {
                waker.wake_by_ref();
            }
        }
    }

    #[cold]
    fn count_failure(&self, local: &Local, place: u64) {
        let counters = local.counters();
        counters.fails.add(1);
        if let Some(meta) = self.ring.meta(place) {
            counters.commands[usize::from(meta.command)].fails.add(1);
        }
    }

    fn deliver(&mut self, local: &Local, meta: Meta, reply: &Reply<'_>, last: bool) {
        let micros = local.now().saturating_sub(meta.born);
        local
            .counters()
            .delivered(meta.command, micros, reply.bytes());
        match reply {
            Reply::Slice(slice) => self.out.copy(slice),
            Reply::Shared(bytes) => self.out.push(bytes),
        }
        self.last |= last;
    }
}

/// Whether the client may still send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// It may.
    Open,
    /// It closed its half; what it sent before is answered.
    Ended,
    /// The session takes no more: QUIT or a protocol error.
    Refused,
}

/// The task's half of a session.
#[derive(Debug)]
pub(super) struct Io {
    pub worker: Rc<Worker>,
    pub session: Rc<Session>,
    pub stream: TcpStream,
    pub buf: BytesMut,
    pub scanner: RequestScanner,
    pub input: Input,
    /// A complete request waits in the buffer for room elsewhere.
    pub blocked: bool,
    pub read_bytes: usize,
    pub share: Share,
    pub db: u16,
    pub authenticated: bool,
    pub own: client::Own,
}

/// Serves one client to its end.
pub async fn run(worker: Rc<Worker>, stream: TcpStream) {
    let peer = stream.peer_addr().ok();
    let session = Rc::new(Session::new(
        worker.next_session(),
        peer,
        worker.local.clone(),
    ));
    worker
        .sessions
        .borrow_mut()
        .insert(session.id, session.clone());
    let mut io = Io {
        authenticated: worker.settings().session_auth.is_empty(),
        worker: worker.clone(),
        session: session.clone(),
        stream,
        buf: BytesMut::new(),
        scanner: RequestScanner::new(Limits::default()),
        input: Input::Open,
        blocked: false,
        read_bytes: READ_BYTES_MIN,
        share: Share::new(worker.shared.clone()),
        db: 0,
        own: client::Own::new(worker.local.now()),
    };
    let ended = poll_fn(|cx| {
        let polled = io.poll(cx);
        io.share.set(io.buf.len() + session.buffered());
        polled
    })
    .await;
    session.close();
    drop(io.share);
    if ended.is_ok() {
        linger(io.stream).await;
    }
    worker.sessions.borrow_mut().remove(&session.id);
}

/// Closes so that the client reads everything that was written.
pub async fn linger(mut stream: TcpStream) {
    let _ = tokio::time::timeout(LINGER_MAX, async {
        stream.shutdown().await?;
        let mut sink = [0u8; 4096];
        while stream.read(&mut sink).await? > 0 {}
        io::Result::Ok(())
    })
    .await;
}

impl Io {
    /// Ends with `Ok` when everything was delivered.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.worker.local.tick();
        self.begin(cx);
        if self.session.killed.get() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let mut reads = READS_PER_WAKE;
        loop {
            self.blocked = false;
            let cut = self.take_up();
            self.poll_flush(cx)?;
            if self.is_finished() {
                return Poll::Ready(Ok(()));
            }
            let has_room = self.has_room();
            if cut && has_room {
                continue;
            }
            if self.input != Input::Open || self.blocked || !has_room {
                return Poll::Pending;
            }
            if reads == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            reads -= 1;
            if self.poll_read(cx)?.is_pending() {
                if !self.session.leaving.get() {
                    return Poll::Pending;
                }
                // Nothing is on its way, or half a request that does not go on.
                self.input = Input::Ended;
                self.buf.clear();
            }
        }
    }

    fn begin(&self, cx: &Context<'_>) {
        let mut state = self.session.state.borrow_mut();
        state.woken = false;
        match &state.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => state.waker = Some(cx.waker().clone()),
        }
    }

    /// Handles the requests in the buffer. Gives whether it stopped for want of room.
    fn take_up(&mut self) -> bool {
        let mut taken = 0;
        let mut cut = false;
        while self.input != Input::Refused && !self.buf.is_empty() {
            if !self.has_room() {
                cut = true;
                break;
            }
            match self.scanner.scan(&self.buf) {
                Ok(Some(len)) => {
                    if !self.handle(len) {
                        self.blocked = true;
                        break;
                    }
                    self.scanner.reset();
                    buffer::release(&mut self.buf, len);
                    taken += 1;
                }
                Ok(None) if self.buf.len() > self.request_bytes_max() => {
                    self.refuse("too big request");
                }
                Ok(None) if self.share.is_over(self.buf.len()) => {
                    self.refuse("too many bytes of unfinished requests, see session_max_buffered");
                }
                Ok(None) => break,
                Err(error) => self.refuse(&error.to_string()),
            }
        }
        if taken > 0 {
            self.worker.local.counters().total.add(taken);
        }
        cut
    }

    fn has_room(&self) -> bool {
        let must_wait = || self.session.waits_for_much() && self.worker.shared.is_memory_full();
        self.session.has_room() && !must_wait()
    }

    fn request_bytes_max(&self) -> usize {
        if self.authenticated {
            REQUEST_BYTES_MAX
        } else {
            STRANGER_BYTES_MAX
        }
    }

    fn refuse(&mut self, reason: &str) {
        tracing::debug!(session = self.session.id, reason, "protocol error");
        self.input = Input::Refused;
        let place = self.session.open(super::counters::COMMAND_BAD as u16, 0);
        let reply = Reply::Shared(reply::protocol_error(reason));
        self.session.complete_last(place, reply);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut state = self.session.state.borrow_mut();
        while !state.out.is_empty() {
            match state.out.poll_write(Pin::new(&mut self.stream), cx)? {
                Poll::Ready(written) => {
                    self.worker.local.counters().bytes_out.add(written as u64);
                    self.session.write_at.set(self.worker.local.now());
                }
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn is_finished(&self) -> bool {
        let state = self.session.state.borrow();
        let nothing_left = state.ring.is_empty() && !self.blocked;
        let ended = self.input == Input::Ended && nothing_left && state.out.is_empty();
        ended || (state.last && state.out.is_empty())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        let spare = self.buf.capacity() - self.buf.len();
        if spare < self.read_bytes / 4 {
            self.buf.reserve(self.read_bytes);
        }
        let spare = self.buf.capacity() - self.buf.len();
        let polled = {
            let read = self.stream.read_buf(&mut self.buf);
            pin!(read).poll(cx)
        };
        let Poll::Ready(read) = polled else {
            return Ok(Poll::Pending);
        };
        let read = read?;
        self.worker.local.counters().bytes_in.add(read as u64);
        if read == 0 {
            self.input = Input::Ended;
        }
        if read == spare {
            let max = self
                .worker
                .settings()
                .session_recv_bufsize
                .as_usize()
                .max(READ_BYTES_MIN);
            self.read_bytes = (self.read_bytes * 2).min(max);
        }
        self.session.read_at.set(self.worker.local.now());
        Ok(Poll::Ready(()))
    }
}
