//! The way to the lead and back: drives [`Leader`] and keeps the lock, after the dashboard's
//! `leader` and the coordinator's keeper of leases.

use std::time::Duration;

use codis_core::ha::Term;
use codis_core::time::Time;
use codis_topom::Records;
use codis_topom::leader::{Effect, Leader, LockOutcome};

use super::Settings;
use super::calls::{Calls, Purpose};
use super::load::{Loader, Step};
use super::owner::STORE_MAX;
use crate::topom::sabotage::Sabotage;
use crate::topom::wire::{Answer, Body, StoreAnswer, StoreCall, TermRecord};

/// A lock that is held.
#[derive(Debug)]
struct Lock {
    session: u64,
    until: Time,
    renew_at: Time,
    renewing: bool,
}

/// What the board must do besides.
#[derive(Debug)]
pub enum Order {
    /// Go online with these.
    Begin(TermRecord, Box<Records>),
    /// End all that belongs to the term.
    End,
}

/// One board's chair.
#[derive(Debug)]
pub struct Chair {
    board: usize,
    life: u64,
    span: Duration,
    sabotage: Sabotage,
    leader: Leader,
    lock: Option<Lock>,
    taken: Option<Lock>,
    last: Option<TermRecord>,
    fence: Option<TermRecord>,
    loader: Option<Loader>,
    loaded: Option<Records>,
    work: Option<u64>,
    sessions: u64,
    /// To when an order may leave.
    pub lease: Time,
}

impl Chair {
    /// A board that does not lead yet.
    pub fn new(now: Time, (board, life): (usize, u64), settings: &Settings) -> Self {
        Self {
            board,
            life,
            span: settings.lease,
            sabotage: settings.sabotage,
            leader: Leader::new(now),
            lock: None,
            taken: None,
            last: None,
            fence: None,
            loader: None,
            loaded: None,
            work: None,
            sessions: 0,
            lease: Time::ZERO,
        }
    }

    /// The term that it leads under, as it believes.
    pub fn term(&self) -> Option<Term> {
        self.leader.term()
    }

    /// When to call [`Chair::run`] again at the latest.
    pub fn poll_timeout(&self) -> Option<Time> {
        let lock = self.lock.as_ref();
        let renew = lock.filter(|lock| !lock.renewing).map(|it| it.renew_at);
        let ends = lock.map(|lock| lock.until);
        let all = [self.leader.poll_timeout(), renew, ends];
        all.into_iter().flatten().min()
    }

    /// Does what is due, and says what the board must do besides.
    pub fn run(&mut self, now: Time, calls: &mut Calls) -> Option<Order> {
        self.keep(now, calls);
        self.leader.handle_timeout(now);
        self.look();
        loop {
            let effect = self.leader.poll_effect()?;
            match effect {
                Effect::TryLock => {
                    self.sessions += 1;
                    let session = (self.board as u64) << 48 | self.life << 24 | self.sessions;
                    let span = self.span;
                    let sent = now;
                    let call = StoreCall::Lock { session, span };
                    self.ask(Purpose::Lock { session, sent }, call, calls);
                }
                Effect::Fence { to, .. } => {
                    let expected = self.last.take();
                    let same = expected.filter(|_| self.sabotage == Sabotage::SameTerm);
                    let to = TermRecord {
                        term: same.map_or(to, |last| last.term),
                        board: self.board,
                        life: self.life,
                    };
                    self.fence = Some(to);
                    let call = StoreCall::WriteTerm { expected, to };
                    self.ask(Purpose::Fence, call, calls);
                }
                Effect::Load(_) => {
                    if let Some(guard) = self.fence {
                        let (loader, first) = Loader::new(guard);
                        self.loader = Some(loader);
                        self.ask(Purpose::Load, first, calls);
                    }
                }
                Effect::Lead(_) => {
                    if let (Some(guard), Some(records)) = (self.fence, self.loaded.take()) {
                        return Some(Order::Begin(guard, records.into()));
                    }
                }
                Effect::StepDown(_) => {
                    self.leader.handle_stepped_down();
                    return Some(Order::End);
                }
                Effect::Release => match self.lock.take() {
                    Some(Lock { session, .. }) => {
                        self.ask(Purpose::Release, StoreCall::Unlock { session }, calls);
                    }
                    None => self.leader.handle_released(now),
                },
            }
        }
    }

    /// Somebody took no order because another board leads.
    pub fn handle_refused(&mut self, why: &str, seen: Option<Term>) {
        self.leader.handle_refused(why, seen);
        self.lease = Time::ZERO;
    }

    /// A call of the chair has ended.
    pub fn handle(&mut self, now: Time, (call, purpose): (u64, Purpose), answer: Answer) {
        if let Purpose::Renew { session, sent } = purpose {
            return self.renewed(session, sent, &answer);
        }
        if self.work.take_if(|work| *work == call).is_none() {
            return;
        }
        let answer = match answer {
            Answer::Store(answer) => Some(answer),
            _ => None,
        };
        match (purpose, answer) {
            (Purpose::Lock { session, sent }, Some(StoreAnswer::Done)) => {
                self.taken = Some(Lock {
                    session,
                    until: sent + self.span,
                    renew_at: sent + self.span / 3,
                    renewing: false,
                });
            }
            (Purpose::Lock { .. }, Some(StoreAnswer::Held)) => {
                self.leader.handle_lock(now, LockOutcome::Held);
            }
            (Purpose::LastTerm, Some(StoreAnswer::Term(last))) => {
                if let Some(lock) = self.taken.take() {
                    let (until, term) = (lock.until, last.map(|record| record.term));
                    (self.lock, self.last) = (Some(lock), last);
                    let outcome = LockOutcome::Taken { until, term };
                    self.leader.handle_lock(now, outcome);
                }
            }
            (Purpose::Lock { .. } | Purpose::LastTerm, _) => {
                self.taken = None;
                self.leader.handle_lock(now, LockOutcome::Failed);
            }
            (Purpose::Fence, answer) => {
                let fenced = answer == Some(StoreAnswer::Done);
                self.fence = self.fence.filter(|_| fenced);
                self.leader.handle_fenced(fenced);
            }
            (Purpose::Release, _) => self.leader.handle_released(now),
            _ => {}
        }
    }

    /// What comes after a call that is one of several.
    pub fn go_on(&mut self, now: Time, purpose: &Purpose, answer: Answer, calls: &mut Calls) {
        match purpose {
            Purpose::Lock { .. } if self.taken.is_some() => {
                self.ask(Purpose::LastTerm, StoreCall::ReadTerm, calls);
            }
            Purpose::Load => {
                let answer = match answer {
                    Answer::Store(answer) => Some(answer),
                    _ => None,
                };
                let Some(loader) = &mut self.loader else {
                    return;
                };
                match loader.handle(answer) {
                    Step::Ask(call) => self.ask(Purpose::Load, call, calls),
                    Step::Done(records) => {
                        self.loader = None;
                        self.loaded = Some(records);
                        self.leader.handle_loaded(now, true);
                    }
                    Step::Fenced | Step::Failed => {
                        self.loader = None;
                        self.leader.handle_loaded(now, false);
                    }
                }
            }
            _ => {}
        }
    }

    /// The one thing that the chair waits for; what it waited for before is given up.
    fn ask(&mut self, purpose: Purpose, call: StoreCall, calls: &mut Calls) {
        if let Some(before) = self.work.take() {
            calls.forget(before);
        }
        self.work = Some(calls.ask(purpose, STORE_MAX, Body::Store(call)));
    }

    /// Renews the lease three times in its span. One that ran out is lost.
    fn keep(&mut self, now: Time, calls: &mut Calls) {
        let Some(lock) = &mut self.lock else { return };
        if lock.until <= now {
            self.lock = None;
            return self.leader.handle_lost("its lease ran out");
        }
        if lock.renew_at <= now && !lock.renewing {
            lock.renewing = true;
            let (session, sent) = (lock.session, now);
            let purpose = Purpose::Renew { session, sent };
            let call = Body::Store(StoreCall::Renew { session });
            calls.ask(purpose, STORE_MAX, call);
        }
    }

    fn renewed(&mut self, session: u64, sent: Time, answer: &Answer) {
        let span = self.span;
        let Some(lock) = self.lock.as_mut().filter(|lock| lock.session == session) else {
            return;
        };
        lock.renewing = false;
        lock.renew_at = sent + span / 3;
        match answer {
            Answer::Store(StoreAnswer::Done) => lock.until = sent + span,
            Answer::Store(_) => {
                self.lock = None;
                self.leader.handle_lost("its lease expired");
            }
            _ => {}
        }
    }

    /// Takes over to when the lock is held.
    fn look(&mut self) {
        if let Some(lock) = &self.lock {
            self.lease = lock.until;
            self.leader.handle_renewed(lock.until);
        }
    }
}
