//! The socket of a client: reads requests, writes replies.
//!
//! On each turn it takes up what has been read, flushes what has been answered, and reads as long
//! as the session has room.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use codis_core::resp::{Limits, RequestScanner};

use super::client;
use super::drive::Peer;
use super::inbox::Inbox;
use super::listen::Alive;
use super::memory::Share;
use super::poller::Ready;
use super::reply::{self, Reply};
use super::session::Session;
use super::spare::Intake;
use super::stream::Stream;
use super::unsafe_io::watch;
use super::worker::Worker;

/// The largest request. Places inside a request fit 32 bits because of it.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// The largest request of a client that has not given its password yet.
const STRANGER_BYTES_MAX: usize = 64 * 1024;
/// Reads in one turn, so that one busy client does not starve the others.
const READS_PER_TURN: usize = 4;
/// A read of a client that sends more than it was given room for; grows up to
/// `session_recv_bufsize`.
const READ_BYTES_MIN: usize = 16 * 1024;
/// What is left of a request in a lent buffer is moved out of it, up to this size.
const MOVE_BYTES_MAX: usize = 16 * 1024;
/// How long a closed session is read from, so that the client sees the last reply and no reset.
const LINGER_MAX: Duration = Duration::from_millis(500);

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

/// What follows a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another one, when something has happened.
    Wait,
    /// The end; the client has still to read its last reply.
    Linger,
    /// The end.
    Close,
}

/// The socket's half of a session.
#[derive(Debug)]
pub(super) struct Io {
    pub worker: Rc<Worker>,
    pub session: Rc<Session>,
    pub stream: Stream,
    /// Empty, and without memory, between turns unless a request is incomplete or waits.
    pub buf: Inbox,
    pub scanner: RequestScanner,
    pub input: Input,
    /// A complete request waits in the buffer for room elsewhere.
    pub blocked: bool,
    pub read_bytes: usize,
    share: Share,
    pub db: u16,
    /// Which of several connections to a backend the session uses.
    pub lane: u16,
    pub authenticated: bool,
    pub own: client::Own,
    /// There may be more to read than has been read.
    readable: bool,
    /// The peer has closed: whatever is left to read comes to an end.
    ended: bool,
    writable: bool,
    /// The buffer is the worker's.
    lent: bool,
    alive: Alive,
}

/// Begins to serve a client.
pub fn start(
    worker: &Rc<Worker>,
    stream: Stream,
    peer: Option<SocketAddr>,
    alive: Alive,
) -> io::Result<()> {
    let session = Rc::new(Session::new(
        worker.next_session(),
        peer,
        worker.local.clone(),
    ));
    let io = Io {
        authenticated: worker.settings().session_auth.is_empty(),
        worker: worker.clone(),
        session: session.clone(),
        stream,
        buf: Inbox::default(),
        scanner: RequestScanner::new(Limits::default()),
        input: Input::Open,
        blocked: false,
        read_bytes: READ_BYTES_MIN,
        share: Share::new(worker.shared.clone()),
        db: 0,
        lane: (session.id % u64::from(worker.settings().lanes())) as u16,
        own: client::Own::new(worker.local.now()),
        readable: true,
        ended: false,
        writable: true,
        lent: false,
        alive,
    };
    let mut peers = worker.peers.borrow_mut();
    let place = peers.insert(None);
    if let Err(error) = worker.poller.add(&io.stream, place) {
        peers.remove(place);
        return Err(error);
    }
    peers[place] = Some(Peer::Session(Box::new(io)));
    session.settle(place);
    // Most clients have sent their first request by now.
    session.wake();
    worker.sessions.borrow_mut().insert(session.id, session);
    Ok(())
}

/// Closes so that the client reads everything that was written.
pub async fn linger(stream: Stream) {
    stream.finish();
    let Ok(stream) = watch(stream) else {
        return;
    };
    let _ = tokio::time::timeout(LINGER_MAX, async {
        let mut sink = BytesMut::with_capacity(4096);
        loop {
            let mut ready = stream.readable().await?;
            match stream.get_ref().read(&mut sink)? {
                None => ready.clear_ready(),
                Some(0) => return io::Result::Ok(()),
                Some(_) => sink.clear(),
            }
        }
    })
    .await;
}

impl Io {
    /// Runs until there is nothing to do or no room to do it.
    pub fn turn(&mut self, ready: Ready) -> Next {
        self.session.begin_turn();
        self.readable |= ready.readable;
        self.writable |= ready.writable;
        self.ended |= ready.ended;
        if self.session.is_killed() {
            return Next::Close;
        }
        let next = self.serve().unwrap_or(Next::Close);
        self.settle_buffer();
        let replies = self.session.buffered();
        self.share.set(self.buf.len() + replies);
        self.session.end_turn();
        if self.share.is_over(replies) && self.session.overstays(&self.worker.shared) {
            return Next::Close;
        }
        next
    }

    fn serve(&mut self) -> io::Result<Next> {
        let mut reads = READS_PER_TURN;
        loop {
            self.blocked = false;
            let cut = !self.buf.is_empty() && self.take_up();
            if self.writable {
                self.writable = self.session.flush(&self.stream)?;
            }
            if self.is_finished() {
                return Ok(if self.ended {
                    Next::Close
                } else {
                    Next::Linger
                });
            }
            let has_room = self.has_room();
            if cut && has_room {
                continue;
            }
            let stops = self.input != Input::Open || self.blocked || !has_room;
            if stops {
                return Ok(Next::Wait);
            }
            if !self.readable {
                if !self.session.is_leaving() {
                    return Ok(Next::Wait);
                }
                // Nothing is on its way, or half a request that does not go on.
                self.input = Input::Ended;
                self.buf.clear();
                continue;
            }
            if reads == 0 {
                self.session.wants_more();
                return Ok(Next::Wait);
            }
            reads -= 1;
            self.read()?;
        }
    }

    /// The session is over.
    pub fn end(self, next: Next) {
        if self.session.close() {
            self.worker.forget_parts(&self.session);
        }
        self.worker.sessions.borrow_mut().remove(&self.session.id);
        if next == Next::Linger {
            self.worker.poller.remove(&self.stream);
            let Self { stream, alive, .. } = self;
            tokio::task::spawn_local(async move {
                linger(stream).await;
                drop(alive);
            });
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
        // What waits for room may wait long and in many steps: it is moved only if it is little.
        if !(cut || self.blocked) || self.buf.len() <= MOVE_BYTES_MAX {
            self.buf.thaw();
        }
        if taken > 0 {
            self.worker.local.counters().total.add(taken);
        }
        cut
    }

    fn has_room(&self) -> bool {
        let must_wait = || self.session.keeps_much() && self.worker.shared.is_memory_full();
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

    fn is_finished(&self) -> bool {
        if self.input == Input::Open && !self.session.has_ended() {
            return false;
        }
        let flushed = self.session.unread() == 0;
        let answered = self.session.is_answered() && !self.blocked;
        flushed && (self.session.has_ended() || (self.input == Input::Ended && answered))
    }

    fn read(&mut self) -> io::Result<()> {
        self.make_room();
        let spare = self.buf.capacity() - self.buf.len();
        let Some(read) = self.stream.read(self.buf.buffer())? else {
            self.readable = false;
            return Ok(());
        };
        if read == 0 {
            self.input = Input::Ended;
            self.ended = true;
        } else if read == spare {
            let max = self.worker.settings().session_recv_bufsize.as_usize();
            self.read_bytes = (self.read_bytes * 2).min(max.max(READ_BYTES_MIN));
        } else {
            // What comes from now on is another event; the end was one already.
            self.readable = self.ended;
        }
        self.worker.local.counters().bytes_in.add(read as u64);
        self.session.read_at.set(self.worker.local.now());
        Ok(())
    }

    fn make_room(&mut self) {
        self.buf.thaw();
        if self.buf.capacity() == 0 {
            let intake = self.worker.local.spare.lend_intake();
            (self.buf, self.scanner) = (Inbox::from(intake.buf), intake.scanner);
            self.lent = true;
        } else if self.buf.capacity() - self.buf.len() < self.read_bytes / 4 {
            self.buf.buffer().reserve(self.read_bytes);
        }
    }

    /// Gives the buffer back to the worker. What is left of a request stays here.
    fn settle_buffer(&mut self) {
        if self.buf.capacity() == 0 || (!self.lent && !self.buf.is_empty()) {
            return;
        }
        self.lent = false;
        let is_empty = self.buf.is_empty();
        let Some(buf) = self.buf.give_back(MOVE_BYTES_MAX) else {
            return;
        };
        let fresh = RequestScanner::new(Limits::default());
        let scanner = if is_empty {
            std::mem::replace(&mut self.scanner, fresh)
        } else {
            fresh
        };
        self.worker
            .local
            .spare
            .take_back_intake(Intake { buf, scanner });
    }
}
