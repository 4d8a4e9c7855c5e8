//! A small perfect network: sentinels, servers that obey, and one clock for all.
//!
//! Every message takes `LATENCY`; every snapshot takes `FSYNC`. The world checks after each step
//! what must always hold, so every test checks it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::failover::Record;
use codis_core::time::Time;
use codis_core::topology::Topology;
use codis_sentinel_proto::effect::Command;
use codis_sentinel_proto::ids::{CommandId, LinkId, PersistId, RequestId, SentinelId};
use codis_sentinel_proto::persist::{PersistedMaster, Snapshot};
use codis_sentinel_proto::settings::{MasterSettings, Settings};
use codis_sentinel_proto::{Channel, DisconnectReason, Effect, Input, Machine, Opinion, Reply};

use crate::server::{Server, Stored};

pub const LATENCY: Duration = Duration::from_micros(300);
pub const FSYNC: Duration = Duration::from_millis(2);
/// The monitored name.
pub const NAME: &str = "demo-1";

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The address of server `n`.
pub fn server(n: u8) -> Addr {
    Addr::new(format!("10.0.0.{n}"), 6379)
}

/// The address of sentinel `n`.
pub fn sentinel(n: usize) -> Addr {
    Addr::new(format!("10.0.1.{n}"), 26379)
}

pub fn sentinel_id(n: usize) -> SentinelId {
    SentinelId::new(format!("{n:040}"))
}

mod ask;
mod wire;

type Socket = (usize, LinkId, Channel);

/// Something on its way.
enum Arrival {
    Input(usize, u64, Input),
    /// An input of one connection: dropped when that connection is not the present one.
    OnSocket(Socket, u64, Input),
    Command(Socket, u64, CommandId, Command),
    Persisted(usize, u64, PersistId, Box<Snapshot>),
    Sync(Addr),
    HandOver(Addr),
    GiveUp(Addr),
}

pub struct Sentinel {
    pub machine: Machine,
    pub running: bool,
    pub disk_works: bool,
    /// Snapshots are taken in but not finished.
    pub disk_hangs: bool,
    hung: Vec<(PersistId, Box<Snapshot>)>,
    /// The process does not run; what arrives waits.
    stalled: bool,
    backlog: Vec<Input>,
    life: u64,
    pub durable: Snapshot,
    epoch_seen: Epoch,
}

pub struct World {
    pub now: Time,
    pub sentinels: Vec<Sentinel>,
    pub servers: BTreeMap<Addr, Server>,
    /// What sentinels said: when, who, what.
    pub events: Vec<(Time, usize, String)>,
    pub topologies: Vec<(Time, usize, Topology)>,
    pub scripts: Vec<(usize, bool, Addr, Addr)>,
    /// Records of failovers: from when, whose, what.
    pub failovers: Vec<(Time, usize, Record)>,
    /// How many commands of each kind each sentinel sent to each address.
    pub sent: BTreeMap<(usize, Addr, &'static str), usize>,
    /// Votes told to others: (voter, epoch) to leader.
    pub votes: BTreeMap<(usize, Epoch), SentinelId>,
    /// Pairs that cannot talk, by address.
    pub cut: BTreeSet<(Addr, Addr)>,
    /// Sentinels whose connections to a server are refused by something between them.
    pub refused: BTreeSet<(usize, Addr)>,
    sockets: BTreeMap<Socket, (u64, Addr)>,
    asked: BTreeMap<(usize, RequestId), (Socket, u64, CommandId)>,
    queue: BTreeMap<(Time, u64), Arrival>,
    counter: u64,
}

impl World {
    /// `sentinels` sentinels that watch server 1 with replicas 2.. of `servers`.
    pub fn new(sentinels: usize, servers: u8, seed: u64) -> Self {
        Self::with(sentinels, servers, seed, |_| {})
    }

    pub fn with(
        sentinels: usize,
        servers: u8,
        seed: u64,
        adjust: impl Fn(&mut MasterSettings),
    ) -> Self {
        let mut world = Self {
            now: Time::from_millis(1000),
            sentinels: Vec::new(),
            servers: BTreeMap::new(),
            events: Vec::new(),
            topologies: Vec::new(),
            scripts: Vec::new(),
            failovers: Vec::new(),
            sent: BTreeMap::new(),
            votes: BTreeMap::new(),
            cut: BTreeSet::new(),
            refused: BTreeSet::new(),
            sockets: BTreeMap::new(),
            asked: BTreeMap::new(),
            queue: BTreeMap::new(),
            counter: 0,
        };
        for n in 1..=servers {
            let master = (n > 1).then(|| server(1));
            world.servers.insert(server(n), Server::new(n, master));
        }
        let mut settings = MasterSettings {
            down_after: ms(1000),
            failover_timeout: ms(10_000),
            client_reconfig_script: Some("/bin/reconfig".into()),
            ..MasterSettings::default()
        };
        adjust(&mut settings);
        for n in 0..sentinels {
            let mut snapshot = Snapshot::fresh(sentinel_id(n));
            snapshot.masters.insert(
                NAME.into(),
                PersistedMaster {
                    addr: server(1),
                    quorum: (sentinels / 2 + 1) as u32,
                    settings: settings.clone(),
                    config_epoch: Epoch::ZERO,
                    leader_epoch: Epoch::ZERO,
                    replicas: Vec::new(),
                    sentinels: Vec::new(),
                    forgotten: Vec::new(),
                },
            );
            world.boot(n, snapshot, seed);
        }
        world
    }

    fn boot(&mut self, n: usize, snapshot: Snapshot, seed: u64) {
        let settings = Settings {
            myid: sentinel_id(n),
            announce_port: 26379,
            announce_ip: None,
            seed: seed.wrapping_mul(31).wrapping_add(n as u64),
        };
        let machine = Machine::new(self.now, settings, snapshot.clone());
        let life = self.sentinels.get(n).map_or(0, |old| old.life + 1);
        let sentinel = Sentinel {
            machine,
            running: true,
            disk_works: true,
            disk_hangs: false,
            hung: Vec::new(),
            stalled: false,
            backlog: Vec::new(),
            life,
            durable: snapshot,
            epoch_seen: Epoch::ZERO,
        };
        if n == self.sentinels.len() {
            self.sentinels.push(sentinel);
        } else {
            self.sentinels[n] = sentinel;
        }
        self.drain(n);
    }

    /// kill -9 of a sentinel; its files stay.
    pub fn crash(&mut self, n: usize) {
        self.sentinels[n].running = false;
        self.close_where(|socket, to| socket.0 == n || *to == sentinel(n));
    }

    pub fn restart(&mut self, n: usize, seed: u64) {
        let snapshot = self.sentinels[n].durable.clone();
        self.boot(n, snapshot, seed);
    }

    /// kill -9 of a server.
    pub fn kill(&mut self, n: u8) {
        self.servers.get_mut(&server(n)).unwrap().alive = false;
        self.close_where(|_, to| *to == server(n));
    }

    /// Kills the first server that thinks itself master.
    pub fn kill_master(&mut self) {
        let mut servers = 1..=self.servers.len() as u8;
        let is_master = |n: &u8| {
            let it = &self.servers[&server(*n)];
            it.alive && it.master.is_none()
        };
        if let Some(n) = servers.find(is_master) {
            self.kill(n);
        }
    }

    /// Something between sentinel `n` and a server resets and refuses their connections.
    pub fn refuse(&mut self, n: usize, to: &Addr) {
        self.refused.insert((n, to.clone()));
        let hit = |(socket, (_, at)): &(&Socket, &(u64, Addr))| socket.0 == n && at == to;
        let reset: Vec<Socket> = self.sockets.iter().filter(hit).map(|(s, _)| *s).collect();
        for socket in reset {
            self.close(socket, DisconnectReason::Refused);
        }
    }

    /// SIGSTOP of a sentinel.
    pub fn stall(&mut self, n: usize) {
        self.sentinels[n].stalled = true;
    }

    /// SIGCONT: what arrived meanwhile is read at once.
    pub fn unstall(&mut self, n: usize) {
        self.sentinels[n].stalled = false;
        for input in std::mem::take(&mut self.sentinels[n].backlog) {
            self.feed(n, input);
        }
    }

    /// A killed server starts again, as a master with what it had.
    pub fn revive(&mut self, n: u8) {
        let found = self.servers.get_mut(&server(n)).unwrap();
        *found = Server::new(n, None);
        found.run_id = format!("again{n}");
    }

    fn close_where(&mut self, which: impl Fn(&Socket, &Addr) -> bool) {
        let hit = |(socket, (_, to)): &(&Socket, &(u64, Addr))| which(socket, to);
        let closed: Vec<Socket> = self.sockets.iter().filter(hit).map(|(s, _)| *s).collect();
        for socket in closed {
            self.close(socket, DisconnectReason::Closed);
        }
    }

    /// The far end is gone: the near end hears of it.
    fn close(&mut self, socket: Socket, reason: DisconnectReason) {
        let Some((generation, _)) = self.sockets.get(&socket).cloned() else {
            return;
        };
        let (n, link, channel) = socket;
        let input = Input::Disconnected {
            link,
            channel,
            reason,
        };
        let _ = n;
        self.arrive(LATENCY, Arrival::OnSocket(socket, generation, input));
    }

    fn arrive(&mut self, after: Duration, arrival: Arrival) {
        self.counter += 1;
        self.queue.insert((self.now + after, self.counter), arrival);
    }

    fn reachable(&self, n: usize, to: &Addr) -> bool {
        let pair = (sentinel(n), to.clone());
        let back = (to.clone(), sentinel(n));
        !self.cut.contains(&pair) && !self.cut.contains(&back)
    }

    /// Runs until `condition`, or panics after `limit`.
    pub fn until(&mut self, limit: Duration, what: &str, condition: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        while !condition(self) {
            let log = || self.log();
            assert!(self.now < end, "not within {limit:?}: {what}\n{}", log());
            self.step(end);
        }
    }

    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.step(end);
        }
    }

    fn step(&mut self, end: Time) {
        let timers = self
            .sentinels
            .iter()
            .enumerate()
            .filter(|(_, it)| it.running && !it.stalled);
        let timer = timers
            .filter_map(|(n, it)| Some((it.machine.poll_timeout()?, n)))
            .min();
        let arrival = self.queue.keys().next().copied();
        let next = [timer.map(|(at, _)| at), arrival.map(|(at, _)| at)];
        let next = next.into_iter().flatten().min().unwrap_or(end);
        if next > end {
            self.now = end;
            return;
        }
        self.now = self.now.max(next);
        match (arrival, timer) {
            (Some(key), timer) if timer.is_none_or(|(at, _)| key.0 <= at) => {
                let arrival = self.queue.remove(&key).unwrap();
                self.land(arrival);
            }
            (_, Some((_, n))) => {
                let now = self.now;
                let machine = &mut self.sentinels[n].machine;
                machine.handle_timeout(now);
                let after = machine.poll_timeout();
                assert!(after.is_none_or(|at| at > now), "a deadline stays due");
                self.drain(n);
            }
            (_, None) => self.now = end,
        }
    }

    fn feed(&mut self, n: usize, input: Input) {
        if self.sentinels[n].stalled {
            self.sentinels[n].backlog.push(input);
        } else if self.sentinels[n].running {
            self.sentinels[n].machine.handle_input(self.now, input);
            self.drain(n);
        }
    }

    fn land(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Input(n, life, input) => {
                if self.sentinels[n].life == life {
                    self.feed(n, input);
                }
            }
            Arrival::OnSocket(socket, generation, input) => {
                if self.sockets.get(&socket).map(|it| it.0) != Some(generation) {
                    return;
                }
                if matches!(input, Input::Disconnected { .. }) {
                    self.sockets.remove(&socket);
                }
                self.feed(socket.0, input);
            }
            Arrival::Command(socket, generation, id, command) => {
                let Some((present, to)) = self.sockets.get(&socket).cloned() else {
                    return;
                };
                if present == generation && self.reachable(socket.0, &to) {
                    self.execute(socket, generation, &to, id, command);
                }
            }
            Arrival::Persisted(n, life, id, snapshot) => {
                if self.sentinels[n].life != life {
                    return;
                }
                let ok = self.sentinels[n].disk_works;
                if self.sentinels[n].disk_hangs {
                    return self.sentinels[n].hung.push((id, snapshot));
                }
                if ok {
                    self.sentinels[n].durable = *snapshot;
                }
                self.feed(n, Input::Persisted { id, ok });
            }
            Arrival::HandOver(addr) => self.change_places(&addr),
            Arrival::GiveUp(addr) if self.servers[&addr].stuck => {}
            Arrival::GiveUp(addr) => self.servers.get_mut(&addr).unwrap().hands_over = None,
            Arrival::Sync(addr) => self.sync(&addr),
        }
    }

    /// A replica takes over the data of its master.
    fn sync(&mut self, addr: &Addr) {
        let Some(replica) = self.servers.get(addr) else {
            return;
        };
        let master = replica.master.as_ref().and_then(|it| self.servers.get(it));
        let Some((data, offset)) = master
            .filter(|it| it.alive && !it.loading)
            .map(|it| (it.data.clone(), it.offset))
        else {
            // Replicas look once in a second.
            let waits = replica.master.is_some() && !replica.link_up;
            if waits {
                self.arrive(ms(1000), Arrival::Sync(addr.clone()));
            }
            return;
        };
        if let Some(replica) = self.servers.get_mut(addr) {
            replica.link_up = true;
            replica.data = data;
            replica.offset = offset;
        }
    }

    /// Server 1 dies and starts again after `pause` with what `change` leaves of its data; its
    /// replicas take that over `resync` later, if they still follow it.
    pub fn restart_server(
        &mut self,
        pause: Duration,
        resync: Duration,
        change: impl Fn(&mut Server),
    ) {
        let keep = self.servers[&server(1)].data.clone();
        let offset = self.servers[&server(1)].offset;
        self.kill(1);
        for replica in self.servers.values_mut() {
            replica.link_up = false;
        }
        self.run(pause);
        self.revive(1);
        let back = self.servers.get_mut(&server(1)).unwrap();
        back.data = Stored {
            history: format!("of {}", back.run_id),
            ..keep
        };
        back.offset = offset;
        change(back);
        for n in 2..=self.servers.len() as u8 {
            self.arrive(resync, Arrival::Sync(server(n)));
        }
    }

    /// The disk goes on after it hung.
    pub fn unhang(&mut self, n: usize) {
        self.sentinels[n].disk_hangs = false;
        for (id, snapshot) in std::mem::take(&mut self.sentinels[n].hung) {
            let life = self.sentinels[n].life;
            self.arrive(FSYNC, Arrival::Persisted(n, life, id, snapshot));
        }
    }
}
