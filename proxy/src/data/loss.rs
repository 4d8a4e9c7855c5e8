//! What becomes of the requests of a connection that cannot answer them.

use std::rc::Rc;

use super::conn::{Conn, LinkState};
use super::reply::{self, Reply};
use super::request::{Outcome, Request};
use super::rule::{self, Sent, Verdict};
use super::worker::Worker;

/// How often a request is sent again of which anything had left: a server that always closes the
/// link on it must not lose the link for ever.
const ATTEMPTS_MAX: u8 = 3;

/// A request in flight. The request is gone once it was given up; its reply is then dropped.
#[derive(Debug)]
pub(super) struct Flight {
    pub request: Option<Request>,
    /// The number of bytes that this link has sent once this request has left.
    pub end: u64,
}

impl Flight {
    /// How far it got on a link that has sent that many bytes.
    pub(super) fn reached(&self, sent: u64) -> Sent {
        let len = self.request.as_ref().map_or(0, |r| r.raw.len() as u64);
        if self.end <= sent {
            Sent::Whole
        } else if self.end - len < sent {
            Sent::Partly
        } else {
            Sent::Nothing
        }
    }
}

impl Conn {
    /// Resolves what was in flight when the link was lost. What may be sent again goes back to
    /// the head of the queue, or to another backend if this one is not the owner of its slots.
    pub(super) fn lost(&self, worker: &Rc<Worker>, reason: &str) {
        let now = worker.local.now();
        let (flights, sent) = {
            let mut state = self.state.borrow_mut();
            let since = match state.link {
                LinkState::Down(since, _) => since,
                LinkState::Fresh | LinkState::Up => now,
            };
            if state.link == LinkState::Up {
                self.figures.losses.add(1);
                // Their hold starts now: until now they waited for a server that was there.
                for request in &mut state.queue {
                    request.since = now;
                }
            }
            state.link = LinkState::Down(since, Rc::from(reason));
            (std::mem::take(&mut state.flight), state.sent)
        };
        let mut again = Vec::new();
        for flight in flights {
            let reached = flight.reached(sent);
            if let Some(request) = flight.request
                && let Some(request) = give_up(worker, request, reached, reason)
            {
                again.push(request);
            }
        }
        let mut elsewhere = Vec::new();
        {
            let mut state = self.state.borrow_mut();
            elsewhere.extend(state.take_queue(|r| !worker.is_owner(self, r)));
            for request in again.into_iter().rev() {
                if worker.is_owner(self, &request) {
                    state.enqueue_first(request);
                } else {
                    elsewhere.push(request);
                }
            }
        }
        elsewhere.sort_by_key(|request| request.ticket);
        for request in elsewhere {
            worker.dispatch(request);
        }
    }
}

/// Applies the rule to a request whose connection cannot answer: gives it back if it is to be
/// sent again, else tells its client.
pub(super) fn give_up(
    worker: &Worker,
    mut request: Request,
    sent: Sent,
    reason: &str,
) -> Option<Request> {
    let counters = worker.local.counters();
    let reply = match rule::on_loss(request.access, sent) {
        Verdict::Again if request.is_routed() && request.attempts < ATTEMPTS_MAX => {
            counters.retries.add(1);
            request.since = worker.local.now();
            request.attempts += u8::from(sent != Sent::Nothing);
            return Some(request);
        }
        Verdict::OutcomeUnknown if request.is_routed() => {
            counters.unknown.add(1);
            reply::outcome_unknown(reason)
        }
        Verdict::Again | Verdict::OutcomeUnknown => reply::backend_failure(reason),
    };
    request.finish(Reply::Shared(reply), Outcome::Failed);
    None
}
