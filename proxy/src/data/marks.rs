//! Which sessions and links of a worker want a turn although their sockets are silent.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use tokio::sync::Notify;

use super::poller::Place;

/// Marks of one worker.
#[derive(Debug, Default)]
pub struct Marks {
    sessions: RefCell<VecDeque<Place>>,
    links: RefCell<VecDeque<Place>>,
    /// Whether somebody is about to look at the marks anyway.
    pub(super) driving: Cell<bool>,
    filled: Notify,
}

impl Marks {
    /// Wants a turn for a session. Must not be called again before that turn.
    pub fn session(&self, place: Place) {
        self.sessions.borrow_mut().push_back(place);
        self.tell();
    }

    /// Wants a turn for a link. Must not be called again before that turn.
    pub fn link(&self, place: Place) {
        self.links.borrow_mut().push_back(place);
        self.tell();
    }

    fn tell(&self) {
        if !self.driving.get() {
            self.filled.notify_one();
        }
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions.borrow().len()
    }

    pub(super) fn links(&self) -> usize {
        self.links.borrow().len()
    }

    pub(super) fn any(&self) -> bool {
        self.sessions() + self.links() > 0
    }

    pub(super) fn take_session(&self) -> Option<Place> {
        self.sessions.borrow_mut().pop_front()
    }

    pub(super) fn take_link(&self) -> Option<Place> {
        self.links.borrow_mut().pop_front()
    }

    /// Waits until something was marked outside of the driver.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }
}
