//! One request of a line, on its way.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use codis_core::command::Access;
use codis_core::slot::SlotId;

use super::machine::{Machine, Step};
use super::words::Words;
use crate::data::raw::Raw;
use crate::data::reply::Reply;
use crate::data::request::{Origin, Outcome, Request};
use crate::data::session::Session;
use crate::data::worker::Worker;
use crate::route::BackendId;

/// Requests of which session, for which slot.
pub type LineId = (u64, SlotId);

/// A request on its way through its machine, by one route.
pub struct Job {
    /// The line that it heads.
    pub line: LineId,
    /// Who waits.
    pub session: Rc<Session>,
    /// The owner so far.
    pub source: BackendId,
    /// The owner to be.
    pub target: BackendId,
    pub(super) machine: RefCell<Machine>,
    pub(super) words: Words,
    /// Nothing of it is under way; it waits to be resumed.
    pub(super) paused: Cell<bool>,
    /// The request itself is under way, so its deadline is that of its connection.
    pub(super) running: Cell<bool>,
    worker: Rc<Worker>,
    /// Gone once it was answered or went another way.
    request: RefCell<Option<Request>>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Job");
        out.field("line", &self.line)
            .field("source", &self.source)
            .field("target", &self.target);
        out.finish_non_exhaustive()
    }
}

impl Job {
    pub(super) fn new(
        worker: Rc<Worker>,
        line: LineId,
        session: Rc<Session>,
        request: Request,
        (source, target, method): (BackendId, BackendId, crate::route::Method),
    ) -> Rc<Self> {
        let words = Words::new(&request.raw.to_bytes());
        let reads = request.access != Access::Write;
        Rc::new(Self {
            line,
            session,
            source,
            target,
            machine: Machine::new(method, reads, words.keys()).into(),
            words,
            paused: Cell::new(false),
            running: Cell::new(false),
            worker,
            request: Some(request).into(),
        })
    }

    /// Takes the request out; replies to its steps mean nothing any more.
    pub(super) fn retire(&self) -> Option<Request> {
        self.request.borrow_mut().take()
    }

    pub(super) fn is_retired(&self) -> bool {
        self.request.borrow().is_none()
    }

    /// When the request began to wait, in microseconds of the worker's clock.
    pub(super) fn since(&self) -> Option<u64> {
        self.request.borrow().as_ref().map(|request| request.since)
    }

    /// What a step sends, as a request of its own.
    pub(super) fn request_of(self: &Rc<Self>, step: Step, target: &str) -> Option<Request> {
        let request = self.request.borrow();
        let request = request.as_ref()?;
        let access = match step {
            Step::Wrap | Step::Run => request.access,
            // These may be sent again; and none may go to a replica.
            Step::Move(_) | Step::MoveWrapped(_) | Step::Plain | Step::Exists => Access::ReadMaster,
        };
        let access = if access == Access::Read {
            Access::ReadMaster
        } else {
            access
        };
        Some(Request {
            raw: Raw::from(self.words.encode(step, target)),
            origin: Origin::Step(self.clone(), step),
            since: self.worker.local.now(),
            slot: Some(self.line.1),
            access,
            ..request.clone()
        })
    }

    /// Takes the reply to a step.
    pub fn told(self: Rc<Self>, step: Step, reply: Reply<'_>, outcome: Outcome) {
        let reply = reply.into_bytes();
        let worker = self.worker.clone();
        worker.line_event(super::lines::Event::Told {
            job: self,
            step,
            reply,
            outcome,
        });
    }
}

/// The error of a step, which the client reads as that of its request.
pub(super) fn step_error(reply: &Bytes) -> Bytes {
    match reply.strip_prefix(b"-ERR handle response, backend") {
        Some(rest) if !rest.starts_with(b" conn failure, outcome") => {
            Bytes::from([b"-ERR handle request, backend", rest].concat())
        }
        _ => reply.clone(),
    }
}
