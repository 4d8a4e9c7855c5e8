//! What reaches boards and the store, and what leaves boards.

use std::time::Duration;

use super::{Happening, Stand, World, clock, shuffled};
use crate::topom::board::{Board, Input};
use crate::topom::proxy::From;
use crate::topom::wire::{Answer, Ask, Body, ProxyAnswer, ProxyCall, StoreAnswer, StoreCall};

impl World {
    pub(super) fn board_starts(&mut self, board: usize) {
        let seat = &mut self.seats[board];
        if seat.board.is_some() {
            return;
        }
        seat.life += 1;
        seat.clock = clock(&mut self.life_rng, self.now, self.plan.drift_ppm);
        seat.tick = None;
        let (life, now) = (seat.life, seat.clock.local(self.now));
        seat.board = Some(Board::new(now, board, life, self.settings));
        self.say(format_args!("board {board} starts, life {life}"));
        self.hand(board, Input::Tick, false);
    }

    pub(super) fn board_dies(&mut self, board: usize, down: Duration) {
        let seat = &mut self.seats[board];
        if seat.board.take().is_none() {
            return;
        }
        (seat.stopped, seat.doomed) = (None, None);
        self.stats.crashes += 1;
        self.say(format_args!("board {board} dies"));
        let at = self.now + down;
        self.queue.push(at, Happening::BoardStarts { board });
    }

    pub(super) fn reach_board(&mut self, board: usize, life: u64, input: Input) {
        let seat = &mut self.seats[board];
        if seat.life != life || seat.board.is_none() {
            return;
        }
        match &mut seat.stopped {
            Some(waiting) => waiting.push(input),
            None => self.hand(board, input, false),
        }
    }

    pub(super) fn tick(&mut self, board: usize, life: u64) {
        let seat = &mut self.seats[board];
        if seat.tick != Some(self.now) || seat.life != life {
            return;
        }
        seat.tick = None;
        self.reach_board(board, life, Input::Tick);
    }

    pub(super) fn board_goes_on(&mut self, board: usize, turn: u64) {
        let seat = &mut self.seats[board];
        if seat.turn != turn {
            return;
        }
        let Some(waiting) = seat.stopped.take() else {
            return;
        };
        self.say(format_args!("board {board} goes on"));
        for input in shuffled(&mut self.life_rng, waiting) {
            let late = self.life_rng.chance(500);
            self.hand(board, input, late);
        }
        self.hand(board, Input::Tick, false);
    }

    /// Hands an input to a board that runs, and sends off what leaves.
    pub(super) fn hand(&mut self, board: usize, input: Input, late: bool) {
        let seat = &mut self.seats[board];
        let Some(machine) = &mut seat.board else {
            return;
        };
        let before = machine.term();
        let now = seat.clock.local(self.now);
        self.trace
            .line(self.now, format_args!("board {board} <- {input:?}"));
        let asks = machine.handle(now, input, late);
        let after = machine.term();
        let missed = machine.core().map(|core| core.promoter.undo_max);
        if before != after {
            let text = format!("board {board} leads under {after:?}");
            self.stats.terms += u64::from(after.is_some());
            self.say(format_args!("{text}"));
        }
        self.stats.undo_max = self.stats.undo_max.max(missed.unwrap_or_default());
        for ask in asks {
            let doomed = &mut self.seats[board].doomed;
            if let Some((left, down)) = doomed {
                if *left == 0 {
                    let down = *down;
                    return self.board_dies(board, down);
                }
                *left -= 1;
            }
            self.send(board, ask);
        }
        self.plan_tick(board);
    }

    fn plan_tick(&mut self, board: usize) {
        let seat = &mut self.seats[board];
        let Some(at) = seat.board.as_ref().and_then(Board::poll_timeout) else {
            return;
        };
        let soon = self.now + Duration::from_micros(1);
        let at = seat.clock.global(at).max(soon);
        if seat.tick != Some(at) {
            seat.tick = Some(at);
            let life = seat.life;
            self.queue.push(at, Happening::Tick { board, life });
        }
    }

    fn send(&mut self, board: usize, ask: Ask) {
        let Ask { call, limit, body } = ask;
        self.stats.calls += 1;
        self.say(format_args!("board {board} -> call {call}: {body:?}"));
        let seat = &self.seats[board];
        let life = seat.life;
        let from = (board, life, call);
        let end = seat.clock.global(seat.clock.local(self.now) + limit);
        let input = Input::Answer {
            call,
            answer: Answer::Nothing,
        };
        self.queue
            .push(end, Happening::Board { board, life, input });
        let at = self.now + self.delay();
        match body {
            Body::Store(call) => self.send_to_store(from, call),
            Body::Proxy { proxy, term, call } => {
                let cut = self.net.proxies.get(&(board, proxy));
                if cut.is_some_and(|until| self.now < *until) {
                    return;
                }
                let (at, twice) = self.lateness(proxy, &call, at);
                if let Some(again) = twice {
                    let call = call.clone();
                    let copy = Happening::Proxy {
                        proxy,
                        from,
                        term,
                        call,
                    };
                    self.queue.push(again, copy);
                }
                let first = Happening::Proxy {
                    proxy,
                    from,
                    term,
                    call,
                };
                self.queue.push(at, first);
            }
            Body::Server { to, call } => {
                let at = self.lateness_of_orders(at);
                let term = self.seats[board].board.as_ref().and_then(Board::term);
                let job = super::Job::Order { from, term, call };
                self.queue.push(at, Happening::Server { to, job });
            }
        }
    }

    fn send_to_store(&mut self, from: From, call: StoreCall) {
        let (board, ..) = from;
        let cut = self.net.store.get(&board);
        if cut.is_some_and(|until| self.now < *until) {
            return;
        }
        let mut at = self.now + self.delay();
        if self.now < self.net.slow.0 {
            at = at + self.net_rng.micros(0..self.net.slow.1.as_micros() as u64);
        }
        if self.now < self.net.lossy && self.net_rng.chance(150) {
            self.say(format_args!("the store does not hear of call {}", from.2));
            return self.answer_at(at, from, Answer::Nothing);
        }
        self.queue.push(at, Happening::Store { from, call });
    }

    pub(super) fn reach_store(&mut self, from: From, call: StoreCall) {
        let (answer, changed) = self.store.handle(self.now, call);
        if let Some(changed) = changed {
            self.say(format_args!("store: {changed:?}"));
            self.check.stored(self.now, &changed);
            if answer == StoreAnswer::Done {
                self.stats.commits += 1;
            }
        }
        let cut = self.net.store.get(&from.0);
        if cut.is_some_and(|until| self.now < *until) {
            return;
        }
        let mut at = self.now + self.delay();
        if self.now < self.net.slow.0 {
            at = at + self.net_rng.micros(0..self.net.slow.1.as_micros() as u64);
        }
        if self.now < self.net.lossy && self.net_rng.chance(200) {
            self.say(format_args!("the answer to call {} is lost", from.2));
            return self.answer_at(at, from, Answer::Nothing);
        }
        self.answer_at(at, from, Answer::Store(answer));
    }

    /// When a call reaches a proxy, and once more.
    fn lateness(
        &mut self,
        proxy: usize,
        call: &ProxyCall,
        at: crate::moment::Moment,
    ) -> (crate::moment::Moment, Option<crate::moment::Moment>) {
        let late = self.net.late.get(&proxy).copied();
        match late.filter(|(until, _)| self.now < *until) {
            // The connection of a witness was good a moment ago.
            Some((_, by)) if !matches!(call, ProxyCall::Connect | ProxyCall::Witness) => {
                let by = by.as_micros() as u64;
                let late = at + self.net_rng.micros(0..by);
                let again = self.net_rng.chance(300);
                let twice = again.then(|| at + self.net_rng.micros(0..2 * by));
                (late, twice)
            }
            Some(_) | None => (at, None),
        }
    }

    /// When an order reaches a server: perhaps long after whoever gave it gave it up, or died.
    fn lateness_of_orders(&mut self, at: crate::moment::Moment) -> crate::moment::Moment {
        let (until, by) = self.net.late_orders;
        if self.now < until && self.net_rng.chance(300) {
            at + self.net_rng.micros(0..by.as_micros() as u64)
        } else {
            at
        }
    }

    pub(super) fn answer(&mut self, from: From, answer: Answer) {
        let at = self.now + self.delay();
        self.answer_at(at, from, answer);
    }

    fn answer_at(&mut self, at: crate::moment::Moment, from: From, answer: Answer) {
        let (board, life, call) = from;
        let input = Input::Answer { call, answer };
        self.queue.push(at, Happening::Board { board, life, input });
    }

    /// A call reaches a proxy that is stopped or dead: its kernel answers for it.
    pub(super) fn kernel(stand: &Stand, call: &ProxyCall) -> Option<Answer> {
        match &stand.proxy {
            None => Some(Answer::Refused),
            Some(_) if *call == ProxyCall::Connect => Some(Answer::Proxy(ProxyAnswer::Done)),
            Some(_) => None,
        }
    }
}
