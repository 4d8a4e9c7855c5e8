//! Faults and operators.

use std::time::Duration;

use codis_topom::edit;

use super::{Happening, World};
use crate::moment::Moment;
use crate::topom::board::{Decide, Input};
use crate::topom::plan::{Fault, Wish};
use crate::topom::profile::Kind;
use crate::topom::wire::Node;

impl World {
    pub(super) fn strike(&mut self, number: usize) {
        let fault = self.plan.faults[number].1;
        let until = self.now + fault.span;
        self.stats.faults += 1;
        self.say(format_args!("fault: {fault:?}"));
        let board = fault.whom % self.seats.len();
        let proxy = fault.whom % self.stands.len();
        match fault.kind {
            Kind::CrashBoard => {
                let board = self.leader_or(board, fault.number);
                self.seats[board].doomed = Some((fault.number % 60, fault.span));
            }
            Kind::StopBoard => {
                let board = self.leader_or(board, fault.number);
                self.board_stops(board, until);
            }
            Kind::LossyStore => self.net.lossy = until,
            Kind::SlowStore => self.net.slow = (until, fault.span.min(Duration::from_secs(3))),
            Kind::CutStore => {
                let board = self.leader_or(board, fault.number);
                self.net.store.insert(board, until);
            }
            Kind::StopProxy => self.proxy_stops(proxy, until),
            Kind::CrashProxy => self.proxy_dies(proxy, fault.span),
            Kind::CutProxy => self.cut_proxy(proxy, fault, until),
            Kind::LateProxy => {
                self.net.late.insert(proxy, (until, fault.span));
            }
            Kind::LateOrder => {
                let late = (until, 5 * fault.span);
                self.net.late_orders = late;
                self.net.late = (0..self.stands.len()).map(|proxy| (proxy, late)).collect();
                let board = self.leader_or(board, 1);
                self.seats[board].doomed = Some((fault.number % 60, fault.span));
            }
            Kind::LieProxy => {
                if let Some(proxy) = &mut self.stands[proxy].proxy {
                    proxy.lies = true;
                }
                self.queue.push(until, Happening::Honest { proxy });
            }
            Kind::StopServer => {
                let server = self.server_at(fault);
                self.server_stops(server, until);
            }
            Kind::CutServer => {
                let server = self.server_at(fault);
                self.net.servers.insert(server, until);
            }
        }
    }

    /// Most faults of dashboards strike one that leads.
    fn leader_or(&self, other: usize, number: u64) -> usize {
        let leads = |at: &usize| self.leads(*at);
        if number.is_multiple_of(4) {
            return other;
        }
        (0..self.seats.len()).find(leads).unwrap_or(other)
    }

    /// The server that a fault strikes.
    fn server_at(&self, fault: Fault) -> Node {
        let servers: Vec<Node> = self.servers.keys().copied().collect();
        servers[fault.whom % servers.len()]
    }

    /// Whether a board believes that it leads.
    pub(super) fn leads(&self, at: usize) -> bool {
        let board = self.seats[at].board.as_ref();
        board.is_some_and(|board| board.term().is_some())
    }

    fn board_stops(&mut self, board: usize, until: Moment) {
        let seat = &mut self.seats[board];
        if seat.board.is_none() || seat.stopped.is_some() {
            return;
        }
        seat.stopped = Some(Vec::new());
        seat.turn += 1;
        let turn = seat.turn;
        self.say(format_args!("board {board} stops"));
        self.queue
            .push(until, Happening::BoardGoesOn { board, turn });
    }

    fn proxy_stops(&mut self, proxy: usize, until: Moment) {
        let stand = &mut self.stands[proxy];
        if stand.proxy.is_none() || stand.stopped.is_some() {
            return;
        }
        stand.stopped = Some((self.now, Vec::new()));
        stand.turn += 1;
        let turn = stand.turn;
        self.say(format_args!("proxy {proxy} stops"));
        self.queue
            .push(until, Happening::ProxyGoesOn { proxy, turn });
    }

    /// One board loses a proxy, or all do.
    fn cut_proxy(&mut self, proxy: usize, fault: Fault, until: Moment) {
        let all = fault.number.is_multiple_of(2);
        for board in 0..self.seats.len() {
            if all || board == fault.whom % self.seats.len() {
                self.net.proxies.insert((board, proxy), until);
            }
        }
    }

    /// An operator has a wish.
    pub(super) fn wish(&mut self, wish: Wish) {
        let decide: Decide = match wish {
            Wish::Move { slot, group } => {
                Box::new(move |it| edit::create_action(it, slot.into(), group.into()))
            }
            Wish::Range { first, last, group } => {
                Box::new(move |it| edit::create_range(it, first.into(), last.into(), group.into()))
            }
            Wish::Cancel { slot } => Box::new(move |it| edit::cancel_action(it, slot.into())),
            Wish::Remove { slot } => Box::new(move |it| edit::remove_action(it, slot.into())),
            Wish::Sync { server } => Box::new(move |it| edit::create_sync(it, &server.addr())),
            Wish::Promote { server } => {
                self.say(format_args!("an operator wants {wish:?}"));
                return self.call_leader(Input::Promote(server));
            }
            Wish::Interval { micros } => Box::new(move |it| edit::set_interval(it, micros)),
            Wish::Disable(disabled) => Box::new(move |it| edit::set_disabled(it, disabled)),
        };
        self.say(format_args!("an operator wants {wish:?}"));
        self.operate(decide);
    }

    /// An operator calls one of the boards that believe to lead.
    pub(super) fn operate(&mut self, decide: Decide) {
        self.call_leader(Input::Operate(decide));
    }

    fn call_leader(&mut self, input: Input) {
        let leads = (0..self.seats.len()).filter(|at| self.leads(*at));
        let leads: Vec<usize> = leads.collect();
        if leads.is_empty() {
            return;
        }
        let board = leads[self.client_rng.index(leads.len())];
        self.say(format_args!("an operator calls board {board}"));
        let life = self.seats[board].life;
        self.reach_board(board, life, input);
    }

    /// Everything is made whole.
    pub(super) fn heal(&mut self) {
        self.say(format_args!("everything is whole"));
        self.net = super::Net::default();
        for board in 0..self.seats.len() {
            let seat = &mut self.seats[board];
            seat.doomed = None;
            let turn = seat.turn;
            self.board_goes_on(board, turn);
            self.board_starts(board);
        }
        for proxy in 0..self.stands.len() {
            if self.stuck == Some(proxy) {
                continue;
            }
            if let Some(proxy) = &mut self.stands[proxy].proxy {
                proxy.lies = false;
            }
            let turn = self.stands[proxy].turn;
            self.proxy_goes_on(proxy, turn);
            self.proxy_starts(proxy);
        }
        let servers: Vec<(Node, u64)> =
            self.servers.iter().map(|(at, it)| (*at, it.turn)).collect();
        for (server, turn) in servers {
            self.server_goes_on(server, turn);
        }
        self.queue.push(self.now, Happening::Look);
    }
}
