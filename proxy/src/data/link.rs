//! The socket of a connection to a backend: dial, write what is queued, read replies.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use codis_core::addr::unix_path;
use codis_core::resp::{Limits, ReplyScanner, encode_command};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::buffer;
use super::conn::{Conn, Flight, LinkState};
use super::listen::keepalive;
use super::outgoing::{Outgoing, SHARE_BYTES_MIN};
use super::reply::Reply;
use super::request::Outcome;
use super::rule;
use super::socket;
use super::worker::Worker;
use crate::settings::Settings;

/// How long a dial and its handshake may take.
const DIAL_MAX: Duration = Duration::from_secs(5);
/// Bytes that are always gathered for one write before the socket is tried.
const GATHER_BYTES_MIN: usize = 4 * 1024;
/// Reads in one wake-up.
const READS_PER_WAKE: usize = 4;
/// What a reply may be: more than a request, since an answer may be larger than any question, and
/// closing the connection would punish the requests behind it.
const REPLY_LIMITS: Limits = Limits {
    array_len_max: u32::MAX as usize,
    bulk_bytes_max: u32::MAX as usize,
    inline_bytes_max: 0,
    depth_max: 1024 * 1024,
};

/// Dials, authenticates and selects the database.
pub(super) async fn open(worker: &Worker, conn: &Conn) -> Result<TcpStream, String> {
    let opened = tokio::time::timeout(DIAL_MAX, dial(worker, conn)).await;
    match opened {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(reason)) => Err(reason),
        Err(_) => Err(format!("dial {}: i/o timeout", conn.address)),
    }
}

async fn dial(worker: &Worker, conn: &Conn) -> Result<TcpStream, String> {
    let settings = worker.settings();
    let address: &str = &conn.address;
    let say = |error: io::Error| format!("dial {address}: {error}");
    let mut stream = connect(address, settings).await.map_err(say)?;
    let mut hello = Vec::new();
    // A frozen server accepts connections: only an answer shows that somebody is there.
    let mut expected = 1;
    if !settings.product_auth.is_empty() {
        encode_command(&mut hello, &["AUTH", &settings.product_auth]);
        expected += 1;
    }
    if conn.db != 0 {
        encode_command(&mut hello, &["SELECT", &conn.db.to_string()]);
        expected += 1;
    }
    encode_command(&mut hello, &["PING"]);
    stream.write_all(&hello).await.map_err(say)?;
    let mut buf = BytesMut::new();
    let mut scanner = ReplyScanner::new(Limits::default());
    while expected > 0 {
        match scanner
            .scan(&buf)
            .map_err(|error| format!("dial {address}: {error}"))?
        {
            Some(len) => {
                let reply = buf.split_to(len);
                // The last reply is that of PING; a server that is loading is there.
                let is_there = expected == 1 && rule::is_alive(&reply);
                if reply.first() != Some(&b'+') && !is_there {
                    let text = String::from_utf8_lossy(&reply);
                    return Err(format!("dial {address}: {}", text.trim()));
                }
                scanner.reset();
                expected -= 1;
            }
            None => {
                if stream.read_buf(&mut buf).await.map_err(say)? == 0 {
                    return Err(format!("dial {address}: EOF"));
                }
            }
        }
    }
    Ok(stream)
}

async fn connect(address: &str, settings: &Settings) -> io::Result<TcpStream> {
    if let Some(path) = unix_path(address) {
        return socket::dial_path(path).await;
    }
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    keepalive(&stream, settings.backend_keepalive_period.duration())?;
    Ok(stream)
}

/// Serves the connection until the link is lost, and says why.
pub(super) async fn serve(worker: &Rc<Worker>, conn: &Rc<Conn>, stream: TcpStream) -> String {
    {
        let mut state = conn.state.borrow_mut();
        let was_down = matches!(state.link, LinkState::Down(..));
        if was_down {
            tracing::info!(backend = %conn.address, db = conn.db, "backend link is back");
        }
        state.link = LinkState::Up;
        state.stalled = false;
        state.kill = None;
        state.taken = 0;
        state.sent = 0;
        state.progress_at = worker.local.now();
    }
    let mut link = Link {
        worker,
        conn,
        stream,
        buf: BytesMut::new(),
        scanner: ReplyScanner::new(REPLY_LIMITS),
        out: Outgoing::default(),
        broken: None,
        read_bytes: READ_BYTES_MIN.min(worker.settings().backend_recv_bufsize.as_usize().max(4096)),
    };
    poll_fn(|cx| link.poll(cx)).await
}

/// A reply is copied if it is less than this part of the read buffer: a client that does not read
/// it would keep all of the buffer in memory.
const SHARE_PART: usize = 8;
/// A fresh read buffer; it grows up to `backend_recv_bufsize`.
const READ_BYTES_MIN: usize = 32 * 1024;

struct Link<'a> {
    worker: &'a Rc<Worker>,
    conn: &'a Rc<Conn>,
    stream: TcpStream,
    buf: BytesMut,
    scanner: ReplyScanner,
    out: Outgoing,
    /// Why nothing can be written any more. What the server has answered is still read.
    broken: Option<io::Error>,
    read_bytes: usize,
}

impl Link<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        self.worker.local.tick();
        {
            let mut state = self.conn.state.borrow_mut();
            state.register(cx);
            if let Some(reason) = state.kill.take() {
                return Poll::Ready(reason.to_string());
            }
            if state.closing {
                return Poll::Ready("closed".to_owned());
            }
        }
        match self.turn(cx) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(error.to_string()),
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut reads = READS_PER_WAKE;
        let mut replied = false;
        loop {
            let mut progress = self.write(cx);
            if self.conn.state.borrow().flight.is_empty()
                && let Some(error) = self.broken.take()
            {
                return Err(error);
            }
            if reads == 0 {
                cx.waker().wake_by_ref();
                break;
            }
            if self.read(cx)? {
                reads -= 1;
                progress = true;
                replied = true;
            }
            if !progress {
                break;
            }
        }
        if replied {
            self.worker.check_drained();
        }
        Ok(())
    }

    /// Takes requests from the queue into the buffer.
    fn gather(&mut self) {
        let settings = self.worker.settings();
        let max = settings.backend_max_pipeline.max(1);
        let gathered = settings.backend_send_bufsize.as_usize();
        let gathered_max = gathered.max(GATHER_BYTES_MIN);
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
            self.out.push(&request.raw);
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

    /// Gives whether anything was written.
    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut wrote = false;
        while self.broken.is_none() {
            self.gather();
            if self.out.is_empty() {
                break;
            }
            match self.out.poll_write(Pin::new(&mut self.stream), cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(n)) => {
                    wrote = true;
                    self.conn.state.borrow_mut().sent += n as u64;
                }
                Poll::Ready(Err(error)) => self.broken = Some(error),
            }
        }
        wrote
    }

    /// Gives whether anything was read.
    fn read(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
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
            return Ok(false);
        };
        match read.map_err(|error| self.broken.take().unwrap_or(error))? {
            0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "EOF")),
            n if n == spare => {
                let max = self
                    .worker
                    .settings()
                    .backend_recv_bufsize
                    .as_usize()
                    .max(self.read_bytes);
                self.read_bytes = (self.read_bytes * 2).min(max);
            }
            _ => {}
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
            replies += 1;
            let flight = self.conn.state.borrow_mut().flight.pop_front();
            let Some(flight) = flight else {
                return Err(io::Error::other("a reply without a request"));
            };
            if let Some(request) = flight.request {
                if len >= SHARE_BYTES_MIN.max(self.read_bytes / SHARE_PART) {
                    self.buf.advance(at);
                    at = 0;
                    let shared = self.buf.split_to(len).freeze();
                    buffer::release(&mut self.buf, len);
                    answer(self.worker, self.conn, request, Reply::Shared(shared));
                    continue;
                }
                let reply = Reply::Slice(&self.buf[at..at + len]);
                answer(self.worker, self.conn, request, reply);
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
fn answer(worker: &Rc<Worker>, conn: &Conn, request: super::request::Request, reply: Reply<'_>) {
    let bytes = reply.bytes();
    if bytes.first() == Some(&b'-') && request.is_routed() && rule::is_not_executed(bytes) {
        let pause = worker.settings().backend_ping_period.duration().as_micros() as u64;
        conn.mark_stale(worker.local.now() + pause.max(1_000_000));
        worker.refuse(request, reply);
        return;
    }
    if worker.has_refused() {
        worker.keep_order(&request);
    }
    request.finish_from(&conn.address, reply, Outcome::Answered);
}
