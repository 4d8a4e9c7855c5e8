//! The world of one run: sentinels, servers, the network between them, and what happens next.
//!
//! Everything that decides is the machine under test. The rest of this module is what surrounds
//! it: `transport` carries packets, `shell` obeys effects, `server` plays the Redis servers,
//! `strike` applies faults, `phase` leads the run from the faults to its verdict.

mod blow;
mod clockwork;
mod operator;
mod phase;
mod server;
mod shell;
mod start;
mod storage;
mod strike;
mod transport;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use codis_core::addr::Addr;
use codis_sentinel_proto::hello::Hello;
use codis_sentinel_proto::ids::{CommandId, LinkId, PersistId, RequestId, SentinelId};
use codis_sentinel_proto::{Channel, Command, DisconnectReason, Effect, Reply};

use crate::brain::Brain;
use crate::check::{Judgement, Rule, Safety, Violation};
use crate::disk::Disk;
use crate::family::{Outcome, Sink};
use crate::fault::{CrashPoint, Loss, Mark};
use crate::moment::{Clock, Moment};
use crate::net::{Conn, ConnId, Dir, Host, Net, Packet};
use crate::node::{self, Node};
use crate::outcome::Stats;
use crate::plan::{Blow, Plan};
use crate::profile::Profile;
use crate::queue::Queue;
use crate::rng::Rng;
use crate::trace::Trace;

/// A run that needs more happenings than this has run away.
const HAPPENINGS_MAX: u64 = 4_000_000;

/// A shell that is broken on purpose, to prove that the checker sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sabotage {
    /// The shell obeys.
    #[default]
    None,
    /// It confirms a snapshot before the disk has it.
    LyingDisk,
    /// After a crash it starts from the first snapshot.
    Amnesia,
    /// It votes for whoever asks.
    YesMan,
    /// It loses questions.
    DropQuestions,
    /// It loses orders to servers.
    DropOrders,
    /// It reads every answer of a peer as "the master is down".
    Hearsay,
    /// Its disk takes half a second for every write.
    SlowDisk,
    /// It takes a write that the disk refused for a good one.
    Deny,
    /// It keeps the answers to PING from the machine.
    Deaf,
    /// It loses the PINGs to a server that became master.
    DropPings,
    /// It says that it is in TILT after each stall, and judges all the same.
    Blind,
    /// It leaves out what servers say of their data.
    HideData,
    /// Its answers leave out the vote.
    Mute,
    /// It does not notice that a state was lost.
    Unmarked,
    /// It keeps from the machine that a server refuses writes.
    HideRefusals,
}

/// The world.
pub struct World {
    plan: Plan,
    sabotage: Sabotage,
    now: Moment,
    queue: Queue<Happening>,
    happened: u64,
    net_rng: Rng,
    node_rng: Rng,
    fault_rng: Rng,
    shell_rng: Rng,
    net: Net,
    conns: BTreeMap<ConnId, Conn>,
    next_conn: u64,
    sentinels: Vec<Process>,
    nodes: Vec<Member>,
    hosts: BTreeMap<Addr, Host>,
    phase: phase::Phase,
    safety: Safety,
    judgement: Judgement,
    trace: Trace,
    stats: Stats,
}

/// What can happen.
#[derive(Debug)]
enum Happening {
    /// The first packet of a pipe may have arrived.
    Pipe(ConnId, Dir),
    /// A packet that left its place in the order arrives.
    Stray(ConnId, Dir, Box<Packet>),
    /// The shell waited long enough for a connection.
    ConnectTimeout(ConnId),
    /// A sentinel asked to be woken.
    Wake { who: usize, wanted: Moment },
    /// A disk ends the write under way.
    DiskDone { who: usize, life: u64 },
    /// A broken shell says that a snapshot is durable.
    Lie {
        who: usize,
        life: u64,
        id: PersistId,
    },
    /// Replication moves.
    Step,
    /// A planned fault strikes.
    Strike(usize),
    /// A fault ends.
    Undo(Undo),
    /// Somebody looks whether all is well.
    Look,
}

/// How a fault ends. Whoever died or stopped again meanwhile has another `turn`.
#[derive(Debug)]
enum Undo {
    StartSentinel {
        who: usize,
        turn: u64,
    },
    ResumeSentinel {
        who: usize,
        turn: u64,
    },
    StartNode {
        node: usize,
        turn: u64,
    },
    ThawNode {
        node: usize,
        turn: u64,
    },
    Heal(u64),
    FastHost(Host),
    Monitor {
        who: usize,
        group: usize,
        addr: Option<Addr>,
    },
}

/// A server and what surrounds it.
struct Member {
    node: Node,
    turn: u64,
    inbox: VecDeque<(ConnId, CommandId, Command)>,
}

/// A sentinel: what decides in it, its shell and its disk.
struct Process {
    id: SentinelId,
    addr: Addr,
    brain: Option<Brain>,
    clock: Clock,
    /// Counts deaths and stops: what was planned for an earlier one is void.
    turn: u64,
    /// Counts starts.
    life: u64,
    links: BTreeMap<(LinkId, Channel), Socket>,
    sent: BTreeSet<CommandId>,
    requests: BTreeMap<RequestId, Request>,
    next_request: u64,
    last_persist: PersistId,
    stalled: bool,
    inbox: VecDeque<Message>,
    disk: Disk,
    crash: Option<(CrashPoint, Blow, Duration)>,
    /// What it loses when it dies next.
    loses: Option<Loss>,
    /// It stops for so long before or after (true) its next effect of a kind.
    stall_at: Option<(Mark, bool, Duration)>,
    /// The effect that it was about to carry out when it stopped.
    held: Option<Effect>,
    wake: Option<Moment>,
}

/// The shell's view of a connection.
#[derive(Clone, Copy, Debug)]
struct Socket {
    conn: ConnId,
    open: bool,
}

/// A peer's question that waits for its answer.
#[derive(Debug)]
struct Request {
    conn: ConnId,
    command: CommandId,
    master: Addr,
    candidate: Option<SentinelId>,
    at: Moment,
}

/// What reaches a sentinel's process.
#[derive(Debug)]
enum Message {
    Opened(ConnId),
    Lost(ConnId, DisconnectReason),
    Reply(ConnId, CommandId, Reply),
    PubSub(ConnId, Option<Hello>),
    Command(ConnId, CommandId, Command),
    Persisted(PersistId, bool),
    Wake,
}

macro_rules! log {
    ($world:expr, $($arg:tt)*) => {
        $world.trace.line($world.now, format_args!($($arg)*))
    };
}
use log;

impl World {
    /// Runs a plan to its verdict.
    pub fn run(plan: Plan, sabotage: Sabotage, sink: Sink) -> Outcome<Profile> {
        let mut world = Self::new(plan, sabotage, sink);
        while world.safety.violation.is_none() && !world.phase.is_over() {
            let Some((at, happening)) = world.queue.pop() else {
                break;
            };
            debug_assert!(at >= world.now, "time does not go back");
            world.now = at;
            world.happened += 1;
            if world.happened > HAPPENINGS_MAX {
                world.fail(Rule::Contract, "the run does not come to rest".to_owned());
            }
            world.happen(happening);
        }
        world.verdict()
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Pipe(conn, dir) => self.pump(conn, dir),
            Happening::Stray(conn, dir, packet) => {
                if self.may_pass(conn, dir) {
                    self.arrive(conn, dir, *packet);
                } else if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.holed = true;
                }
            }
            Happening::ConnectTimeout(conn) => self.connect_timeout(conn),
            Happening::Wake { who, wanted } => {
                if self.sentinels[who].wake == Some(wanted) {
                    self.sentinels[who].wake = None;
                    self.tell(who, Message::Wake);
                }
            }
            Happening::DiskDone { who, life } => self.disk_done(who, life),
            Happening::Lie { who, life, id } => {
                if self.sentinels[who].life == life {
                    self.tell(who, Message::Persisted(id, true));
                }
            }
            Happening::Step => {
                self.replicate();
                self.queue.push(self.now + node::STEP, Happening::Step);
            }
            Happening::Strike(index) => {
                let fault = self.plan.faults[index].1.clone();
                self.strike(fault);
            }
            Happening::Undo(undo) => self.undo(undo),
            Happening::Look => self.look(),
        }
    }

    fn verdict(mut self) -> Outcome<Profile> {
        if let Some(violation) = &self.safety.violation {
            let text = violation.to_string();
            log!(self, "VIOLATION {text}");
        }
        self.stats.messages = self.safety.messages;
        self.stats.forked = self.safety.forked();
        self.stats.demoted = self.safety.demoted;
        self.stats.failovers = self.safety.failovers();
        self.stats.elections = self.safety.elections();
        self.stats.lines = self.trace.lines();
        self.stats.virtual_time = self.now.since(Moment::default());
        Outcome {
            seed: self.plan.seed,
            profile: self.plan.profile,
            digest: self.trace.digest(),
            stats: self.stats,
            violation: self.safety.violation.take(),
        }
    }

    fn fail(&mut self, rule: Rule, text: String) {
        self.safety.fail(Violation {
            at: self.now,
            rule,
            text,
        });
    }

    /// The index of the server behind a host.
    fn node_of(&self, host: Host) -> Option<usize> {
        host.checked_sub(self.sentinels.len())
    }

    /// The address of a host.
    fn addr_of(&self, host: Host) -> &Addr {
        match self.node_of(host) {
            None => &self.sentinels[host].addr,
            Some(node) => &self.nodes[node].node.addr,
        }
    }

    /// The server at an address.
    fn node_at(&self, addr: &Addr) -> Option<usize> {
        self.hosts.get(addr).and_then(|host| self.node_of(*host))
    }

    fn group_named(&self, name: &str) -> Option<usize> {
        self.plan.groups.iter().position(|group| group.name == name)
    }

    /// The address that most living sentinels give as the master of a group.
    fn believed_master(&self, group: usize) -> Option<usize> {
        let name = &self.plan.groups[group].name;
        let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
        for process in &self.sentinels {
            let Some(brain) = &process.brain else {
                continue;
            };
            let local = process.clock.local(self.now);
            if let Some(node) = brain
                .current(local, name)
                .and_then(|(_, master)| self.node_at(&master))
            {
                *votes.entry(node).or_default() += 1;
            }
        }
        votes
            .into_iter()
            .max_by_key(|(node, count)| (*count, usize::MAX - node))
            .map(|(n, _)| n)
    }
}
