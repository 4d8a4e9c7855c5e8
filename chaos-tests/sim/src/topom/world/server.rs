//! The servers: each does what it is told, one thing after the other, and moves keys in one step.

use std::collections::BTreeMap;

use codis_core::model::ActionState;

use super::{Happening, World};
use crate::moment::Moment;
use crate::topom::check::Rule;
use crate::topom::proxy::{From, Key, Leg, Op};
use crate::topom::wire::{Answer, ServerAnswer, ServerCall};

/// Keys that one migrate command moves.
const MOVES: usize = 2;

/// What a server is told.
#[derive(Debug)]
pub(super) enum Job {
    /// By a proxy.
    Leg {
        proxy: usize,
        life: u64,
        op: Op,
        leg: Leg,
        excused: bool,
    },
    /// By a board.
    Order { from: From, call: ServerCall },
}

/// The master of a group.
#[derive(Debug, Default)]
pub(super) struct Server {
    keys: BTreeMap<Key, u64>,
    /// What reached it while it is stopped.
    pub(super) stopped: Option<Vec<Job>>,
    pub(super) turn: u64,
}

impl Server {
    /// The keys of a slot.
    pub(super) fn keys_of(&self, slot: u16) -> impl Iterator<Item = (&Key, &u64)> {
        self.keys.range((slot, 0, 0)..(slot + 1, 0, 0))
    }

    /// The value of a key.
    pub(super) fn value(&self, key: Key) -> Option<u64> {
        self.keys.get(&key).copied()
    }
}

impl World {
    pub(super) fn server_goes_on(&mut self, group: u32, turn: u64) {
        let Some(server) = self.servers.get_mut(&group) else {
            return;
        };
        if server.turn != turn {
            return;
        }
        let waiting = server.stopped.take().unwrap_or_default();
        self.say(format_args!("server {group} goes on"));
        for job in waiting {
            self.reach_server(group, job);
        }
    }

    pub(super) fn reach_server(&mut self, group: u32, job: Job) {
        let Some(server) = self.servers.get_mut(&group) else {
            return;
        };
        if let Some(waiting) = &mut server.stopped {
            waiting.push(job);
            return;
        }
        self.dirty = true;
        match job {
            Job::Leg {
                proxy,
                life,
                op,
                leg,
                excused,
            } => {
                if excused || self.comes_too_late(group, (proxy, life), op) {
                    self.check.taint(op.key);
                }
                let (done, value) = match leg {
                    Leg::Tag { to } => (self.move_key(group, to, op.key), None),
                    Leg::Run => (true, self.execute(group, op)),
                };
                let at = self.now + self.delay();
                let replied = Happening::Replied {
                    proxy,
                    life,
                    op: op.id,
                    done,
                    value,
                };
                self.queue.push(at, replied);
            }
            Job::Order { from, call } => {
                let answer = match call {
                    ServerCall::Ping => ServerAnswer::Pong,
                    ServerCall::Migrate { slot, target } => self.migrate(group, slot, target),
                };
                self.answer(from, Answer::Server(answer));
            }
        }
    }

    /// Whether bytes of a proxy that has died meanwhile reach a server that the slot has left: the
    /// dashboard need not wait for what no process answers for. One that lies does not wait for
    /// what it has sent either.
    fn comes_too_late(&self, group: u32, (proxy, life): (usize, u64), op: Op) -> bool {
        let stand = &self.stands[proxy];
        let dead = stand.life != life || stand.proxy.is_none();
        let record = self.store.slot(op.key.0);
        let stays = record.group_id == group && record.action.state == ActionState::Nothing;
        let lies = stand.proxy.as_ref();
        let lies = lies.is_some_and(|proxy| proxy.is_excused(op.key.0));
        lies || (dead && !stays)
    }

    fn migrate(&mut self, group: u32, slot: u16, target: u32) -> ServerAnswer {
        let server = &self.servers[&group];
        let some: Vec<Key> = server
            .keys_of(slot)
            .take(MOVES)
            .map(|(key, _)| *key)
            .collect();
        for key in some {
            if !self.move_key(group, target, key) {
                return ServerAnswer::Failed;
            }
        }
        ServerAnswer::Left(self.servers[&group].keys_of(slot).count() as u64)
    }

    /// Moves a key, if it is here; false when the target is not there.
    fn move_key(&mut self, group: u32, target: u32, key: Key) -> bool {
        if self.servers[&target].stopped.is_some() {
            return false;
        }
        let value = self
            .servers
            .get_mut(&group)
            .and_then(|it| it.keys.remove(&key));
        let (Some(value), Some(to)) = (value, self.servers.get_mut(&target)) else {
            return true;
        };
        self.stats.moved += 1;
        let buried = to.keys.insert(key, value);
        self.trace.line(
            self.now,
            format_args!("key {key:?} goes from {group} to {target}"),
        );
        if let Some(buried) = buried.filter(|_| self.check.counts(key)) {
            let text = format!("key {key:?} of {group} buries {buried} at {target}");
            self.breaks(Rule::TwoOwners, text);
        }
        true
    }

    fn execute(&mut self, group: u32, op: Op) -> Option<u64> {
        let key = op.key;
        let elsewhere =
            |(id, server): &(&u32, &super::Server)| **id != group && server.keys.contains_key(&key);
        let other = self.servers.iter().find(elsewhere).map(|(id, _)| *id);
        if let Some(other) = other.filter(|_| self.check.counts(key)) {
            let record = self.store.slot(key.0);
            let text = format!("{op:?} runs on {group}, the key is on {other}; {record:?}");
            self.breaks(Rule::Stranded, text);
        }
        self.trace
            .line(self.now, format_args!("server {group} runs {op:?}"));
        let server = self.servers.get_mut(&group)?;
        if let Some(value) = op.write {
            server.keys.insert(key, value);
        }
        server.value(key)
    }

    /// Stops a server until it goes on.
    pub(super) fn server_stops(&mut self, group: u32, until: Moment) {
        let Some(server) = self.servers.get_mut(&group) else {
            return;
        };
        if server.stopped.is_some() {
            return;
        }
        server.stopped = Some(Vec::new());
        server.turn += 1;
        let turn = server.turn;
        self.say(format_args!("server {group} stops"));
        self.queue
            .push(until, Happening::ServerGoesOn { group, turn });
    }
}
