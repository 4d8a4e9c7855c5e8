//! What runs the sessions and links of a worker.
//!
//! One task takes what is ready from the [`Poller`](super::poller::Poller), and runs each session
//! and link that has an event. Requests gather in the queues of links, replies in the output of
//! sessions; replies leave at the end of a round, requests when a further look at the sockets
//! finds nothing more to gather, or after a few rounds. So a request pays for a write to its
//! backend together with all others that came with it, and no one waits for a timer.

use std::rc::Rc;

use rustix::event::epoll::Event;
use tokio::task::yield_now;

use super::io::{Io, Next};
use super::link::Link;
use super::poller::{self, Place, Ready};
use super::unsafe_io::watch;
use super::worker::Worker;

/// Looks at the sockets before requests that have gathered leave.
const LOOKS_MAX: usize = 4;
/// Events of a round that are not worth a further look, if the round before had no more either: a
/// worker with so little to do has nothing to gather, and the look would only add to the latency.
const EVENTS_QUIET: usize = 1;

/// What a place stands for.
#[derive(Debug)]
pub(super) enum Peer {
    /// A client.
    Session(Box<Io>),
    /// A backend.
    Link(Box<Link>),
}

impl Worker {
    /// Runs sessions and links for as long as the worker lives.
    ///
    /// # Errors
    /// The runtime cannot watch the poller.
    pub(super) async fn drive(self: Rc<Self>) -> std::io::Result<()> {
        let sockets = watch(self.poller.handle()?)?;
        let mut events = Vec::new();
        let mut quiet = false;
        loop {
            if self.round(&mut events, &mut quiet) {
                yield_now().await;
                continue;
            }
            tokio::select! {
                ready = sockets.readable() => ready?.clear_ready(),
                () = self.local.marks.filled() => {}
            }
        }
    }

    /// Gives whether there may be more to do at once. `quiet` is whether the rounds before had
    /// nothing to gather.
    fn round(self: &Rc<Self>, events: &mut Vec<Event>, quiet: &mut bool) -> bool {
        let marks = &self.local.marks;
        marks.driving.set(true);
        let mut more = false;
        let mut late = Vec::new();
        let mut seen = 0;
        for _ in 0..LOOKS_MAX {
            self.local.tick();
            if let Err(error) = self.poller.take(events) {
                tracing::error!(%error, "epoll failed");
            }
            more = !events.is_empty();
            seen += events.len();
            for event in &*events {
                let (place, ready) = poller::read(event);
                self.give_turn(place, ready);
            }
            self.run_marked_sessions(Some(&mut late));
            if *quiet && seen <= EVENTS_QUIET {
                // What comes from now on wakes the worker.
                more = false;
            }
            if !more {
                break;
            }
            // On a busy machine this lets clients and backends send what can be gathered; with a
            // processor free for each it costs less than the write that it saves.
            std::thread::yield_now();
        }
        for place in late {
            self.give_turn(place, Ready::default());
        }
        // A stop since the last look must be seen before anything leaves.
        self.local.tick();
        for _ in 0..marks.links() {
            if let Some(place) = marks.take_link() {
                self.give_turn(place, Ready::default());
            }
        }
        self.run_marked_sessions(None);
        marks.driving.set(false);
        *quiet = seen <= EVENTS_QUIET;
        more || marks.any()
    }

    /// Every session that is marked now, once. Those with only a part of their replies are put off
    /// to the end of the round when there is one: the rest is on its way, and one write costs as
    /// much as the other.
    fn run_marked_sessions(self: &Rc<Self>, mut late: Option<&mut Vec<Place>>) {
        let marks = &self.local.marks;
        for _ in 0..marks.sessions() {
            let Some(place) = marks.take_session() else {
                return;
            };
            match &mut late {
                Some(late) if self.is_partly_answered(place) => late.push(place),
                Some(_) | None => self.give_turn(place, Ready::default()),
            }
        }
    }

    fn is_partly_answered(&self, place: Place) -> bool {
        match self.peers.borrow().get(place) {
            Some(Some(Peer::Session(io))) => io.session.is_partly_answered(),
            _ => false,
        }
    }

    /// Takes a peer out of its place, runs it, and puts it back.
    fn give_turn(self: &Rc<Self>, place: Place, ready: Ready) {
        let peer = self
            .peers
            .borrow_mut()
            .get_mut(place)
            .and_then(Option::take);
        let (peer, next) = match peer {
            Some(Peer::Session(mut io)) => {
                let next = io.turn(ready);
                (Peer::Session(io), next)
            }
            Some(Peer::Link(mut link)) => {
                let next = link.turn(ready);
                (Peer::Link(link), next)
            }
            None => return,
        };
        if next == Next::Wait {
            if let Some(slot) = self.peers.borrow_mut().get_mut(place) {
                *slot = Some(peer);
            }
            return;
        }
        self.peers.borrow_mut().remove(place);
        match peer {
            Peer::Session(io) => io.end(next),
            Peer::Link(link) => link.end(),
        }
    }
}
