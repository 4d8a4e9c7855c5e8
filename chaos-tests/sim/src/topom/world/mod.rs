//! The world of one run: dashboards, the store, proxies, servers, clients, and what happens next.
//!
//! What decides is the product's own: the machines of `codis_topom`. The rest is what surrounds
//! them. A process that is stopped finds all that reached it when it goes on, in any order; one
//! that dies takes its calls with it, but not what has left.

mod board;
mod client;
mod fault;
mod proxy;
mod replication;
mod rest;
mod server;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use codis_core::ha::Term;
use codis_core::model::{Group, GroupServer, SlotMapping};
use codis_topom::Change;
use codis_topom::mover::Limits;

use self::client::Client;
use self::server::{Job, Server};
use super::board::{Board, Input, Settings, record_of};
use super::check::{Check, Rule};
use super::outcome::Stats;
use super::plan::{Plan, SLOTS};
use super::profile::Profile;
use super::proxy::{From, Op, Proxy, Told};
use super::sabotage::Sabotage;
use super::store::Store;
use super::wire::{Node, ProxyCall, StoreCall};
use crate::family::{Outcome, Sink};
use crate::moment::{Clock, Moment};
use crate::queue::Queue;
use crate::rng::Rng;
use crate::trace::Trace;

/// A run that needs more happenings than this has run away.
const HAPPENINGS_MAX: u64 = 2_000_000;

/// What can happen.
#[derive(Debug)]
enum Happening {
    /// Something reaches a board.
    Board {
        board: usize,
        life: u64,
        input: Input,
    },
    /// A board asked to be woken.
    Tick { board: usize, life: u64 },
    /// A call reaches the store.
    Store { from: From, call: StoreCall },
    /// A call reaches a proxy.
    Proxy {
        proxy: usize,
        from: From,
        term: Term,
        call: ProxyCall,
    },
    /// A proxy asked to be woken.
    Wake { proxy: usize, life: u64 },
    /// A request reaches a proxy.
    Request { proxy: usize, op: Op },
    /// A server's answer reaches a proxy.
    Replied {
        proxy: usize,
        life: u64,
        op: u64,
        done: bool,
        value: Option<u64>,
    },
    /// Something reaches a server.
    Server { to: Node, job: Job },
    /// A replica tries to get in step with its master.
    Link { server: Node },
    /// A client is told.
    Told { op: Op, told: Told },
    /// A client has waited for too long.
    GiveUp { op: Op },
    /// A client goes on.
    Next { client: usize },
    /// A fault strikes.
    Strike(usize),
    /// A board that was stopped goes on.
    BoardGoesOn { board: usize, turn: u64 },
    /// A board that died starts anew.
    BoardStarts { board: usize },
    /// A proxy that was stopped goes on.
    ProxyGoesOn { proxy: usize, turn: u64 },
    /// A proxy that died starts anew.
    ProxyStarts { proxy: usize },
    /// A proxy lies no more.
    Honest { proxy: usize },
    /// A server that was stopped goes on.
    ServerGoesOn { server: Node, turn: u64 },
    /// An operator acts.
    Wish(usize),
    /// Everything is made whole.
    Heal,
    /// Time to look whether all is at rest.
    Look,
}

/// A process that a board is.
#[derive(Debug)]
struct Seat {
    life: u64,
    /// None while it is dead.
    board: Option<Board>,
    clock: Clock,
    tick: Option<Moment>,
    /// What reached it while it is stopped.
    stopped: Option<Vec<Input>>,
    turn: u64,
    /// So many calls leave before it dies, and for how long it is dead then.
    doomed: Option<(u64, Duration)>,
}

/// A process that a proxy is.
#[derive(Debug)]
struct Stand {
    life: u64,
    proxy: Option<Proxy>,
    clock: Clock,
    wake: Option<Moment>,
    stopped: Option<(Moment, Vec<Happening>)>,
    turn: u64,
}

/// What is wrong with the network, and until when.
#[derive(Debug, Default)]
struct Net {
    proxies: BTreeMap<(usize, usize), Moment>,
    servers: BTreeMap<Node, Moment>,
    store: BTreeMap<usize, Moment>,
    lossy: Moment,
    slow: (Moment, Duration),
    late: BTreeMap<usize, (Moment, Duration)>,
    late_orders: (Moment, Duration),
}

/// The world.
pub struct World {
    plan: Plan,
    sabotage: Sabotage,
    now: Moment,
    queue: Queue<Happening>,
    happened: u64,
    net_rng: Rng,
    life_rng: Rng,
    client_rng: Rng,
    settings: Settings,
    store: Store,
    seats: Vec<Seat>,
    stands: Vec<Stand>,
    servers: BTreeMap<Node, Server>,
    clients: Vec<Client>,
    net: Net,
    check: Check,
    /// Routes or keys have changed since they were compared.
    dirty: bool,
    /// Clients begin nothing new.
    quiet_since: Option<Moment>,
    /// The proxy that never goes on, until an operator ends it.
    stuck: Option<usize>,
    over: bool,
    trace: Trace,
    stats: Stats,
}

impl World {
    /// Runs a plan to its end.
    pub fn run(plan: Plan, sabotage: Sabotage, sink: Sink) -> Outcome<Profile> {
        let mut world = Self::new(plan, sabotage, sink);
        while !world.over && world.check.violation.is_none() {
            let Some((at, happening)) = world.queue.pop() else {
                break;
            };
            world.now = at;
            world.happened += 1;
            if world.happened > HAPPENINGS_MAX {
                world.breaks(Rule::Liveness, "it never ends".to_owned());
            }
            world.happen(happening);
            if std::mem::take(&mut world.dirty) {
                world.compare();
            }
        }
        world.stats.tainted = world.check.tainted() as u64;
        world.stats.lines = world.trace.lines();
        world.stats.virtual_time = world.now.since(Moment(0));
        Outcome {
            seed: world.plan.seed,
            profile: world.plan.profile,
            digest: world.trace.digest(),
            stats: world.stats,
            violation: world.check.violation,
        }
    }

    fn new(plan: Plan, sabotage: Sabotage, sink: Sink) -> Self {
        let mut rng = Rng::new(plan.seed);
        let mut life_rng = rng.fork("lives");
        let clock = clock(&mut life_rng, Moment(0), plan.drift_ppm);
        let (slots, slots_of_pair) = plan.limits;
        let settings = Settings {
            lease: plan.lease,
            limits: Limits {
                slots,
                slots_of_pair,
            },
            sabotage,
        };
        let records = first_records(&plan);
        let mut world = Self {
            sabotage,
            now: Moment(0),
            queue: Queue::new(),
            happened: 0,
            net_rng: rng.fork("net"),
            client_rng: rng.fork("clients"),
            life_rng,
            settings,
            store: Store::new(clock, records, sabotage == Sabotage::NoGuard),
            seats: Vec::new(),
            stands: Vec::new(),
            servers: server::all(&plan),
            clients: (0..plan.clients).map(|_| Client::default()).collect(),
            net: Net::default(),
            check: Check::default(),
            dirty: false,
            quiet_since: None,
            stuck: (plan.profile == Profile::Stuck).then_some(0),
            over: false,
            trace: Trace::new(sink),
            stats: Stats::default(),
            plan,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for board in 0..self.plan.boards {
            let clock = clock(&mut self.life_rng, self.now, self.plan.drift_ppm);
            self.seats.push(Seat {
                life: 0,
                board: None,
                clock,
                tick: None,
                stopped: None,
                turn: 0,
                doomed: None,
            });
            let at = self.now + self.life_rng.millis(0..1_000);
            self.queue.push(at, Happening::BoardStarts { board });
        }
        for proxy in 0..self.plan.proxies.len() {
            let clock = clock(&mut self.life_rng, self.now, self.plan.drift_ppm);
            self.stands.push(Stand {
                life: 0,
                proxy: None,
                clock,
                wake: None,
                stopped: None,
                turn: 0,
            });
            self.queue.push(self.now, Happening::ProxyStarts { proxy });
        }
        for client in 0..self.plan.clients {
            // By then the proxies are online.
            let at = self.now + Duration::from_secs(5);
            self.queue.push(at, Happening::Next { client });
        }
        for (number, (at, _)) in self.plan.faults.iter().enumerate() {
            self.queue.push(*at, Happening::Strike(number));
        }
        for (number, (at, _)) in self.plan.wishes.iter().enumerate() {
            self.queue.push(*at, Happening::Wish(number));
        }
        self.queue.push(self.plan.heal_at, Happening::Heal);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Board { board, life, input } => self.reach_board(board, life, input),
            Happening::Tick { board, life } => self.tick(board, life),
            Happening::Store { from, call } => self.reach_store(from, call),
            Happening::Proxy { .. }
            | Happening::Wake { .. }
            | Happening::Request { .. }
            | Happening::Replied { .. } => self.reach_proxy(happening),
            Happening::Server { to, job } => self.reach_server(to, job),
            Happening::Link { server } => self.link(server),
            Happening::Told { op, told } => self.told(op, told),
            Happening::GiveUp { op } => self.told(op, Told::Unknown),
            Happening::Next { client } => self.next(client),
            Happening::Strike(number) => self.strike(number),
            Happening::BoardGoesOn { board, turn } => self.board_goes_on(board, turn),
            Happening::BoardStarts { board } => self.board_starts(board),
            Happening::ProxyGoesOn { proxy, turn } => self.proxy_goes_on(proxy, turn),
            Happening::ProxyStarts { proxy } => self.proxy_starts(proxy),
            Happening::Honest { proxy } => {
                if let Some(proxy) = &mut self.stands[proxy].proxy {
                    proxy.lies = false;
                }
            }
            Happening::ServerGoesOn { server, turn } => self.server_goes_on(server, turn),
            Happening::Wish(number) => self.wish(self.plan.wishes[number].1),
            Happening::Heal => self.heal(),
            Happening::Look => self.look(),
        }
    }

    fn say(&mut self, args: std::fmt::Arguments<'_>) {
        self.trace.line(self.now, args);
    }

    fn breaks(&mut self, rule: Rule, text: String) {
        self.say(format_args!("BROKEN {rule:?}: {text}"));
        self.check.breaks(self.now, rule, text);
    }

    /// How long a message takes.
    fn delay(&mut self) -> Duration {
        if self.net_rng.chance(20) {
            self.net_rng.micros(2_000..60_000)
        } else {
            self.net_rng.micros(100..2_000)
        }
    }

    /// Every proxy that serves a slot must see all groups that have keys of it.
    fn compare(&mut self) {
        let mut found = None;
        for slot in 0..SLOTS {
            let has = |group: &u32| {
                let master = self.store.master(*group);
                let server = master.and_then(|master| self.servers.get(&master));
                let keys = server.into_iter().flat_map(|server| server.keys_of(slot));
                keys.into_iter().any(|(key, _)| self.check.counts(*key))
            };
            let groups: BTreeSet<u32> = (1..=self.plan.groups).filter(has).collect();
            for (at, stand) in self.stands.iter().enumerate() {
                let Some(proxy) = &stand.proxy else { continue };
                if stand.stopped.is_some() || !proxy.serves(slot) {
                    continue;
                }
                let form = &proxy.table()[usize::from(slot)];
                let sees = |group: &u32| {
                    *group == form.backend_addr_group_id || *group == form.migrate_from_group_id
                };
                if !form.backend_addr.is_empty() && !groups.iter().all(sees) {
                    let record = self.store.slot(slot);
                    found = Some(format!(
                        "proxy {at} serves slot {slot} from group {} by way of {}, and it has keys \
                         on {groups:?}; {record:?}",
                        form.backend_addr_group_id, form.migrate_from_group_id,
                    ));
                }
            }
        }
        if let Some(text) = found {
            self.breaks(Rule::Stranded, text);
        }
    }
}

/// The clock of a process that is born now.
fn clock(rng: &mut Rng, born: Moment, drift_ppm: u64) -> Clock {
    let rate = 1_000_000 - drift_ppm + rng.within(0..2 * drift_ppm + 1);
    Clock::new(born, rng.millis(1_000..100_000), rate)
}

/// Groups with one server each, slots spread over them, and proxies that are known.
fn first_records(plan: &Plan) -> Vec<Change> {
    let server = |group, number| GroupServer {
        addr: Node { group, number }.addr(),
        ..GroupServer::default()
    };
    let group = |id| {
        Change::PutGroup(Group {
            id,
            servers: (1..=plan.servers)
                .map(|number| server(id, number))
                .collect(),
            ..Group::default()
        })
    };
    let slot = |id: u16| {
        Change::PutSlot(SlotMapping {
            id,
            group_id: 1 + u32::from(id) % plan.groups,
            ..SlotMapping::default()
        })
    };
    let proxy = |at| Change::PutProxy(record_of(at, 1));
    let groups = (1..=plan.groups).map(group);
    let slots = (0..SLOTS).map(slot);
    let proxies = (0..plan.proxies.len()).map(proxy);
    groups.chain(slots).chain(proxies).collect()
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World at {} of seed {}", self.now, self.plan.seed)
    }
}

/// What waits for a process that is stopped, in the order in which it finds it.
fn shuffled<T>(rng: &mut Rng, mut waiting: Vec<T>) -> VecDeque<T> {
    for at in (1..waiting.len()).rev() {
        waiting.swap(at, rng.index(at + 1));
    }
    waiting.into()
}
