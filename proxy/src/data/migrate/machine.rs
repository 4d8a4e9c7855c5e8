//! One request of a migrating slot, as a machine: it says what to send, and is told the replies.
//!
//! With the sync method each key is moved to the new owner, then the request runs there. With the
//! semi-async method the request runs at the old owner, wrapped so that the server itself checks
//! that the key is there and is not being moved; when the key is gone it runs at the new owner.
//! The wrapper checks one key only, so a request with several keys has each of them moved, by a
//! `SLOTSMGRTTAGONE` inside of a wrapper, and then runs at the new owner. Keys go one way, and
//! nobody makes new ones at the old owner: what is gone there stays gone.
//!
//! A full server refuses the wrapper. What only reads is then sent as it is, followed by `EXISTS`:
//! when the keys are still there behind the reply, they were there for it. A write needs to know
//! only that no key is there.
//!
//! ```text
//! Moving --all gone--> (run at the new owner)        Asking --gone--> (run at the new owner)
//!   |  ^                                                |  ^ \
//!  busy | resume                                       busy | \--ran--> (answer)
//!   v  |                                                v  |
//!  PausedMoving                                        PausedAsking
//!
//! Moving, Asking --full--> Around --none there--> (run at the new owner)
//!                             \---all there-----> (answer of a read; error of a write)
//!                              \--some there----> PausedMoving
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::answer::{self, Told};
use crate::route::Method;

/// The pause before the owner that does not reach the other one is asked again.
const UNREACHABLE_PAUSE: Duration = Duration::from_millis(100);
/// Keys of one request that are being moved at a time.
const MOVES_MAX: usize = 64;
/// Attempts without a pause.
const ATTEMPTS_AT_ONCE: u32 = 5;
/// From this attempt on, and milliseconds of the longest pause.
const PAUSE_MILLIS_MAX: u32 = 20;

/// Something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the old owner: move key number n.
    Move(u32),
    /// To the old owner: move key number n, unless it is being moved already.
    MoveWrapped(u32),
    /// To the old owner: run the request if its key is there.
    Wrap,
    /// To the old owner: the request as it is.
    Plain,
    /// To the old owner: count the keys that are there.
    Exists,
    /// To the new owner: the request as it is.
    Run,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Replies are still to come.
    Wait,
    /// These are to be sent, in order.
    Send(Vec<Step>),
    /// [`Machine::resume`] is to be called after this time.
    Pause(Duration),
    /// The request is answered.
    Answer(Bytes),
    /// The request failed; the text follows `ERR handle request, `.
    Fail(String),
}

#[derive(Debug)]
enum Phase {
    /// Keys are being moved.
    Moving {
        /// Keys whose turn has not come.
        todo: VecDeque<u32>,
        /// Replies that lack.
        open: usize,
        /// Keys to be moved again.
        again: Vec<u32>,
        /// The refusal of a full server.
        full: Option<String>,
        /// The old owner did not reach the new one.
        unreachable: bool,
    },
    /// The wrapped request is under way.
    Asking,
    /// The old owner is full; the keys that are there are being counted.
    Around {
        /// Its refusal.
        full: String,
        /// Its reply to the request as it is.
        reply: Option<Bytes>,
    },
    /// To be asked again.
    PausedAsking,
    /// These keys are to be moved.
    PausedMoving(VecDeque<u32>),
    /// The request runs at the new owner, or is over.
    Settled,
}

/// The machine of one request.
#[derive(Debug)]
pub struct Machine {
    method: Method,
    reads: bool,
    keys: u32,
    attempt: u32,
    hindrance: Option<String>,
    phase: Phase,
}

impl Machine {
    /// A request with `keys` different keys, that only `reads` or may write.
    pub const fn new(method: Method, reads: bool, keys: u32) -> Self {
        Self {
            method,
            reads,
            keys,
            attempt: 0,
            hindrance: None,
            phase: Phase::Settled,
        }
    }

    /// The first thing to do.
    pub fn begin(&mut self) -> Next {
        if self.keys == 0 {
            return self.run();
        }
        match (self.method, self.keys) {
            (Method::SemiAsync, 1) => self.ask(),
            (Method::SemiAsync | Method::Sync, _) => self.move_keys((0..self.keys).collect()),
        }
    }

    /// Takes the reply to a step.
    pub fn told(&mut self, step: Step, reply: Bytes) -> Next {
        match step {
            Step::Move(key) => self.moved(key, answer::moved(&reply)),
            Step::MoveWrapped(key) => {
                let told = match answer::wrapped(&reply) {
                    Told::Ran(at) => answer::moved(&reply[at..]),
                    other => other,
                };
                self.moved(key, told)
            }
            Step::Wrap => self.asked(answer::wrapped(&reply), &reply),
            Step::Plain => {
                if let Phase::Around { reply: kept, .. } = &mut self.phase {
                    *kept = Some(reply);
                }
                Next::Wait
            }
            Step::Exists => self.counted(answer::counted(&reply)),
            Step::Run => self.answer(reply),
        }
    }

    /// Goes on after a pause.
    pub fn resume(&mut self) -> Next {
        match std::mem::replace(&mut self.phase, Phase::Settled) {
            Phase::PausedAsking => self.ask(),
            Phase::PausedMoving(keys) => self.move_keys(keys),
            other @ (Phase::Moving { .. }
            | Phase::Asking
            | Phase::Around { .. }
            | Phase::Settled) => {
                self.phase = other;
                Next::Wait
            }
        }
    }

    /// What the request waited for last, as an error of the old owner.
    pub fn hindrance(&self) -> Option<&str> {
        self.hindrance.as_deref()
    }

    fn ask(&mut self) -> Next {
        self.phase = Phase::Asking;
        Next::Send(vec![Step::Wrap])
    }

    fn move_keys(&mut self, mut todo: VecDeque<u32>) -> Next {
        let first = todo.drain(..todo.len().min(MOVES_MAX));
        let steps: Vec<Step> = first.map(|key| move_step(self.method, key)).collect();
        self.phase = Phase::Moving {
            todo,
            open: steps.len(),
            again: Vec::new(),
            full: None,
            unreachable: false,
        };
        Next::Send(steps)
    }

    fn run(&mut self) -> Next {
        self.phase = Phase::Settled;
        Next::Send(vec![Step::Run])
    }

    fn answer(&mut self, reply: Bytes) -> Next {
        self.phase = Phase::Settled;
        Next::Answer(reply)
    }

    fn fail(&mut self, text: String) -> Next {
        self.phase = Phase::Settled;
        Next::Fail(text)
    }

    /// Goes on as `paused` says, as soon as the number of attempts allows.
    fn retry(&mut self, paused: Phase, at_least: Duration) -> Next {
        let pause = pause(self.attempt).max(at_least);
        self.attempt += 1;
        self.phase = paused;
        if pause.is_zero() {
            self.resume()
        } else {
            Next::Pause(pause)
        }
    }

    fn moved(&mut self, key: u32, told: Told) -> Next {
        let Phase::Moving {
            todo,
            open,
            again,
            full,
            unreachable,
        } = &mut self.phase
        else {
            return Next::Wait;
        };
        *open -= 1;
        match told {
            Told::Gone => {}
            Told::Busy => again.push(key),
            Told::Unreachable(text) => {
                self.hindrance = Some(text);
                *unreachable = true;
                again.push(key);
            }
            Told::Full(text) => *full = Some(text),
            Told::Failed(text) => return self.fail(text),
            Told::Ran(_) => return self.fail("bad slotsmgrt resp".to_owned()),
        }
        if full.is_none()
            && let Some(key) = todo.pop_front()
        {
            *open += 1;
            return Next::Send(vec![move_step(self.method, key)]);
        }
        if *open > 0 {
            return Next::Wait;
        }
        if let Some(text) = full.take() {
            return self.around(text);
        }
        let least = if *unreachable {
            UNREACHABLE_PAUSE
        } else {
            Duration::ZERO
        };
        let again = std::mem::take(again);
        if again.is_empty() {
            return self.run();
        }
        self.retry(Phase::PausedMoving(again.into()), least)
    }

    fn asked(&mut self, told: Told, reply: &Bytes) -> Next {
        match told {
            Told::Gone => self.run(),
            Told::Busy => self.retry(Phase::PausedAsking, Duration::ZERO),
            Told::Ran(at) => self.answer(reply.slice(at..)),
            Told::Full(text) => self.around(text),
            Told::Failed(text) | Told::Unreachable(text) => self.fail(text),
        }
    }

    fn around(&mut self, full: String) -> Next {
        self.phase = Phase::Around { full, reply: None };
        Next::Send(if self.reads {
            vec![Step::Plain, Step::Exists]
        } else {
            vec![Step::Exists]
        })
    }

    fn counted(&mut self, there: Option<u64>) -> Next {
        let Phase::Around { full, reply } = &mut self.phase else {
            return Next::Wait;
        };
        let (full, reply) = (std::mem::take(full), reply.take());
        let Some(there) = there else {
            return self.fail(full);
        };
        if there == 0 {
            return self.run();
        }
        if there < u64::from(self.keys) {
            self.hindrance = Some(full);
            let all = (0..self.keys).collect();
            return self.retry(Phase::PausedMoving(all), UNREACHABLE_PAUSE);
        }
        match reply {
            Some(reply) => self.answer(reply),
            None => self.fail(full),
        }
    }
}

const fn move_step(method: Method, key: u32) -> Step {
    match method {
        Method::Sync => Step::Move(key),
        Method::SemiAsync => Step::MoveWrapped(key),
    }
}

/// The pause before attempt number `n`, as the original paces it.
const fn pause(n: u32) -> Duration {
    let millis = if n < ATTEMPTS_AT_ONCE {
        0
    } else if n < PAUSE_MILLIS_MAX {
        n
    } else {
        PAUSE_MILLIS_MAX
    };
    Duration::from_millis(millis as u64)
}

#[cfg(test)]
mod tests;
