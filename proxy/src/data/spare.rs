//! Buffers that only busy sessions need, kept by the worker.
//!
//! Of ten thousand clients few have a request under way at any moment. What a session needs only
//! then it borrows from here, so that an idle one costs little more than its socket.

use std::cell::RefCell;

use bytes::BytesMut;
use codis_core::resp::{Limits, RequestScanner};

use super::outgoing::Outgoing;
use super::ring::Ring;

/// Unused pieces of each kind that a worker keeps.
const KEPT_MAX: usize = 64;
/// A fresh read buffer.
const READ_BYTES: usize = 64 * 1024;
/// The room that a read is given.
const READ_ROOM_MIN: usize = 16 * 1024;
/// A read buffer that has grown beyond this is not kept.
const READ_KEPT_MAX: usize = 256 * 1024;

/// What a session has under way.
#[derive(Debug, Default)]
pub struct Busy {
    /// Requests that wait for replies.
    pub ring: Ring,
    /// Replies on their way out.
    pub out: Outgoing,
    /// Bytes of the replies to parts of commands that wait for their other parts.
    pub part_bytes: usize,
}

impl Busy {
    /// Bytes of replies that have not left, whether or not they may.
    pub fn reply_bytes(&self) -> usize {
        self.ring.done_bytes() + self.part_bytes + self.out.len()
    }
}

/// Where the bytes of requests arrive.
#[derive(Debug)]
pub struct Intake {
    /// What has been read and not been taken up.
    pub buf: BytesMut,
    /// Stands in the first request of the buffer.
    pub scanner: RequestScanner,
}

/// The unused buffers of one worker.
#[derive(Debug, Default)]
pub struct Spare {
    #[expect(
        clippy::vec_box,
        reason = "sessions hold them boxed, so that idle ones are small"
    )]
    busy: RefCell<Vec<Box<Busy>>>,
    intake: RefCell<Option<Intake>>,
}

impl Spare {
    /// Room for requests and replies, whose next request has the number `next`.
    pub fn lend(&self, next: u64) -> Box<Busy> {
        let mut busy = self.busy.borrow_mut().pop().unwrap_or_default();
        busy.ring.start_at(next);
        busy
    }

    /// Takes back what is empty.
    pub fn take_back(&self, mut busy: Box<Busy>) {
        debug_assert_eq!(busy.part_bytes, 0, "a part of a command without one");
        let mut kept = self.busy.borrow_mut();
        if kept.len() < KEPT_MAX {
            busy.ring.trim();
            busy.out.trim();
            kept.push(busy);
        }
    }

    /// A place to read requests into.
    pub fn lend_intake(&self) -> Intake {
        let kept = self.intake.borrow_mut().take();
        let mut intake = kept.unwrap_or_else(|| Intake {
            buf: BytesMut::new(),
            scanner: RequestScanner::new(Limits::default()),
        });
        if intake.buf.capacity() < READ_ROOM_MIN {
            intake.buf.reserve(READ_BYTES);
        }
        intake
    }

    /// Takes back an intake whose buffer is empty and whose scanner stands before a request.
    pub fn take_back_intake(&self, intake: Intake) {
        if intake.buf.capacity() <= READ_KEPT_MAX {
            *self.intake.borrow_mut() = Some(intake);
        }
    }
}
