//! A request on its way through a worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use codis_core::command::Access;
use codis_core::slot::SlotId;

use super::lane::Lane;
use super::migrate::job::Job;
use super::migrate::machine::Step;
use super::raw::Raw;
use super::reply::Reply;
use super::session::Session;
use super::split::Split;

/// A command that was split, and the place in its session that waits for the merged reply.
#[derive(Debug)]
pub struct SplitCommand {
    /// Whose it is.
    pub session: Rc<Session>,
    /// The place in the session's ring.
    pub place: u64,
    /// Keys, parts and replies.
    pub split: RefCell<Split>,
    /// The worst outcome of a part so far.
    pub outcome: Cell<Outcome>,
}

/// Who waits for the reply.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A session, at a place of its ring.
    Session(Rc<Session>, u64),
    /// A part of a split command.
    Part(Rc<SplitCommand>, usize),
    /// A request of a migrating slot, for one of its steps.
    Step(Rc<Job>, Step),
    /// Nobody: a connection looks whether its server is alive.
    Probe,
}

/// What a reply means beside its bytes; worse ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A backend answered, or the proxy did by right.
    Answered,
    /// The proxy does not pass such a request on; the client's fault.
    Refused,
    /// The proxy could not get an answer.
    Failed,
}

/// A request that waits for a reply.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is sent, a whole multi-bulk request.
    pub raw: Raw,
    /// Who waits.
    pub origin: Origin,
    /// Orders the requests of a worker; what is sent again keeps its number.
    pub ticket: u64,
    /// Since when it may be held, in microseconds of the worker's clock.
    pub since: u64,
    /// The slot that routes it. `None` for parts, which have the slots of their keys, and for
    /// requests that go to one backend by address.
    pub slot: Option<SlotId>,
    /// The database of its session.
    pub db: u16,
    /// Which of several connections its session uses.
    pub lane: Lane,
    /// Which servers may run it.
    pub access: Access,
    /// How often it was sent, whole or in part, without an answer.
    pub attempts: u8,
}

impl Request {
    /// Delivers a reply that no server gave.
    pub fn finish(self, reply: Reply<'_>, outcome: Outcome) {
        self.finish_from("", reply, outcome);
    }

    /// Delivers the reply of a server.
    pub fn finish_from(&self, backend: &str, reply: Reply<'_>, outcome: Outcome) {
        match &self.origin {
            Origin::Session(session, place) => {
                let took = session.complete(*place, reply, outcome);
                session.note_time(took, self.since, &self.raw, backend);
            }
            Origin::Part(command, part) => {
                let outcome = outcome.max(command.outcome.get());
                command.outcome.set(outcome);
                let session = &command.session;
                let reply = if session.is_closed() {
                    Bytes::new()
                } else {
                    reply.into_bytes()
                };
                let mut split = command.split.borrow_mut();
                let before = split.kept_bytes();
                let merged = split.answer(*part, reply);
                session.count_parts(before, split.kept_bytes());
                drop(split);
                if let Some(merged) = merged {
                    let reply = Reply::Shared(merged);
                    let took = session.complete(command.place, reply, outcome);
                    session.note_time(took, self.since, command.split.borrow().raw(), backend);
                }
            }
            Origin::Step(job, step) => job.clone().told(*step, reply, outcome),
            Origin::Probe => {}
        }
    }

    /// Whether `test` holds for a slot of this request.
    pub fn any_slot(&self, mut test: impl FnMut(SlotId) -> bool) -> bool {
        match (&self.origin, self.slot) {
            (Origin::Part(command, part), _) => command.split.borrow().slots(*part).any(test),
            (_, Some(slot)) => test(slot),
            (_, None) => false,
        }
    }

    /// Whether a slot routes it, so that another backend could answer as well.
    pub fn is_routed(&self) -> bool {
        self.slot.is_some() || matches!(self.origin, Origin::Part(..))
    }

    /// The session that waits.
    pub fn session(&self) -> Option<&Rc<Session>> {
        match &self.origin {
            Origin::Session(session, _) => Some(session),
            Origin::Part(command, _) => Some(&command.session),
            Origin::Step(job, _) => Some(&job.session),
            Origin::Probe => None,
        }
    }

    /// Whether nobody waits any more and nothing would change: it need not be sent.
    pub fn is_moot(&self) -> bool {
        self.access != Access::Write && self.session().is_some_and(|session| session.is_closed())
    }
}
