//! Requests that a server refused because of its role: kept, and tried again.
//!
//! A master that was just demoted, or has just started, refuses what its successor, or itself a
//! moment later, will run. Every sweep tries what was refused again until the hold is over; then
//! the client gets the refusal. Trying again must not change the order in which a client's
//! requests for one slot run, so two rules hold: a request is not tried again while a later one of
//! the same session and slot may still run, and once a later one has run it is not tried any more.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use bytes::Bytes;
use codis_core::slot::SlotId;

use super::reply::Reply;
use super::request::{Outcome, Request};
use super::worker::Worker;

/// Requests that one worker keeps.
const REFUSED_MAX: usize = 65_536;
/// Bytes of requests that one worker keeps.
const REFUSED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A request with the refusal that it got.
#[derive(Debug)]
struct Refused {
    request: Request,
    reply: Bytes,
}

impl Refused {
    fn give_back(self) {
        self.request
            .finish(Reply::Shared(self.reply), Outcome::Answered);
    }
}

/// What one worker keeps.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    all: Vec<Refused>,
    bytes: usize,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Takes out what `test` names, oldest first.
    fn take(&mut self, test: impl Fn(&Request) -> bool) -> Vec<Refused> {
        let all = std::mem::take(&mut self.all);
        let (mut taken, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(|r| test(&r.request));
        self.all = kept;
        for refused in &taken {
            self.bytes -= refused.request.raw.len();
        }
        taken.sort_by_key(|refused| refused.request.ticket);
        taken
    }
}

/// The last request of each session and slot that may still run.
type Last = HashMap<(u64, SlotId), u64>;

impl Worker {
    /// Keeps a request that a server refused by role. When there is no room, or its hold is over,
    /// the refusal goes to the client.
    pub fn refuse(&self, request: Request, reply: Reply<'_>) {
        let mut waiting = self.refused.borrow_mut();
        let full = waiting.all.len() >= REFUSED_MAX || waiting.bytes >= REFUSED_BYTES_MAX;
        if full || self.is_overdue(&request) {
            drop(waiting);
            return request.finish(reply, Outcome::Answered);
        }
        waiting.bytes += request.raw.len();
        let reply = reply.into_bytes();
        waiting.all.push(Refused { request, reply });
    }

    /// Whether any request waits for a server that refused it by role.
    pub fn has_refused(&self) -> bool {
        !self.refused.borrow().all.is_empty()
    }

    /// A later request of the same session for the same slot was run, so an earlier one that was
    /// refused must not run any more.
    pub fn keep_order(&self, run: &Request) {
        let Some(session) = run.session() else {
            return;
        };
        let overtaken = |refused: &Request| {
            refused.ticket < run.ticket
                && refused.session().is_some_and(|s| Rc::ptr_eq(s, session))
                && refused.any_slot(|slot| run.any_slot(|other| other == slot))
        };
        let late = self.refused.borrow_mut().take(overtaken);
        for refused in late {
            refused.give_back();
        }
    }

    /// Takes out what may be tried again now, oldest first.
    pub(super) fn take_refused(&self) -> Vec<Request> {
        if !self.has_refused() {
            return Vec::new();
        }
        let last = self.last_under_way();
        let is_free = |request: &Request| {
            let Some(session) = request.session() else {
                return true;
            };
            !request.any_slot(|slot| {
                let last = last.get(&(session.id, slot));
                last.is_some_and(|ticket| *ticket > request.ticket)
            })
        };
        let taken = self.refused.borrow_mut().take(is_free);
        taken.into_iter().map(|refused| refused.request).collect()
    }

    /// What the sessions with refused requests have in flight or queued.
    fn last_under_way(&self) -> Last {
        let sessions: HashSet<u64> = self
            .refused
            .borrow()
            .all
            .iter()
            .filter_map(|refused| Some(refused.request.session()?.id))
            .collect();
        let mut last = Last::new();
        for conn in self.conns() {
            let state = conn.state.borrow();
            let flights = state.flight.iter().filter_map(|f| f.request.as_ref());
            for request in flights.chain(&state.queue) {
                let Some(session) = request.session().filter(|s| sessions.contains(&s.id)) else {
                    continue;
                };
                request.any_slot(|slot| {
                    let ticket = last.entry((session.id, slot)).or_default();
                    *ticket = request.ticket.max(*ticket);
                    false
                });
            }
        }
        last
    }

    pub(super) fn sweep_refused(self: &Rc<Self>) {
        if !self.has_refused() {
            return;
        }
        let over = self
            .refused
            .borrow_mut()
            .take(|request| self.is_overdue(request) || request.is_moot());
        for refused in over {
            refused.give_back();
        }
        for request in self.take_refused() {
            self.local.counters().retries.add(1);
            self.dispatch(request);
        }
    }

    fn is_overdue(&self, request: &Request) -> bool {
        self.local.now().saturating_sub(request.since) >= self.hold()
    }
}
