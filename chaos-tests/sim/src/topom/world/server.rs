//! The servers: each does what it is told, one thing after the other, and moves keys in one step.
//! How replicas follow their masters is in `replication`.

use std::collections::{BTreeMap, VecDeque};

use codis_core::ha::Term;
use codis_core::model::ActionState;

use super::{Happening, World};
use crate::moment::Moment;
use crate::topom::check::Rule;
use crate::topom::plan::Plan;
use crate::topom::proxy::{From, Key, Leg, Op};
use crate::topom::wire::{Answer, Node, ServerAnswer, ServerCall, Sight};

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
    Order {
        from: From,
        /// Under which the board believed to lead.
        term: Option<Term>,
        call: ServerCall,
    },
}

/// A server.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) keys: BTreeMap<Key, u64>,
    /// Whom it follows.
    pub(super) master: Option<Node>,
    /// Whether it had all that its master had, and is told what changes there.
    pub(super) linked: bool,
    /// What is on its way from there, and when it is here.
    pub(super) inbox: VecDeque<(Moment, Key, Option<u64>)>,
    /// How many changes it has.
    pub(super) offset: u64,
    /// What reached it while it is stopped.
    pub(super) stopped: Option<Vec<Job>>,
    pub(super) turn: u64,
}

/// The servers of a plan. The first of each group is its master.
pub(super) fn all(plan: &Plan) -> BTreeMap<Node, Server> {
    let nodes = (1..=plan.groups)
        .flat_map(|group| (1..=plan.servers).map(move |number| Node { group, number }));
    let server = |node: Node| {
        let first = Node { number: 1, ..node };
        let server = Server {
            master: (node != first).then_some(first),
            linked: node != first,
            ..Server::default()
        };
        (node, server)
    };
    nodes.map(server).collect()
}

impl Server {
    /// The keys of a slot.
    pub(super) fn keys_of(&self, slot: u16) -> impl Iterator<Item = (&Key, &u64)> {
        self.keys.range((slot, 0, 0)..(slot + 1, 0, 0))
    }

    fn sight(&self) -> Sight {
        Sight {
            master: self.master,
            linked: self.linked,
            offset: self.offset,
        }
    }
}

impl World {
    pub(super) fn server_goes_on(&mut self, node: Node, turn: u64) {
        let Some(server) = self.servers.get_mut(&node) else {
            return;
        };
        if server.turn != turn || server.stopped.is_none() {
            return;
        }
        let waiting = server.stopped.take().unwrap_or_default();
        self.say(format_args!("server {} goes on", node.addr()));
        for job in waiting {
            self.reach_server(node, job);
        }
    }

    pub(super) fn reach_server(&mut self, node: Node, job: Job) {
        let Some(server) = self.servers.get_mut(&node) else {
            return;
        };
        if matches!(job, Job::Order { .. }) && self.net.is_cut(self.now, node) {
            return;
        }
        if let Some(waiting) = &mut server.stopped {
            waiting.push(job);
            return;
        }
        self.dirty = true;
        self.settle(node);
        match job {
            Job::Leg {
                proxy,
                life,
                op,
                leg,
                excused,
            } => {
                if excused || self.comes_too_late(node, (proxy, life), op) {
                    self.check.taint(op.key);
                }
                let (done, value) = match leg {
                    Leg::Tag { to } => (self.move_key(node, to, op.key), None),
                    Leg::Run => self.execute(node, op),
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
            Job::Order { from, term, call } => {
                self.say(format_args!("server {} <- {call:?}", node.addr()));
                let answer = match call {
                    ServerCall::Ping => ServerAnswer::Pong,
                    ServerCall::Migrate { slot, target } => {
                        self.excuse_late(term, |it| {
                            let keys = it.servers.get(&node).into_iter();
                            keys.flat_map(|server| server.keys_of(slot))
                                .map(|(key, _)| *key)
                                .collect()
                        });
                        self.migrate(node, slot, target)
                    }
                    ServerCall::Info => ServerAnswer::Sight(self.servers[&node].sight()),
                    ServerCall::Follow(master) => {
                        self.excuse_late(term, |it| it.keys_in(node.group));
                        self.follow(node, master);
                        ServerAnswer::Done
                    }
                };
                self.answer(from, Answer::Server(answer));
            }
        }
    }

    /// A server knows no term: an order that comes after another board leads is carried out once.
    /// That is accepted (docs/design/0005), and what it touches shows nothing.
    fn excuse_late(&mut self, term: Option<Term>, keys: impl Fn(&Self) -> Vec<Key>) {
        if term == self.store.term() {
            return;
        }
        self.stats.late += 1;
        for key in keys(self) {
            self.check.taint(key);
        }
    }

    /// All keys that servers of a group have.
    fn keys_in(&self, group: u32) -> Vec<Key> {
        let servers = self.servers.iter().filter(|(node, _)| node.group == group);
        let keys = servers.flat_map(|(_, server)| server.keys.keys());
        keys.copied().collect()
    }

    /// The value of a key at the master of a group.
    pub(super) fn value_at(&self, group: u32, key: Key) -> Option<u64> {
        let master = self.store.master(group)?;
        self.servers.get(&master)?.keys.get(&key).copied()
    }

    /// Whether bytes of a proxy that has died meanwhile reach a server that the slot has left: the
    /// dashboard need not wait for what no process answers for. One that lies does not wait for
    /// what it has sent either.
    fn comes_too_late(&self, node: Node, (proxy, life): (usize, u64), op: Op) -> bool {
        let stand = &self.stands[proxy];
        let dead = stand.life != life || stand.proxy.is_none();
        let record = self.store.slot(op.key.0);
        let stays = record.group_id == node.group
            && record.action.state == ActionState::Nothing
            && self.store.master(node.group) == Some(node);
        let lies = stand.proxy.as_ref();
        let lies = lies.is_some_and(|proxy| proxy.is_excused(op.key.0));
        lies || (dead && !stays)
    }

    fn migrate(&mut self, node: Node, slot: u16, target: Node) -> ServerAnswer {
        let server = &self.servers[&node];
        if server.master.is_some() {
            return ServerAnswer::Failed;
        }
        let some = server.keys_of(slot).take(MOVES);
        let some: Vec<Key> = some.map(|(key, _)| *key).collect();
        for key in some {
            if !self.move_key(node, target, key) {
                return ServerAnswer::Failed;
            }
        }
        ServerAnswer::Left(self.servers[&node].keys_of(slot).count() as u64)
    }

    /// Moves a key, if it is here; false when the target is not there, or one of the two takes no
    /// writes.
    fn move_key(&mut self, node: Node, target: Node, key: Key) -> bool {
        let takes = |it: &Server| it.stopped.is_none() && it.master.is_none();
        let both = [node, target].map(|at| self.servers.get(&at).is_some_and(takes));
        if both != [true, true] {
            return false;
        }
        let Some(value) = self.servers[&node].keys.get(&key).copied() else {
            return true;
        };
        self.stats.moved += 1;
        let (from, to) = (node.addr(), target.addr());
        self.say(format_args!("key {key:?} goes from {from} to {to}"));
        let buried = self.servers[&target].keys.get(&key).copied();
        self.change(node, key, None);
        self.change(target, key, Some(value));
        if let Some(buried) = buried.filter(|_| self.check.counts(key)) {
            let text = format!("key {key:?} of {from} buries {buried} at {to}");
            self.breaks(Rule::TwoOwners, text);
        }
        true
    }

    /// Runs a request: whether it was taken, and the value. A replica takes no writes.
    fn execute(&mut self, node: Node, op: Op) -> (bool, Option<u64>) {
        let key = op.key;
        if op.write.is_some() && self.servers[&node].master.is_some() {
            return (false, None);
        }
        let elsewhere = |group: &u32| *group != node.group && self.value_at(*group, key).is_some();
        let other = (1..=self.plan.groups).find(elsewhere);
        if let Some(other) = other.filter(|_| self.check.counts(key)) {
            let record = self.store.slot(key.0);
            let at = node.addr();
            let text = format!("{op:?} runs on {at}, the key is on group {other}; {record:?}");
            self.breaks(Rule::Stranded, text);
        }
        self.say(format_args!("server {} runs {op:?}", node.addr()));
        if op.write.is_some() {
            self.change(node, key, op.write);
        }
        (true, self.servers[&node].keys.get(&key).copied())
    }

    /// Stops a server until it goes on.
    pub(super) fn server_stops(&mut self, node: Node, until: Moment) {
        self.settle(node);
        let Some(server) = self.servers.get_mut(&node) else {
            return;
        };
        if server.stopped.is_some() {
            return;
        }
        server.stopped = Some(Vec::new());
        server.turn += 1;
        let (server, turn) = (node, server.turn);
        self.say(format_args!("server {} stops", node.addr()));
        self.queue
            .push(until, Happening::ServerGoesOn { server, turn });
    }
}
