//! How a worker changes over to another route table.
//!
//! What is in flight on a backend that no longer serves its slot is given up at once, by the rules
//! of failover; nobody waits for a dead or frozen master. What was queued or parked is sent by the
//! new routes, oldest first, before anything new is read. A backend that no slot refers to any
//! more loses its connections.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use codis_core::command::Access;
use codis_core::slot::SlotId;
use tokio::task::JoinHandle;

use super::conn::{Conn, LinkState};
use super::loss::give_up;
use super::migrate::machine::Step;
use super::request::{Origin, Request};
use super::rule::Sent;
use super::worker::Worker;
use crate::route::{BackendId, Hold, Route, SlotSet, Table};

/// What clients read when a change of route cut their write off.
const REASON: &str = "the slot has a new master";

impl Worker {
    /// Routes by `next` from now on.
    pub(super) fn apply(self: &Rc<Self>, next: Arc<Table>) {
        let version = next.version;
        *self.table.borrow_mut() = next.clone();
        let mut again = self.take_opened(&next);
        again.extend(self.take_lines());
        for conn in self.conns() {
            self.change_over(&conn, &next, &mut again);
        }
        self.close_unreferenced(&next, &mut again);
        again.extend(self.take_refused());
        again.sort_by_key(|request| request.ticket);
        for request in again {
            self.dispatch(request);
        }
        self.draining.set(Some(version));
        self.port().applied.store(version, Ordering::Release);
        self.shared.acknowledged.notify_waiters();
        self.check_drained();
    }

    fn change_over(&self, conn: &Conn, next: &Table, again: &mut Vec<Request>) {
        let retired = !next.is_master(conn.backend);
        let mut given_up = Vec::new();
        {
            let mut state = conn.state.borrow_mut();
            let waited_long = state.link == LinkState::Up;
            for mut request in state.take_queue(|request| self.is_misrouted(conn, request)) {
                if waited_long {
                    request.since = self.local.now();
                }
                again.push(request);
            }
            let sent = state.sent;
            for flight in &mut state.flight {
                let reached = flight.reached(sent);
                let cut = |request: &Request| {
                    request.any_slot(|slot| is_cut(next, conn.backend, slot, request))
                };
                if flight.request.as_ref().is_some_and(cut)
                    && let Some(request) = flight.request.take()
                {
                    // A link that goes on will still send what it has gathered.
                    given_up.push((request, if retired { reached } else { Sent::Whole }));
                }
            }
        }
        if retired && !given_up.is_empty() {
            conn.kill(REASON);
        }
        for (request, sent) in given_up {
            again.extend(give_up(self, request, sent, REASON));
        }
    }

    fn close_unreferenced(&self, next: &Table, again: &mut Vec<Request>) {
        let mut closed = Vec::new();
        for (index, lanes) in self.backends.borrow_mut().iter_mut().enumerate() {
            if !next.referenced.get(index).copied().unwrap_or(false) {
                closed.extend(std::mem::take(lanes).into_iter().flatten());
            }
        }
        for conn in closed {
            conn.close();
            let (flights, sent) = {
                let mut state = conn.state.borrow_mut();
                again.extend(state.take_queue(|_| true));
                (std::mem::take(&mut state.flight), state.sent)
            };
            for flight in flights {
                let reached = flight.reached(sent);
                if let Some(request) = flight.request {
                    again.extend(give_up(self, request, reached, REASON));
                }
            }
        }
    }

    /// Whether a request does not belong into the queue of `conn`.
    pub(super) fn is_misrouted(&self, conn: &Conn, request: &Request) -> bool {
        let table = self.table.borrow();
        request.any_slot(|slot| {
            table.route(slot).hold.is_held() || !serves(&table, conn.backend, slot, request)
        })
    }

    /// Whether `conn` leads to the master of all slots of a request, and they are open.
    pub(super) fn is_owner(&self, conn: &Conn, request: &Request) -> bool {
        let table = self.table.borrow();
        !request.any_slot(|slot| {
            let route = table.route(slot);
            route.hold.is_held() || !is_place_of(route, conn.backend, request)
        })
    }

    /// Whether any slot's requests go to this backend as its master, or as the one so far.
    pub(super) fn is_master(&self, backend: BackendId) -> bool {
        self.table.borrow().is_master(backend)
    }

    /// Tells which of the slots that the table holds have something in flight here, until none.
    pub(super) fn check_drained(&self) {
        let Some(version) = self.draining.get() else {
            return;
        };
        let table = self.table.borrow().clone();
        let mut busy = SlotSet::default();
        if table.any_held() {
            for conn in self.conns() {
                let state = conn.state.borrow();
                let requests = state.flight.iter().filter_map(|f| f.request.as_ref());
                for request in requests {
                    request.any_slot(|slot| {
                        if table.route(slot).hold.is_held() {
                            busy.insert(slot.get());
                        }
                        false
                    });
                }
            }
        }
        if busy.is_empty() {
            self.draining.set(None);
        }
        if self.port().drained.tell(version, &busy) {
            self.shared.acknowledged.notify_waiters();
        }
    }

    /// Follows the route table and the wish to stop. Ends when the process stops and the sessions
    /// of this worker have ended; until then a failover still reaches the requests that wait.
    pub(super) async fn follow(self: Rc<Self>, accepting: Vec<JoinHandle<()>>) {
        let mut leaving = false;
        let is_open = || accepting.iter().any(|task| !task.is_finished());
        while !leaving || is_open() || !self.sessions.borrow().is_empty() {
            let woken = self.port().wake.notified();
            if leaving {
                let _ = tokio::time::timeout(DRAIN_POLL, woken).await;
                self.let_quiet_sessions_leave();
            } else {
                woken.await;
            }
            self.local.tick();
            let next = self.shared.table.load_full();
            if next.version > self.table.borrow().version {
                self.apply(next);
            }
            self.check_fence();
            if self.is_stopping() && !leaving {
                leaving = true;
                self.closing_door.send_replace(true);
            }
        }
    }

    /// Clients that are in the middle of something, or have just come, are served on; the others
    /// lose nothing.
    fn let_quiet_sessions_leave(&self) {
        for session in self.sessions.borrow().values() {
            let (read, _) = session.idle();
            if read >= QUIET_MIN.as_micros() as u64 {
                session.leave();
            }
        }
    }
}

/// A session that has read nothing for so long is not in the middle of anything.
const QUIET_MIN: std::time::Duration = std::time::Duration::from_millis(500);
/// How often a stopping worker looks whether its sessions have ended.
const DRAIN_POLL: std::time::Duration = std::time::Duration::from_millis(20);

/// Whether a request that only a master answers belongs to this backend. A step of a migration
/// does only as long as both sides are what they were when it was made.
fn is_place_of(route: &Route, backend: BackendId, request: &Request) -> bool {
    let Origin::Step(job, step) = &request.origin else {
        return route.master == Some(backend);
    };
    let source = route.migration.map(|migration| migration.source);
    let stands = route.master == Some(job.target) && source == Some(job.source);
    let place = if *step == Step::Run {
        job.target
    } else {
        job.source
    };
    stands && place == backend
}

fn serves(table: &Table, backend: BackendId, slot: SlotId, request: &Request) -> bool {
    let route = table.route(slot);
    let is_replica = || {
        route
            .replicas
            .iter()
            .flatten()
            .any(|replica| *replica == backend)
    };
    is_place_of(route, backend, request) || (request.access == Access::Read && is_replica())
}

/// Whether what is in flight for a slot on a backend is given up.
fn is_cut(table: &Table, backend: BackendId, slot: SlotId, request: &Request) -> bool {
    table.route(slot).hold == Hold::Cut || !serves(table, backend, slot, request)
}
