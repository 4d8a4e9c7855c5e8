//! One connection to a backend: its queue, what is in flight on it, and its life.
//!
//! Requests wait in the queue until the link task ([`super::link`]) takes them into its buffer;
//! from then on they are in flight, in the order in which replies will come. When the link is
//! lost, the rules of [`super::rule`] say what becomes of each ([`super::loss`]). While it is down
//! the queue waits for it, or for a route that leads elsewhere, each request up to its hold.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use codis_core::backoff::Backoff;
use codis_core::command::Access;

use super::dial;
use super::figures::LinkFigures;
use super::lane::Lane;
use super::link;
use super::loss::Flight;
use super::poller::Place;
use super::raw::Raw;
use super::reply::{self, Reply};
use super::request::{Origin, Outcome, Request};
use super::session::Session;
use super::worker::{Local, Worker};
use crate::route::BackendId;

/// Bytes in the queue of one connection before sessions that fill it stop reading.
const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Requests in the queue of one connection before sessions that fill it stop reading.
const QUEUE_LEN_MAX: usize = 64 * 1024;
/// At so many times these limits every session that would add to the queue stops reading.
const QUEUE_FACTOR_MAX: usize = 4;
/// The first pause between two dials, and the longest one.
const DIAL_PAUSE_MIN: Duration = Duration::from_millis(5);
const DIAL_PAUSE_MAX: Duration = Duration::from_millis(250);
/// After so many holds without a link, requests fail at once instead of waiting.
const HOLDS_BEFORE_FAILING_FAST: u64 = 10;
/// With requests in flight and no reply for so long, no more is sent: the server is busy, and then
/// sending more gains nothing, or frozen, and then what was not sent can go to the next master.
const STALL_MIN: Duration = Duration::from_millis(100);
/// A replica that does not answer for so long is not asked any more; its reads go elsewhere.
const REPLICA_QUIET_MAX: Duration = Duration::from_millis(500);
/// How long requests wait for the first dial, however short the hold is.
const FIRST_DIAL_MAX: Duration = Duration::from_secs(1);
/// Idle links are not probed more often than this.
const PROBE_PERIOD_MIN: Duration = Duration::from_secs(1);
/// A link that lasted so long was a good one: the next dial follows at once.
const GOOD_LINK_MIN: Duration = Duration::from_secs(1);

/// Whether a connection is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    /// Never dialled, or being dialled for the first time.
    Fresh,
    /// Requests flow.
    Up,
    /// Lost or refused since that time, for that reason.
    Down(u64, Rc<str>),
}

#[derive(Debug)]
pub(super) struct State {
    pub link: LinkState,
    pub queue: VecDeque<Request>,
    pub queue_bytes: usize,
    pub flight: VecDeque<Flight>,
    /// Bytes taken into the buffer of the link, and bytes that left it.
    pub taken: u64,
    pub sent: u64,
    local: Rc<Local>,
    /// Where the link is, as long as it is up.
    place: Option<Place>,
    /// Why the link was lost, until the connection has taken it up.
    ended: Option<String>,
    waker: Option<Waker>,
    pub woken: bool,
    pub waiters: Vec<Rc<Session>>,
    pub closing: bool,
    /// Somebody would use it once it is up.
    pub wanted: bool,
    pub kill: Option<Rc<str>>,
    pub stale_until: u64,
    /// Nothing more is sent until a reply comes.
    pub stalled: bool,
    /// When the last reply came, or the first request in flight left.
    pub progress_at: u64,
}

/// A connection to one database of one backend.
#[derive(Debug)]
pub struct Conn {
    /// The backend.
    pub backend: BackendId,
    /// Its address.
    pub address: Arc<str>,
    /// The database.
    pub db: u16,
    /// Which of several, and what is spoken on it.
    pub lane: Lane,
    /// What it shows of itself.
    pub figures: Arc<LinkFigures>,
    pub(super) state: RefCell<State>,
}

impl Conn {
    pub(super) fn new(
        local: Rc<Local>,
        backend: BackendId,
        address: Arc<str>,
        db: u16,
        lane: Lane,
    ) -> Self {
        let state = State {
            link: LinkState::Fresh,
            queue: VecDeque::new(),
            queue_bytes: 0,
            flight: VecDeque::new(),
            taken: 0,
            sent: 0,
            local,
            place: None,
            ended: None,
            waker: None,
            woken: false,
            waiters: Vec::new(),
            closing: false,
            wanted: false,
            kill: None,
            stale_until: 0,
            stalled: false,
            progress_at: 0,
        };
        Self {
            backend,
            figures: Arc::new(LinkFigures::new(address.clone())),
            address,
            db,
            lane,
            state: RefCell::new(state),
        }
    }

    /// Whether a replica may be read over it.
    pub fn is_readable(&self, now: u64) -> bool {
        let state = self.state.borrow();
        state.link == LinkState::Up && state.stale_until <= now
    }

    /// Whether the link is up.
    pub fn is_up(&self) -> bool {
        self.state.borrow().link == LinkState::Up
    }

    /// Whether nothing is queued or in flight.
    pub fn is_quiet(&self) -> bool {
        let state = self.state.borrow();
        state.queue.is_empty() && state.flight.is_empty()
    }

    /// Requests that have not left.
    pub fn queued(&self) -> usize {
        self.state.borrow().queue.len()
    }

    /// Whether a session may not add to the queue; it is woken when that has changed. A full queue
    /// stops those that have much under way already; the others go on, so that a backend that
    /// hangs does not keep them from the rest.
    pub fn is_full(&self, session: &Rc<Session>) -> bool {
        let mut state = self.state.borrow_mut();
        if !state.is_filled(1) || !(session.waits_for_much() || state.is_filled(QUEUE_FACTOR_MAX)) {
            return false;
        }
        if !state.waiters.iter().any(|one| Rc::ptr_eq(one, session)) {
            state.waiters.push(session.clone());
        }
        true
    }

    /// Queues a request.
    pub fn push(&self, worker: &Worker, request: Request) {
        let mut state = self.state.borrow_mut();
        if let LinkState::Down(since, reason) = &state.link {
            let down = worker.local.now().saturating_sub(*since);
            if down > worker.hold() * HOLDS_BEFORE_FAILING_FAST {
                let reply = Reply::Shared(reply::backend_failure(reason));
                drop(state);
                return request.finish(reply, Outcome::Failed);
            }
        }
        state.enqueue(request);
    }

    /// Does not read from it for a while: it said that its data is not what it should be.
    pub fn mark_stale(&self, until: u64) {
        self.state.borrow_mut().stale_until = until;
    }

    /// Dials, although no request waits for it yet.
    pub fn want(&self) {
        let mut state = self.state.borrow_mut();
        if state.link == LinkState::Fresh && !state.wanted {
            state.wanted = true;
            state.wake();
        }
    }

    /// Ends the link as lost.
    pub fn kill(&self, reason: &str) {
        let mut state = self.state.borrow_mut();
        if state.link == LinkState::Up {
            state.kill = Some(Rc::from(reason));
            state.wake();
        }
    }

    /// Ends the connection; nothing may be pushed any more.
    pub fn close(&self) {
        let mut state = self.state.borrow_mut();
        state.closing = true;
        state.wake();
    }

    /// Looks at the deadlines of this connection.
    pub fn sweep(&self, worker: &Rc<Worker>) {
        self.show();
        if self.is_up() {
            self.sweep_link(worker);
        } else {
            self.sweep_queue(worker);
        }
    }

    fn show(&self) {
        let state = self.state.borrow();
        let figures = &self.figures;
        figures.up.set(u64::from(state.link == LinkState::Up));
        figures.queued.set(state.queue.len() as u64);
        figures.in_flight.set(state.flight.len() as u64);
    }

    fn sweep_link(&self, worker: &Rc<Worker>) {
        let micros = |span: Duration| span.as_micros() as u64;
        let settings = worker.settings();
        let receive = micros(settings.backend_recv_timeout.duration());
        let send = micros(settings.backend_send_timeout.duration());
        let ping = micros(settings.backend_ping_period.duration());
        let now = worker.local.now();
        let mut state = self.state.borrow_mut();
        let quiet = now.saturating_sub(state.progress_at);
        if state.flight.is_empty() {
            if ping > 0 && quiet > ping.max(micros(PROBE_PERIOD_MIN)) {
                state.progress_at = now;
                state.enqueue(probe(worker));
            }
            return;
        }
        state.stalled = quiet > micros(STALL_MIN);
        let unsent = state.sent < state.taken;
        let is_stuck = send > 0 && unsent && quiet > send;
        let is_late = is_stuck || (receive > 0 && quiet > receive);
        let is_mute = quiet > micros(REPLICA_QUIET_MAX) && !worker.is_master(self.backend);
        if is_late || is_mute {
            state.kill = Some(Rc::from("i/o timeout"));
            state.wake();
        }
    }

    fn sweep_queue(&self, worker: &Rc<Worker>) {
        let now = worker.local.now();
        let mut state = self.state.borrow_mut();
        let (reason, limit): (Rc<str>, u64) = match &state.link {
            LinkState::Down(_, reason) => (reason.clone(), worker.hold()),
            LinkState::Fresh | LinkState::Up => {
                let limit = worker.hold().max(FIRST_DIAL_MAX.as_micros() as u64);
                (Rc::from("no connection yet"), limit)
            }
        };
        let late = state.take_queue(|request| now.saturating_sub(request.since) > limit);
        drop(state);
        for request in late {
            let reply = Reply::Shared(reply::backend_failure(&reason));
            request.finish(reply, Outcome::Failed);
        }
    }
}

fn probe(worker: &Worker) -> Request {
    Request {
        raw: Raw::from(Bytes::from_static(b"*1\r\n$4\r\nPING\r\n")),
        origin: Origin::Probe,
        ticket: 0,
        since: worker.local.now(),
        slot: None,
        db: 0,
        lane: Lane::default(),
        access: Access::Write,
        attempts: 0,
    }
}

impl State {
    /// Whether the queue has reached `factor` times its limits.
    fn is_filled(&self, factor: usize) -> bool {
        self.queue_bytes >= QUEUE_BYTES_MAX * factor || self.queue.len() >= QUEUE_LEN_MAX * factor
    }

    /// Gives the link a turn, or the connection when there is no link.
    pub(super) fn wake(&mut self) {
        if !std::mem::replace(&mut self.woken, true) {
            match (self.place, &self.waker) {
                (Some(place), _) => self.local.marks.link(place),
                (None, Some(waker)) => waker.wake_by_ref(),
                (None, None) => {}
            }
        }
    }

    /// Whether the link has something to write.
    pub(super) fn has_more(&self) -> bool {
        !self.queue.is_empty() && !self.stalled && !self.local.held.is_up()
    }

    /// Gives the link a turn for what was queued while nothing might leave.
    pub(super) fn go_on(&mut self) {
        if !self.queue.is_empty() {
            self.wake();
        }
    }

    pub(super) fn begin_link(&mut self, place: Place, now: u64) {
        self.link = LinkState::Up;
        self.place = Some(place);
        self.ended = None;
        self.stalled = false;
        self.kill = None;
        self.taken = 0;
        self.sent = 0;
        self.progress_at = now;
        self.woken = false;
        self.wake();
    }

    pub(super) fn end_link(&mut self, reason: String) {
        self.place = None;
        self.ended = Some(reason);
        self.woken = false;
        self.wake();
    }

    /// Puts a request at the end of the queue.
    pub(super) fn enqueue(&mut self, request: Request) {
        self.queue_bytes += request.raw.len();
        self.queue.push_back(request);
        self.wake();
    }

    /// Puts a request that is older than all others at the head of the queue.
    pub(super) fn enqueue_first(&mut self, request: Request) {
        self.queue_bytes += request.raw.len();
        self.queue.push_front(request);
    }

    /// Takes the oldest request.
    pub(super) fn dequeue(&mut self) -> Option<Request> {
        let request = self.queue.pop_front()?;
        self.queue_bytes -= request.raw.len();
        if self.queue.is_empty() {
            // The next one takes the first place again, which the processor still has at hand.
            self.queue.clear();
        }
        Some(request)
    }

    /// Takes the oldest request in flight, which is answered.
    #[inline]
    pub(super) fn land(&mut self) -> Option<Flight> {
        let flight = self.flight.pop_front();
        if self.flight.is_empty() {
            self.flight.clear();
        }
        flight
    }

    /// Removes the queued requests that `take` names, in order.
    pub(super) fn take_queue(&mut self, take: impl Fn(&Request) -> bool) -> Vec<Request> {
        if !self.queue.iter().any(&take) {
            return Vec::new();
        }
        let mut taken = Vec::new();
        for request in std::mem::take(&mut self.queue) {
            if take(&request) {
                self.queue_bytes -= request.raw.len();
                taken.push(request);
            } else {
                self.queue.push_back(request);
            }
        }
        self.wake_waiters();
        taken
    }

    /// Lets sessions read on when half of the queue is free.
    pub(super) fn wake_waiters(&mut self) {
        let roomy = self.queue_bytes < QUEUE_BYTES_MAX / 2 && self.queue.len() < QUEUE_LEN_MAX / 2;
        if roomy && !self.waiters.is_empty() {
            for session in self.waiters.drain(..) {
                session.wake();
            }
        }
    }
}

/// Keeps a connection alive for as long as a slot refers to its backend.
pub(super) async fn run(worker: Rc<Worker>, conn: Rc<Conn>) {
    let seed = worker.next_ticket() ^ (u64::from(conn.backend.0) << 32);
    let mut backoff = Backoff::new(DIAL_PAUSE_MIN, DIAL_PAUSE_MAX, seed);
    while wanted(&worker, &conn).await {
        let started = worker.local.now();
        let reason = match dial::open(&worker, &conn).await {
            Ok(stream) => link::serve(&worker, &conn, stream).await,
            Err(reason) => reason,
        };
        worker.local.tick();
        let is_news = {
            let state = conn.state.borrow();
            !state.closing && !matches!(state.link, LinkState::Down(..))
        };
        if is_news {
            tracing::warn!(backend = %conn.address, db = conn.db, reason, "backend link lost");
        }
        conn.lost(&worker, &reason);
        conn.state.borrow_mut().wake_waiters();
        if !conn.is_useful(&worker) {
            conn.fail_queue(&reason);
        }
        if conn.state.borrow().closing {
            break;
        }
        if worker.local.now() - started > GOOD_LINK_MIN.as_micros() as u64 {
            backoff.reset();
        } else {
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }
}

/// Waits until the connection is needed: a request waits, or the link has been lost and is to be
/// found again. Gives `false` when it is closed.
async fn wanted(worker: &Worker, conn: &Conn) -> bool {
    poll_fn(|cx| {
        let mut state = conn.state.borrow_mut();
        state.woken = false;
        state.waker = Some(cx.waker().clone());
        if state.closing {
            return Poll::Ready(false);
        }
        let is_down = matches!(state.link, LinkState::Down(..));
        let is_awaited = (is_down || state.wanted) && conn.is_useful(worker);
        if is_awaited || !state.queue.is_empty() {
            return Poll::Ready(true);
        }
        Poll::Pending
    })
    .await
}

impl Conn {
    /// Fails what waits for a link.
    fn fail_queue(&self, reason: &str) {
        let queue = self.state.borrow_mut().take_queue(|_| true);
        for request in queue {
            let reply = Reply::Shared(reply::backend_failure(reason));
            request.finish(reply, Outcome::Failed);
        }
    }

    /// Waits for the end of the link, and gives its reason.
    pub(super) async fn link_lost(&self) -> String {
        poll_fn(|cx| {
            let mut state = self.state.borrow_mut();
            match state.ended.take() {
                Some(reason) => Poll::Ready(reason),
                None => {
                    state.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
