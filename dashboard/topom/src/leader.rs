//! Who leads: takes the lock, raises the term, leads for as long as the lease is renewed, steps
//! down, and begins anew.
//!
//! ```text
//! waiting -> locking -> fencing -> loading -> leading
//!    ^          |          |          |          | lost, expired or refused
//!    |          | held     | failed   | lost     v
//!    +----------+          |          |       leaving
//!    +------ releasing <---+----------+----------+
//! ```
//!
//! The lock says who may try; the *term* says whose writes count. A leader never acts beyond the
//! point to which its lease was last renewed by its own clock, and each of its writes requires that
//! the term is still its own, so one that stops and goes on later does no harm: it finds its time
//! over or its write refused, and ends everything that belongs to its term before it lets go.

use std::collections::VecDeque;
use std::time::Duration;

use codis_core::ha::Term;
use codis_core::time::Time;

/// Pause between tries to take a lock that another one holds.
pub const TRY_EVERY: Duration = Duration::from_millis(500);
/// Pause after a store that failed, and between tries to read the records.
pub const RETRY: Duration = Duration::from_secs(1);

/// What the shell must do. Each but `Lead` has its result told with the method it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Try to take the lock, and read the term: [`Leader::handle_lock`].
    TryLock,
    /// Change the term, if it is still `from`: [`Leader::handle_fenced`].
    Fence {
        /// What it was when the lock was taken.
        from: Option<Term>,
        /// The new one.
        to: Term,
    },
    /// Read the records: [`Leader::handle_loaded`].
    Load(Term),
    /// Go online.
    Lead(Term),
    /// End everything that belongs to the term: [`Leader::handle_stepped_down`].
    StepDown(String),
    /// Let go of the lock: [`Leader::handle_released`].
    Release,
}

/// What became of a try to take the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockOutcome {
    /// It was taken.
    Taken {
        /// To when it is held unless it is renewed.
        until: Time,
        /// The last term.
        term: Option<Term>,
    },
    /// Another one has it.
    Held,
    /// The store failed; nothing is held.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting { until: Time },
    Locking,
    Fencing { to: Term, until: Time },
    Loading { term: Term, until: Time },
    Pausing { term: Term, until: Time, at: Time },
    Leading { term: Term, until: Time },
    Leaving,
    Releasing,
    Closed,
}

/// One dashboard's way to the lead and back.
#[derive(Debug)]
pub struct Leader {
    state: State,
    effects: VecDeque<Effect>,
    pause: Duration,
    /// The highest term that anybody told of.
    seen: Term,
    closing: bool,
}

impl Leader {
    /// Begins to try at once.
    pub fn new(now: Time) -> Self {
        Self {
            state: State::Waiting { until: now },
            effects: VecDeque::new(),
            pause: TRY_EVERY,
            seen: Term::default(),
            closing: false,
        }
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Leader::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Time> {
        match self.state {
            State::Waiting { until }
            | State::Fencing { until, .. }
            | State::Loading { until, .. }
            | State::Leading { until, .. } => Some(until),
            State::Pausing { until, at, .. } => Some(until.min(at)),
            State::Locking | State::Leaving | State::Releasing | State::Closed => None,
        }
    }

    /// Whether an order may leave now.
    pub fn may_act(&self, now: Time) -> bool {
        matches!(self.state, State::Leading { until, .. } if now < until)
    }

    /// The term that this one leads under.
    pub fn term(&self) -> Option<Term> {
        match self.state {
            State::Leading { term, .. } => Some(term),
            State::Waiting { .. }
            | State::Locking
            | State::Fencing { .. }
            | State::Loading { .. }
            | State::Pausing { .. }
            | State::Leaving
            | State::Releasing
            | State::Closed => None,
        }
    }

    /// Whether it has ended and holds nothing.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.until().is_some_and(|until| now >= until) {
            self.leave("the lease ran out: the coordinator did not renew it in time");
            return;
        }
        match self.state {
            State::Waiting { until } if now >= until => {
                self.state = State::Locking;
                self.effects.push_back(Effect::TryLock);
            }
            State::Pausing { term, until, at } if now >= at => {
                self.state = State::Loading { term, until };
                self.effects.push_back(Effect::Load(term));
            }
            State::Waiting { .. }
            | State::Pausing { .. }
            | State::Locking
            | State::Fencing { .. }
            | State::Loading { .. }
            | State::Leading { .. }
            | State::Leaving
            | State::Releasing
            | State::Closed => {}
        }
    }

    /// A try to take the lock has ended.
    pub fn handle_lock(&mut self, now: Time, outcome: LockOutcome) {
        if self.state != State::Locking {
            return;
        }
        match outcome {
            LockOutcome::Taken { .. } if self.closing => self.release(),
            LockOutcome::Taken { until, term } => {
                let to = term.unwrap_or_default().max(self.seen).next();
                self.state = State::Fencing { to, until };
                self.effects.push_back(Effect::Fence { from: term, to });
            }
            LockOutcome::Held => self.wait(now, TRY_EVERY),
            LockOutcome::Failed => self.wait(now, RETRY),
        }
    }

    /// The term was changed, or it is not known that it was.
    pub fn handle_fenced(&mut self, fenced: bool) {
        let State::Fencing { to, until } = self.state else {
            return;
        };
        if fenced {
            self.state = State::Loading { term: to, until };
            self.effects.push_back(Effect::Load(to));
        } else {
            self.pause = RETRY;
            self.release();
        }
    }

    /// The records were read, or could not be.
    pub fn handle_loaded(&mut self, now: Time, loaded: bool) {
        let State::Loading { term, until } = self.state else {
            return;
        };
        if loaded {
            self.state = State::Leading { term, until };
            self.effects.push_back(Effect::Lead(term));
        } else {
            let at = now + RETRY;
            self.state = State::Pausing { term, until, at };
        }
    }

    /// The lock is held to `until` now.
    pub fn handle_renewed(&mut self, renewed: Time) {
        match &mut self.state {
            State::Fencing { until, .. }
            | State::Loading { until, .. }
            | State::Pausing { until, .. }
            | State::Leading { until, .. } => *until = renewed,
            State::Waiting { .. }
            | State::Locking
            | State::Leaving
            | State::Releasing
            | State::Closed => {}
        }
    }

    /// The store gave the lock to somebody else, or took it away.
    pub fn handle_lost(&mut self, why: &str) {
        self.leave(&format!("the lock is lost: {why}"));
    }

    /// A write was refused, or a proxy was told of a higher term: somebody else leads, or led
    /// before the records were replaced by older ones. The next term is above what was seen.
    pub fn handle_refused(&mut self, why: &str, seen: Option<Term>) {
        self.seen = self.seen.max(seen.unwrap_or_default());
        self.leave(&format!("another dashboard leads: {why}"));
    }

    /// Nothing of the term goes on any more.
    pub fn handle_stepped_down(&mut self) {
        if self.state == State::Leaving {
            self.release();
        }
    }

    /// The lock is let go, or will be by the end of its lease.
    pub fn handle_released(&mut self, now: Time) {
        if self.state == State::Releasing {
            let pause = std::mem::replace(&mut self.pause, TRY_EVERY);
            self.wait(now, pause);
        }
    }

    /// Ends for good; [`Leader::is_closed`] says when nothing is held any more.
    pub fn handle_close(&mut self) {
        self.closing = true;
        match self.state {
            State::Waiting { .. } => self.state = State::Closed,
            State::Fencing { .. }
            | State::Loading { .. }
            | State::Pausing { .. }
            | State::Leading { .. } => self.leave("the dashboard stops"),
            State::Locking | State::Leaving | State::Releasing | State::Closed => {}
        }
    }

    fn until(&self) -> Option<Time> {
        match self.state {
            State::Fencing { until, .. }
            | State::Loading { until, .. }
            | State::Pausing { until, .. }
            | State::Leading { until, .. } => Some(until),
            State::Waiting { .. }
            | State::Locking
            | State::Leaving
            | State::Releasing
            | State::Closed => None,
        }
    }

    /// Ends the term. Whoever has not gone online has nothing to end.
    fn leave(&mut self, why: &str) {
        match self.state {
            State::Leading { .. } => {
                // An order to go online that the shell has not seen yet would come too late.
                self.effects.clear();
                self.state = State::Leaving;
                self.effects.push_back(Effect::StepDown(why.to_owned()));
            }
            State::Fencing { .. } | State::Loading { .. } | State::Pausing { .. } => {
                self.pause = RETRY;
                self.release();
            }
            State::Waiting { .. }
            | State::Locking
            | State::Leaving
            | State::Releasing
            | State::Closed => {}
        }
    }

    fn release(&mut self) {
        self.effects.clear();
        self.state = State::Releasing;
        self.effects.push_back(Effect::Release);
    }

    fn wait(&mut self, now: Time, pause: Duration) {
        self.state = if self.closing {
            State::Closed
        } else {
            State::Waiting { until: now + pause }
        };
    }
}

#[cfg(test)]
mod tests;
