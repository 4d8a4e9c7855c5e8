//! What a client waits for: its requests in order, and the replies on their way out.
//!
//! This is the half of a client connection that connections to backends complete replies into; the
//! other half ([`super::io`]) owns the socket. A session has room while the pipeline, the bytes of
//! waiting requests and the bytes of unread replies are below their limits; beyond them it is not
//! closed, it just reads no further. One that waits for nothing holds no buffers: they belong to
//! the worker and are lent to those that are busy ([`super::spare`]).

mod limits;

use std::cell::{Cell, Ref, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use codis_core::resp::Protocol;

use super::memory;
use super::outgoing::Outgoing;
use super::poller::Place;
use super::reply::Reply;
use super::request::Outcome;
use super::ring::{Done, Meta};
use super::spare::Busy;
use super::stream::Stream;
use super::worker::Local;

/// Bytes of requests of one session that may wait for replies; one request may exceed it.
pub const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of replies that a client has not read yet, or that wait for others before them, before
/// its session stops reading.
pub const UNREAD_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of replies that the requests in flight of one session may bring, by the size of its last
/// replies. A client that asks for large values has few in flight, so it cannot fill the memory.
const EXPECTED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What a reply is expected to bring before the first one has come.
const EXPECTED_BYTES_FIRST: usize = 32 * 1024;
/// Requests in flight that a session is always allowed, if its pipeline is that long.
const IN_FLIGHT_MIN: usize = 32;

/// What backends complete replies into.
#[derive(Debug)]
pub struct Session {
    /// Unique in the process.
    pub id: u64,
    /// The address of the client, if it has one.
    peer: Option<SocketAddr>,
    /// What the client calls itself.
    name: RefCell<Vec<u8>>,
    protocol: Cell<Protocol>,
    pub(super) local: Rc<Local>,
    state: RefCell<State>,
    place: Cell<Option<Place>>,
    woken: Cell<bool>,
    again: Cell<bool>,
    closed: Cell<bool>,
    killed: Cell<bool>,
    leaving: Cell<bool>,
    pub(super) read_at: Cell<u64>,
    write_at: Cell<u64>,
}

#[derive(Debug)]
struct State {
    /// Requests and replies; none while nothing waits.
    busy: Option<Box<Busy>>,
    /// The number that the next request gets.
    next: u64,
    /// The mean size of the last replies.
    reply_bytes: usize,
    /// A reply that is to be the last one is there; no more requests are taken.
    ending: bool,
    /// The last reply has been delivered.
    last: bool,
}

impl Session {
    /// A session without a socket yet.
    pub(super) fn new(id: u64, peer: Option<SocketAddr>, local: Rc<Local>) -> Self {
        let now = local.now();
        Self {
            id,
            peer,
            name: RefCell::default(),
            protocol: Cell::default(),
            local,
            state: RefCell::new(State {
                busy: None,
                next: 0,
                reply_bytes: EXPECTED_BYTES_FIRST,
                ending: false,
                last: false,
            }),
            place: Cell::new(None),
            woken: Cell::new(false),
            again: Cell::new(false),
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

    /// What the client speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol.get()
    }

    /// Whether the client speaks RESP3.
    pub fn is_resp3(&self) -> bool {
        self.protocol() == Protocol::Resp3
    }

    /// Takes what the client is going to speak.
    pub fn set_protocol(&self, protocol: Protocol) {
        self.protocol.set(protocol);
    }

    /// Whether the client is gone.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Says where the other half is.
    pub(super) fn settle(&self, place: Place) {
        self.place.set(Some(place));
    }

    /// The client is gone. Requests under way still refer to the session, but not to its replies.
    /// Gives whether parts of split commands keep replies.
    pub(super) fn close(&self) -> bool {
        self.closed.set(true);
        self.place.set(None);
        let busy = self.state.borrow_mut().busy.take();
        busy.is_some_and(|busy| busy.part_bytes > 0)
    }

    /// Gives the session a turn: replies are there, room has come, or the worker stops.
    pub fn wake(&self) {
        if let Some(place) = self.place.get()
            && !self.woken.replace(true)
        {
            self.local.marks.session(place);
        }
    }

    /// Its turn has come. What wakes it meanwhile is seen in the same turn.
    pub(super) fn begin_turn(&self) {
        self.woken.set(true);
        self.again.set(false);
    }

    /// Its turn is not enough.
    pub(super) fn wants_more(&self) {
        self.again.set(true);
    }

    pub(super) fn end_turn(&self) {
        self.woken.set(false);
        if self.again.get() {
            self.wake();
        }
    }

    /// Ends the session without another word.
    pub fn kill(&self) {
        self.killed.set(true);
        self.wake();
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    pub(super) fn is_killed(&self) -> bool {
        self.killed.get()
    }

    /// Microseconds since something was read; since something was written while replies wait.
    pub fn idle(&self) -> (u64, Option<u64>) {
        let now = self.local.now();
        let read = now.saturating_sub(self.read_at.get());
        let written = now.saturating_sub(self.write_at.get());
        (read, (self.unread() > 0).then_some(written))
    }

    /// Bytes of replies that have not left.
    pub(super) fn unread(&self) -> usize {
        let state = self.state.borrow();
        state.busy.as_ref().map_or(0, |busy| busy.out.len())
    }

    /// Takes a place in the ring for a request that is decoded now.
    pub fn open(&self, command: u16, bytes: usize) -> u64 {
        let meta = Meta {
            command,
            bytes: bytes as u32,
            born: self.local.now(),
        };
        self.local.stir();
        let mut state = self.state.borrow_mut();
        let place = state.busy(&self.local).ring.push(meta);
        state.next = place + 1;
        place
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
        let busy = state.busy(&self.local);
        let is_head = busy.ring.is_head(place);
        let before = busy.reply_bytes();
        if busy.out.is_empty() && (is_head || before == 0) {
            self.write_at.set(self.local.now());
        }
        if !is_head {
            let meta = busy.ring.complete(place, Done { reply, last });
            let after = busy.reply_bytes();
            drop(state);
            if memory::is_step(before, after) {
                self.wake();
            }
            return meta;
        }
        let meta = busy.ring.take_head()?;
        let Busy { ring, out, .. } = busy;
        let mut ended = self.deliver(out, meta, &reply, last);
        while !ended && let Some((meta, done)) = ring.pop_done() {
            ended = self.deliver(out, meta, &done.reply, done.last);
        }
        state.last = ended;
        drop(state);
        self.wake();
        Some(meta)
    }

    /// Moves a reply to the output. Gives whether it is the last one.
    fn deliver(&self, out: &mut Outgoing, meta: Meta, reply: &Reply<'_>, last: bool) -> bool {
        let micros = self.local.now().saturating_sub(meta.born);
        let counters = self.local.counters();
        counters.delivered(meta.command, micros, reply.bytes());
        match reply {
            Reply::Slice(slice) => out.copy(slice),
            Reply::Shared(bytes) => out.push(bytes),
        }
        last
    }

    pub(super) fn has_room(&self) -> bool {
        let state = self.state.borrow();
        if state.ending {
            return false;
        }
        let Some(busy) = &state.busy else {
            return true;
        };
        let pipeline = self.local.settings.session_max_pipeline.max(1);
        let expected = EXPECTED_BYTES_MAX / state.reply_bytes.max(1);
        busy.ring.len() < pipeline.min(expected.max(IN_FLIGHT_MIN))
            && busy.ring.bytes() < WAITING_BYTES_MAX
            && busy.reply_bytes() < UNREAD_BYTES_MAX
    }

    /// Whether no request waits for a reply.
    pub(super) fn is_answered(&self) -> bool {
        let state = self.state.borrow();
        state.busy.as_ref().is_none_or(|busy| busy.ring.is_empty())
    }

    /// Whether replies wait that would leave sooner than those of the requests behind them.
    pub(super) fn is_partly_answered(&self) -> bool {
        let state = self.state.borrow();
        let busy = state.busy.as_ref();
        busy.is_some_and(|busy| !busy.ring.is_empty() && !busy.out.is_empty())
    }

    /// Whether the reply after which the session closes has been delivered.
    pub(super) fn has_ended(&self) -> bool {
        self.state.borrow().last
    }

    /// Writes what has been answered. Gives whether the socket took all of it.
    pub(super) fn flush(&self, stream: &Stream) -> io::Result<bool> {
        let mut state = self.state.borrow_mut();
        let Some(busy) = &mut state.busy else {
            return Ok(true);
        };
        while !busy.out.is_empty() {
            let Some(written) = busy.out.write(stream)? else {
                return Ok(false);
            };
            self.local.counters().bytes_out.add(written as u64);
            self.write_at.set(self.local.now());
        }
        if busy.ring.is_empty()
            && let Some(busy) = state.busy.take()
        {
            self.local.spare.take_back(busy);
        }
        Ok(true)
    }
}

impl State {
    /// What the session waits for; lent by the worker when there was nothing.
    fn busy(&mut self, local: &Local) -> &mut Busy {
        self.busy.get_or_insert_with(|| local.spare.lend(self.next))
    }

    #[cold]
    fn count_failure(&self, local: &Local, place: u64) {
        let counters = local.counters();
        counters.fails.add(1);
        let meta = self.busy.as_ref().and_then(|busy| busy.ring.meta(place));
        if let Some(meta) = meta {
            counters.commands[usize::from(meta.command)].fails.add(1);
        }
    }
}
