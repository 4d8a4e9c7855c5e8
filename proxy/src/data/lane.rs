//! Which of its connections to a backend a worker uses for a session.

use std::rc::Rc;

use codis_core::resp::Protocol;

use super::conn::{Conn, LinkState};
use super::session::Session;
use super::worker::Worker;
use crate::route::BackendId;

/// Which connection to a database of a backend a session uses.
///
/// A server answers each connection in one version of the protocol, so sessions that speak
/// different ones share no connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// One of several parallel connections.
    pub number: u16,
    /// What is spoken on it.
    pub protocol: Protocol,
}

impl Lane {
    /// Whether it is for RESP3.
    pub const fn is_resp3(self) -> bool {
        matches!(self.protocol, Protocol::Resp3)
    }
}

impl Worker {
    /// Which of the parallel connections of a backend stands for `lane`.
    pub(super) fn lane(&self, backend: BackendId, lane: Lane) -> Lane {
        let settings = self.settings();
        let (primary, replica) = (
            settings.backend_primary_parallel,
            settings.backend_replica_parallel,
        );
        if lane.number == 0 || primary == replica {
            return lane;
        }
        let is_master = self.table.borrow().is_master(backend);
        let parallel = if is_master { primary } else { replica };
        let number = lane.number % parallel.max(1);
        Lane { number, ..lane }
    }

    /// Where the connection for a database and a lane is kept.
    pub(super) fn place(&self, db: u16, lane: Lane) -> usize {
        let lanes = usize::from(self.settings().lanes());
        let number = usize::from(db) * lanes + usize::from(lane.number);
        2 * number + usize::from(lane.is_resp3())
    }

    /// The master of the first slot that has one.
    pub(super) fn any_master(&self) -> Option<BackendId> {
        let table = self.table.borrow();
        table.routes.iter().find_map(|route| route.master)
    }

    /// Whether sessions may speak RESP3.
    pub(super) fn takes_resp3(&self) -> bool {
        self.settings().session_resp3 && !self.shared.lacks_resp3()
    }

    /// A server does not know RESP3: no session may speak it from now on.
    pub(super) fn decline_resp3(&self, address: &str, reason: &str) {
        if self.shared.decline_resp3() {
            tracing::warn!(
                backend = %address,
                reason,
                "a server does not know HELLO 3: sessions get RESP2 only until the proxy restarts"
            );
        }
    }

    /// Ends the sessions that still speak RESP3 once a server does not know it: what their clients
    /// open next is told so at once.
    pub(super) fn end_resp3(&self) {
        if !self.shared.lacks_resp3() || self.resp3_ended.replace(true) {
            return;
        }
        let sessions = self.sessions.borrow();
        let speaks = sessions.values().filter(|session| session.is_resp3());
        let ended: Vec<_> = speaks.map(Rc::clone).collect();
        drop(sessions);
        for session in ended {
            session.kill();
        }
    }
}

impl Conn {
    /// Whether sessions may use it; those of RESP3 may not once a server does not know it.
    pub(super) fn is_useful(&self, worker: &Worker) -> bool {
        !self.lane.is_resp3() || worker.takes_resp3()
    }

    /// Whether its server is being dialled for the first time; the session is woken when that is
    /// over.
    pub(super) fn is_being_met(&self, session: &Rc<Session>) -> bool {
        self.want();
        let mut state = self.state.borrow_mut();
        let is_fresh = state.link == LinkState::Fresh;
        if is_fresh && !state.waiters.iter().any(|one| Rc::ptr_eq(one, session)) {
            state.waiters.push(session.clone());
        }
        is_fresh
    }
}
