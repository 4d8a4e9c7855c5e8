//! The socket of a connection to a backend: writes what is queued, reads replies.

use std::io;
use std::rc::Rc;

use bytes::{Buf, BytesMut};
use codis_core::resp::{Limits, ReplyScanner};

use super::buffer;
use super::conn::{Conn, LinkState};
use super::drive::Peer;
use super::io::Next;
use super::loss::Flight;
use super::outgoing::{Outgoing, SHARE_BYTES_MIN};
use super::poller::Ready;
use super::reply::Reply;
use super::request::Outcome;
use super::rule;
use super::stream::Stream;
use super::worker::Worker;

/// Bytes that are always gathered for one write before the socket is tried.
const GATHER_BYTES_MIN: usize = 4 * 1024;
/// Reads in one turn.
const READS_PER_TURN: usize = 4;
/// What a reply may be: more than a request, since an answer may be larger than any question, and
/// closing the connection would punish the requests behind it.
const REPLY_LIMITS: Limits = Limits {
    array_len_max: u32::MAX as usize,
    bulk_bytes_max: u32::MAX as usize,
    inline_bytes_max: 0,
    depth_max: 1024 * 1024,
};
/// A reply is copied if it is less than this part of the read buffer: a client that does not read
/// it would keep all of the buffer in memory.
const SHARE_PART: usize = 8;
/// A fresh read buffer; it grows up to `backend_recv_bufsize`.
const READ_BYTES_MIN: usize = 32 * 1024;

/// The socket's half of a connection.
#[derive(Debug)]
pub(super) struct Link {
    worker: Rc<Worker>,
    conn: Rc<Conn>,
    stream: Stream,
    buf: BytesMut,
    scanner: ReplyScanner,
    out: Outgoing,
    /// Why nothing can be written any more. What the server has answered is still read.
    broken: Option<io::Error>,
    read_bytes: usize,
    readable: bool,
    /// The peer has closed: whatever is left to read comes to an end.
    ended: bool,
    writable: bool,
    /// Why the link is lost.
    reason: String,
}

/// Serves the connection until the link is lost, and says why.
pub(super) async fn serve(worker: &Rc<Worker>, conn: &Rc<Conn>, stream: Stream) -> String {
    let read_max = worker.settings().backend_recv_bufsize.as_usize().max(4096);
    let link = Link {
        worker: worker.clone(),
        conn: conn.clone(),
        stream,
        buf: BytesMut::new(),
        scanner: ReplyScanner::new(REPLY_LIMITS),
        out: Outgoing::default(),
        broken: None,
        read_bytes: READ_BYTES_MIN.min(read_max),
        readable: false,
        ended: false,
        writable: true,
        reason: String::new(),
    };
    match link.start() {
        Ok(()) => conn.link_lost().await,
        Err(error) => error.to_string(),
    }
}

impl Link {
    fn start(self) -> io::Result<()> {
        let (worker, conn) = (self.worker.clone(), self.conn.clone());
        let mut peers = worker.peers.borrow_mut();
        let place = peers.insert(None);
        if let Err(error) = worker.poller.add(&self.stream, place) {
            peers.remove(place);
            return Err(error);
        }
        peers[place] = Some(Peer::Link(Box::new(self)));
        drop(peers);
        let mut state = conn.state.borrow_mut();
        if matches!(state.link, LinkState::Down(..)) {
            tracing::info!(backend = %conn.address, db = conn.db, "backend link is back");
        }
        state.begin_link(place, worker.local.now());
        Ok(())
    }

    /// Runs until there is nothing to do. An event only reads: what is to be written has its turn
    /// when all that is ready has been gathered.
    pub fn turn(&mut self, ready: Ready) -> Next {
        self.readable |= ready.readable;
        self.writable |= ready.writable;
        self.ended |= ready.ended;
        let is_event = ready != Ready::default();
        {
            let mut state = self.conn.state.borrow_mut();
            if !is_event {
                state.woken = false;
            }
            if state.closing {
                "closed".clone_into(&mut self.reason);
                return Next::Close;
            }
            if let Some(reason) = state.kill.take() {
                self.reason = reason.to_string();
                return Next::Close;
            }
        }
        match self.serve(is_event) {
            Ok(()) => Next::Wait,
            Err(error) => {
                self.reason = error.to_string();
                Next::Close
            }
        }
    }

    fn serve(&mut self, is_event: bool) -> io::Result<()> {
        if self.readable {
            self.read_on()?;
        }
        if !is_event || !self.out.is_empty() {
            self.write();
        }
        let mut state = self.conn.state.borrow_mut();
        if state.flight.is_empty()
            && let Some(error) = self.broken.take()
        {
            return Err(error);
        }
        if is_event && state.has_more() {
            state.wake();
        }
        Ok(())
    }

    /// The link is lost.
    pub fn end(self) {
        self.conn.state.borrow_mut().end_link(self.reason);
    }

    /// Takes requests from the queue into the buffer.
    fn gather(&mut self) {
        let settings = self.worker.settings();
        let max = settings.backend_max_pipeline.max(1);
        let gathered = settings.backend_send_bufsize.as_usize();
        let gathered_max = gathered.max(GATHER_BYTES_MIN);
        if self.worker.local.held.is_up() {
            return;
        }
        let mut state = self.conn.state.borrow_mut();
        let state = &mut *state;
        while !state.stalled && self.out.len() < gathered_max && state.flight.len() < max {
            let Some(request) = state.dequeue() else {
                break;
            };
            let len = request.raw.len();
            if request.is_moot() {
                continue;
            }
            if state.flight.is_empty() {
                state.progress_at = self.worker.local.now();
            }
            if len < SHARE_BYTES_MIN {
                self.out.copy(&request.raw);
            } else {
                self.out.push(&request.raw.to_bytes());
            }
            state.taken += len as u64;
            state.flight.push_back(Flight {
                request: Some(request),
                end: state.taken,
            });
        }
        if !state.waiters.is_empty() {
            state.wake_waiters();
        }
    }

    fn write(&mut self) {
        while self.broken.is_none() && self.writable {
            self.gather();
            if self.out.is_empty() {
                break;
            }
            match self.out.write(&self.stream) {
                Ok(None) => self.writable = false,
                Ok(Some(n)) => self.conn.state.borrow_mut().sent += n as u64,
                Err(error) => self.broken = Some(error),
            }
        }
    }

    fn read_on(&mut self) -> io::Result<()> {
        let mut replied = false;
        for _ in 0..READS_PER_TURN {
            if !self.readable {
                break;
            }
            replied |= self.read()?;
        }
        if replied {
            self.worker.check_drained();
        }
        if self.readable {
            self.conn.state.borrow_mut().wake();
        }
        Ok(())
    }

    /// Gives whether anything was read.
    fn read(&mut self) -> io::Result<bool> {
        let spare = self.buf.capacity() - self.buf.len();
        if spare < self.read_bytes / 4 {
            self.buf.reserve(self.read_bytes);
        }
        let spare = self.buf.capacity() - self.buf.len();
        let read = self.stream.read(&mut self.buf);
        match read.map_err(|error| self.broken.take().unwrap_or(error))? {
            None => {
                self.readable = false;
                return Ok(false);
            }
            Some(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "EOF")),
            Some(n) if n == spare => {
                let max = self.worker.settings().backend_recv_bufsize.as_usize();
                self.read_bytes = (self.read_bytes * 2).min(max.max(self.read_bytes));
            }
            // What comes from now on is another event; the end was one already.
            Some(_) => self.readable = self.ended,
        }
        {
            let mut state = self.conn.state.borrow_mut();
            state.progress_at = self.worker.local.now();
            state.stalled = false;
        }
        self.replies()?;
        Ok(true)
    }

    /// Hands out every complete reply in the buffer.
    fn replies(&mut self) -> io::Result<()> {
        let mut at = 0;
        let mut replies = 0;
        loop {
            let scanned = self.scanner.scan(&self.buf[at..]);
            let Some(len) = scanned.map_err(io::Error::other)? else {
                break;
            };
            self.scanner.reset();
            // A push of RESP3 answers no request.
            if self.buf[at] == b'>' {
                at += len;
                continue;
            }
            replies += 1;
            let flight = self.conn.state.borrow_mut().land();
            let Some(mut flight) = flight else {
                return Err(io::Error::other("a reply without a request"));
            };
            if flight.request.is_some() {
                if len >= SHARE_BYTES_MIN.max(self.read_bytes / SHARE_PART) {
                    self.buf.advance(at);
                    at = 0;
                    let shared = self.buf.split_to(len).freeze();
                    buffer::release(&mut self.buf, len);
                    answer(&self.worker, &self.conn, &mut flight, Reply::Shared(shared));
                    continue;
                }
                let reply = Reply::Slice(&self.buf[at..at + len]);
                answer(&self.worker, &self.conn, &mut flight, reply);
            }
            at += len;
        }
        self.conn.figures.replies.add(replies);
        self.buf.advance(at);
        buffer::release(&mut self.buf, at);
        Ok(())
    }
}

/// Delivers a reply, unless it says that the server did not run the request because of its role:
/// then the request is tried again elsewhere or later.
fn answer(worker: &Rc<Worker>, conn: &Conn, flight: &mut Flight, reply: Reply<'_>) {
    let Some(request) = &flight.request else {
        return;
    };
    let bytes = reply.bytes();
    if bytes.first() == Some(&b'-') && request.is_routed() && rule::is_not_executed(bytes) {
        let pause = worker.settings().backend_ping_period.duration().as_micros() as u64;
        conn.mark_stale(worker.local.now() + pause.max(1_000_000));
        if let Some(request) = flight.request.take() {
            worker.refuse(request, reply);
        }
        return;
    }
    if worker.has_refused() {
        worker.keep_order(request);
    }
    request.finish_from(&conn.address, reply, Outcome::Answered);
}
