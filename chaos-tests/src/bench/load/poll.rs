//! Readiness of many sockets and one timer that is exact to microseconds.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// Sockets that one wait reports at most.
const EVENTS_MAX: usize = 256;
/// Stands for the timer among the indices of sockets.
const TIMER: u64 = u64::MAX;

/// Edge-triggered readiness.
pub struct Poll {
    epoll: OwnedFd,
    timer: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    /// Nothing to wait for yet.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let timer_event = epoll::EventData::new_u64(TIMER);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &timer, timer_event, flags)?;
        Ok(Self {
            epoll,
            timer,
            events: Vec::with_capacity(EVENTS_MAX),
        })
    }

    /// Watches a socket, known by `index`.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn add(&self, socket: &impl AsFd, index: usize) -> io::Result<()> {
        use epoll::EventFlags as Flags;
        let data = epoll::EventData::new_u64(index as u64);
        let flags = Flags::IN | Flags::OUT | Flags::RDHUP | Flags::ET;
        Ok(epoll::add(&self.epoll, socket, data, flags)?)
    }

    /// Ends the next wait after `span` at the latest.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn wake_after(&self, span: Duration) -> io::Result<()> {
        let none = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let once = Itimerspec {
            it_interval: none,
            it_value: timespec(span),
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    /// Sockets at which something happened; none when `span` or the timer ran out.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn wait(&mut self, span: Duration) -> io::Result<Vec<usize>> {
        let span = timespec(span);
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&span)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let sockets = self.events.iter().map(|event| event.data.u64());
        let sockets = sockets.filter(|index| *index != TIMER);
        Ok(sockets.map(|index| index as usize).collect())
    }
}

const fn timespec(span: Duration) -> Timespec {
    Timespec {
        tv_sec: span.as_secs() as i64,
        tv_nsec: span.subsec_nanos() as i64,
    }
}
