//! Which sockets of a worker are ready: an epoll of its own.
//!
//! Sessions and links to backends do not wait in tasks. Their sockets are in this epoll, edge
//! triggered, each registered once for its life, and [`super::drive`] hands every event straight
//! to whom it belongs. The epoll itself is what one task of the runtime waits for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use slotmap::{Key, KeyData, new_key_type};

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 256;

new_key_type! {
    /// Names a session or link of a worker; never used for another one again.
    pub struct Place;
}

/// What became possible on a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// There is something to read, be it the end.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
    /// The peer has closed, or the socket failed: reading will come to the end.
    pub ended: bool,
}

/// The sockets of one worker.
#[derive(Debug)]
pub struct Poller(OwnedFd);

impl Poller {
    /// A poller without sockets.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// Becomes readable when any of the sockets is ready.
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub fn handle(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }

    /// Tells of `socket` as `place` from now on, until it is closed or removed.
    ///
    /// # Errors
    /// The kernel's limit of watched sockets is reached.
    pub fn add(&self, socket: impl AsFd, place: Place) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let data = EventData::new_u64(place.data().as_ffi());
        Ok(epoll::add(&self.0, socket, data, flags)?)
    }

    /// Forgets a socket that goes on elsewhere.
    pub fn remove(&self, socket: impl AsFd) {
        let _ = epoll::delete(&self.0, socket);
    }

    /// Puts what is ready now into `events`, without waiting.
    ///
    /// # Errors
    /// The epoll itself failed.
    pub fn take(&self, events: &mut Vec<Event>) -> io::Result<()> {
        events.clear();
        events.reserve(EVENTS_MAX);
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        epoll::wait(&self.0, spare_capacity(events), Some(&now))?;
        Ok(())
    }
}

/// Whose event it is, and what it says.
pub fn read(event: &Event) -> (Place, Ready) {
    let flags = event.flags;
    let ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
    let ready = Ready {
        readable: ended || flags.contains(EventFlags::IN),
        writable: ended || flags.contains(EventFlags::OUT),
        ended,
    };
    (Place::from(KeyData::from_ffi(event.data.u64())), ready)
}
