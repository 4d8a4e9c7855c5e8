//! The world before anything moves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_sentinel_proto::Machine;
use codis_sentinel_proto::ids::{PersistId, SentinelId};
use codis_sentinel_proto::persist::{PersistedMaster, Snapshot};
use codis_sentinel_proto::settings::{MasterSettings, Settings};

use super::{Happening, Member, Process, Sabotage, World, log, phase};
use crate::brain::Brain;
use crate::check::{Judgement, Safety};
use crate::disk::Disk;
use crate::family::Sink;
use crate::moment::{Clock, Moment};
use crate::net::Net;
use crate::node::Node;
use crate::outcome::Stats;
use crate::plan::Plan;
use crate::queue::Queue;
use crate::rng::Rng;
use crate::stock::Stock;
use crate::trace::Trace;

const SENTINEL_PORT: u16 = 26379;
const SERVER_PORT: u16 = 6379;

impl World {
    pub(super) fn new(plan: Plan, sabotage: Sabotage, sink: Sink) -> Self {
        let mut rng = Rng::new(plan.seed ^ 0x0c0d_1500_0000_0000);
        let mut node_rng = rng.fork("nodes");
        let mut shell_rng = rng.fork("shell");
        let nodes = nodes(&plan, &mut node_rng);
        let snapshots = snapshots(&plan, &nodes, &mut shell_rng);
        let sentinels: Vec<Process> = snapshots.into_iter().enumerate().map(process).collect();
        let addrs = sentinels.iter().map(|process| &process.addr);
        let addrs = addrs.chain(nodes.iter().map(|member| &member.node.addr));
        let hosts: BTreeMap<Addr, usize> = addrs
            .enumerate()
            .map(|(host, addr)| (addr.clone(), host))
            .collect();
        let mut world = Self {
            sabotage,
            now: Moment::default(),
            queue: Queue::new(),
            happened: 0,
            net_rng: rng.fork("net"),
            fault_rng: rng.fork("faults"),
            node_rng,
            shell_rng,
            net: Net::new(plan.hosts()),
            conns: BTreeMap::new(),
            next_conn: 0,
            safety: Safety::new(&plan),
            judgement: Judgement::new(&plan),
            sentinels,
            nodes,
            hosts,
            phase: phase::Phase::start(),
            trace: Trace::new(sink),
            stats: Stats::default(),
            plan,
        };
        for (who, process) in world.sentinels.iter().enumerate() {
            world.safety.learn_sentinel(&process.id, who);
        }
        for member in &world.nodes {
            world
                .safety
                .learn_server(&member.node.addr, member.node.group);
        }
        world.begin();
        world
    }

    fn begin(&mut self) {
        let plan = self.plan.clone();
        log!(
            self,
            "seed {} profile {} sentinels {} groups {:?} down-after {:?} failover-timeout {:?}",
            plan.seed,
            plan.profile,
            plan.sentinels,
            plan.groups
                .iter()
                .map(|g| (g.nodes, g.quorum))
                .collect::<Vec<_>>(),
            plan.down_after,
            plan.failover_timeout,
        );
        for (index, (at, _)) in plan.faults.iter().enumerate() {
            self.queue.push(*at, Happening::Strike(index));
        }
        self.queue.push(self.now, Happening::Step);
        self.queue.push(plan.heal_at, Happening::Look);
        for who in 0..plan.sentinels {
            self.start_sentinel(who);
        }
    }

    /// Starts the process of a sentinel from what its disk holds.
    pub(super) fn start_sentinel(&mut self, who: usize) {
        let drift = self.plan.drift_ppm;
        let rate = 1_000_000 - drift + self.shell_rng.within(0..2 * drift + 1);
        let origin = self.shell_rng.millis(0..1_000_000);
        let mut seed = self.shell_rng.next();
        if self.plan.same_seed {
            seed = 1;
        }
        let process = &mut self.sentinels[who];
        if self.sabotage == Sabotage::Amnesia && process.life > 0 {
            process.disk.held = forget(&process.disk.held);
        }
        process.life += 1;
        process.turn += 1;
        process.clock = Clock::new(self.now, origin, rate);
        let settings = Settings {
            myid: process.id.clone(),
            announce_port: SENTINEL_PORT,
            announce_ip: None,
            seed,
        };
        let snapshot = process.disk.held.clone();
        let local = process.clock.local(self.now);
        process.brain = Some(if self.plan.stock[who] {
            let addr = process.addr.clone();
            Brain::Stock(Box::new(Stock::new(local, addr, seed, snapshot)))
        } else {
            Brain::Ours(Box::new(Machine::new(local, settings, snapshot)))
        });
        process.last_persist = PersistId(0);
        log!(
            self,
            "s{} starts, life {}",
            who + 1,
            self.sentinels[who].life
        );
        self.judgement.on_start(who, local);
        self.safety
            .on_start(self.now, who, &self.sentinels[who].disk.confirmed);
        self.after_step(who);
    }
}

fn nodes(plan: &Plan, rng: &mut Rng) -> Vec<Member> {
    let mut nodes = Vec::new();
    for (group, shape) in plan.groups.iter().enumerate() {
        let addr = |index: usize| Addr::new(format!("10.1.{group}.{}", index + 1), SERVER_PORT);
        for index in 0..shape.nodes {
            let follows = (index > 0).then(|| addr(0));
            let node = Node::new(group, addr(index), follows, rng);
            nodes.push(Member {
                node,
                turn: 0,
                inbox: VecDeque::new(),
            });
        }
    }
    nodes
}

/// The settings of every monitored master.
pub(super) fn settings(plan: &Plan) -> MasterSettings {
    MasterSettings {
        down_after: plan.down_after,
        failover_timeout: plan.failover_timeout,
        parallel_syncs: plan.parallel_syncs,
        refused_after: plan.refused_after,
        write_check: plan.write_check,
        forget_after: plan.forget_after,
        lost_data_failover: plan.lost_data_failover,
        ..MasterSettings::default()
    }
}

fn snapshots(plan: &Plan, nodes: &[Member], rng: &mut Rng) -> Vec<Snapshot> {
    let peers: Vec<(SentinelId, Addr)> = (0..plan.sentinels)
        .map(|who| {
            let addr = Addr::new(format!("10.0.0.{}", who + 1), SENTINEL_PORT);
            (SentinelId::new(rng.hex_id()), addr)
        })
        .collect();
    let settings = settings(plan);
    let master = |(group, shape): (usize, &crate::plan::Group), who: usize| {
        let first = nodes
            .iter()
            .find(|member| member.node.group == group && member.node.is_master());
        let mut sentinels = peers.clone();
        sentinels.remove(who);
        let persisted = PersistedMaster {
            addr: first
                .expect("each group starts with a master")
                .node
                .addr
                .clone(),
            quorum: shape.quorum,
            settings: settings.clone(),
            config_epoch: Epoch::ZERO,
            leader_epoch: Epoch::ZERO,
            replicas: Vec::new(),
            forgotten: Vec::new(),
            sentinels: if plan.acquainted {
                sentinels
            } else {
                Vec::new()
            },
        };
        (shape.name.clone(), persisted)
    };
    (0..plan.sentinels)
        .map(|who| Snapshot {
            myid: peers[who].0.clone(),
            current_epoch: Epoch::ZERO,
            masters: plan
                .groups
                .iter()
                .enumerate()
                .map(|group| master(group, who))
                .collect(),
            epoch_floors: BTreeMap::new(),
            rejoining: false,
        })
        .collect()
}

fn process((who, snapshot): (usize, Snapshot)) -> Process {
    Process {
        id: snapshot.myid.clone(),
        addr: Addr::new(format!("10.0.0.{}", who + 1), SENTINEL_PORT),
        brain: None,
        clock: Clock::new(Moment::default(), Duration::ZERO, 1_000_000),
        turn: 0,
        life: 0,
        links: BTreeMap::new(),
        sent: BTreeSet::new(),
        requests: BTreeMap::new(),
        next_request: 0,
        last_persist: PersistId(0),
        stalled: false,
        inbox: VecDeque::new(),
        disk: Disk::new(snapshot),
        crash: None,
        loses: None,
        stall_at: None,
        held: None,
        wake: None,
    }
}

/// What a sentinel with amnesia starts from: its configuration without any epoch.
fn forget(snapshot: &Snapshot) -> Snapshot {
    let mut forgetful = snapshot.clone();
    forgetful.current_epoch = Epoch::ZERO;
    forgetful.epoch_floors.clear();
    for master in forgetful.masters.values_mut() {
        master.config_epoch = Epoch::ZERO;
        master.leader_epoch = Epoch::ZERO;
    }
    forgetful
}
