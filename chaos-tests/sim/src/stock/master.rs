//! A master as a stock process keeps it, and the handling of one instance in a tick.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;
use codis_sentinel_proto::Command;
use codis_sentinel_proto::hello::Hello;
use codis_sentinel_proto::ids::{LinkId, SentinelId};
use codis_sentinel_proto::info::{Info, Role};
use codis_sentinel_proto::persist::PersistedMaster;

use super::core::Core;
use super::failover::Failover;
use super::link::{PUBLISH_PERIOD, Purpose};

/// Time between two INFO of a server of which nothing is expected.
pub(super) const INFO_PERIOD: Duration = Duration::from_secs(10);
/// ... of a replica whose master is down, or that has no link to it.
const INFO_PERIOD_SOON: Duration = Duration::from_secs(1);

/// An instance in the context of a master.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Who {
    Master,
    Replica(Addr),
    Peer(SentinelId),
}

/// A master, a replica, or another sentinel.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) link: LinkId,
    pub(super) addr: Addr,
    /// When a hello was last accepted; `None` makes one due.
    pub(super) published: Option<Time>,
    pub(super) s_down: bool,
    /// Not cleared on recovery.
    pub(super) s_down_since: Option<Time>,
    pub(super) run_id: String,
    pub(super) info: Option<(Time, Arc<Info>)>,
    pub(super) role: Role,
    pub(super) role_since: Time,
    /// Whom a replica follows, and since when it says so.
    pub(super) follows: Option<Addr>,
    pub(super) follows_since: Time,
    pub(super) reconf_sent: Option<Time>,
    pub(super) reconf_inprog: bool,
    pub(super) reconf_done: bool,
    /// What a peer said last about the master, and whom it voted for.
    pub(super) says_down: bool,
    pub(super) answered: Option<Time>,
    pub(super) leader: Option<SentinelId>,
    pub(super) leader_epoch: Epoch,
}

impl Instance {
    pub(super) fn new(core: &Core, link: LinkId, addr: &Addr, role: Role) -> Self {
        Self {
            link,
            addr: addr.clone(),
            published: Some(core.now),
            s_down: false,
            s_down_since: None,
            run_id: String::new(),
            info: None,
            role,
            role_since: core.now,
            follows: None,
            follows_since: core.now,
            reconf_sent: None,
            reconf_inprog: false,
            reconf_done: false,
            says_down: false,
            answered: None,
            leader: None,
            leader_epoch: Epoch::ZERO,
        }
    }

    /// Whether it was not down lately.
    pub(super) fn was_up_for(&self, core: &Core, span: Duration) -> bool {
        self.s_down_since.is_none_or(|at| core.age(at) > span)
    }
}

/// A monitored master.
#[derive(Debug)]
pub(super) struct Master {
    pub(super) name: String,
    pub(super) own: Instance,
    pub(super) replicas: BTreeMap<Addr, Instance>,
    pub(super) peers: BTreeMap<SentinelId, Instance>,
    pub(super) quorum: usize,
    pub(super) down_after: Duration,
    pub(super) failover_timeout: Duration,
    pub(super) parallel_syncs: usize,
    pub(super) config_epoch: Epoch,
    pub(super) o_down: bool,
    /// Not cleared on recovery.
    pub(super) o_down_since: Option<Time>,
    /// The vote given last; after a restart only its epoch is known.
    pub(super) leader: Option<SentinelId>,
    pub(super) leader_epoch: Epoch,
    pub(super) failover: Failover,
}

impl Master {
    pub(super) fn restore(core: &mut Core, name: &str, stored: &PersistedMaster) -> Self {
        let link = core.make_link(&stored.addr, true);
        let mut master = Self {
            name: name.to_owned(),
            own: Instance::new(core, link, &stored.addr, Role::Master),
            replicas: BTreeMap::new(),
            peers: BTreeMap::new(),
            quorum: stored.quorum as usize,
            down_after: stored.settings.down_after,
            failover_timeout: stored.settings.failover_timeout,
            parallel_syncs: stored.settings.parallel_syncs as usize,
            config_epoch: stored.config_epoch,
            o_down: false,
            o_down_since: None,
            leader: None,
            leader_epoch: stored.leader_epoch,
            failover: Failover::idle(core.now),
        };
        for addr in &stored.replicas {
            master.add_replica(core, addr);
        }
        for (id, addr) in &stored.sentinels {
            master.add_peer(core, id, addr);
        }
        master
    }

    /// What its file says about it. In the window in which the promoted replica already stands as
    /// the master, the old master stands in the promoted one's place.
    pub(super) fn store(&self, stored: &mut PersistedMaster) {
        let current = self.current();
        stored.addr = current.clone();
        stored.config_epoch = self.config_epoch;
        stored.leader_epoch = self.leader_epoch;
        let replicas = self.replicas.keys();
        let replicas = replicas.map(|addr| {
            if addr == current {
                &self.own.addr
            } else {
                addr
            }
        });
        stored.replicas = replicas.cloned().collect();
        stored.replicas.sort();
        let peers = self.peers.iter();
        stored.sentinels = peers
            .map(|(id, peer)| (id.clone(), peer.addr.clone()))
            .collect();
    }

    pub(super) fn add_replica(&mut self, core: &mut Core, addr: &Addr) -> bool {
        if self.replicas.contains_key(addr) || self.own.addr == *addr {
            return false;
        }
        let link = core.make_link(addr, true);
        let replica = Instance::new(core, link, addr, Role::Replica);
        self.replicas.insert(addr.clone(), replica);
        true
    }

    /// Adds a sentinel; one that is known under another master shares that link.
    pub(super) fn add_peer(&mut self, core: &mut Core, id: &SentinelId, addr: &Addr) {
        let known = core
            .links
            .iter_mut()
            .find(|(_, link)| link.addr == *addr && !link.is_of_server());
        let link = match known {
            Some((id, link)) => {
                link.users += 1;
                *id
            }
            None => core.make_link(addr, false),
        };
        let peer = Instance::new(core, link, addr, Role::Master);
        self.peers.insert(id.clone(), peer);
    }

    pub(super) fn instance(&self, who: &Who) -> Option<&Instance> {
        match who {
            Who::Master => Some(&self.own),
            Who::Replica(addr) => self.replicas.get(addr),
            Who::Peer(id) => self.peers.get(id),
        }
    }

    pub(super) fn instance_mut(&mut self, who: &Who) -> Option<&mut Instance> {
        match who {
            Who::Master => Some(&mut self.own),
            Who::Replica(addr) => self.replicas.get_mut(addr),
            Who::Peer(id) => self.peers.get_mut(id),
        }
    }

    /// The master, its replicas, its sentinels.
    pub(super) fn everybody(&self) -> Vec<Who> {
        let replicas = self.replicas.keys().cloned().map(Who::Replica);
        let peers = self.peers.keys().cloned().map(Who::Peer);
        std::iter::once(Who::Master)
            .chain(replicas)
            .chain(peers)
            .collect()
    }

    /// How events name an instance.
    pub(super) fn inst(&self, who: &Who) -> String {
        let at = |addr: &Addr| format!("{} {}", addr.host(), addr.port());
        let own = format!("{} {}", self.name, at(&self.own.addr));
        let addr = |who| self.instance(who).map(|it| at(&it.addr));
        match who {
            Who::Master => format!("master {own}"),
            Who::Replica(name) => {
                format!("slave {name} {} @ {own}", addr(who).unwrap_or_default())
            }
            Who::Peer(id) => format!("sentinel {id} {} @ {own}", addr(who).unwrap_or_default()),
        }
    }

    pub(super) fn tell(&self, core: &mut Core, name: &'static str, who: &Who) {
        core.event(name, self.inst(who));
    }

    /// One instance in one tick.
    pub(super) fn handle(&mut self, core: &mut Core, who: &Who) {
        let Some(link) = self.instance(who).map(|instance| instance.link) else {
            return;
        };
        core.reconnect(link);
        self.send_periodic(core, who, link);
        if core.in_tilt() {
            return;
        }
        self.check_s_down(core, who, link);
        if *who == Who::Master {
            self.check_o_down(core);
            if self.start_if_needed(core) {
                self.ask(core, true);
            }
            self.step(core);
            self.ask(core, false);
        }
    }

    fn send_periodic(&mut self, core: &mut Core, who: &Who, link: LinkId) {
        if !core.has_room(link) {
            return;
        }
        let Some(instance) = self.instance(who) else {
            return;
        };
        let link_down = instance
            .info
            .as_ref()
            .is_some_and(|(_, info)| info.master_link_down_ms != 0);
        let soon = self.o_down || self.failover.in_progress || link_down;
        let period = match who {
            Who::Replica(_) if soon => INFO_PERIOD_SOON,
            Who::Master | Who::Replica(_) | Who::Peer(_) => INFO_PERIOD,
        };
        let stale = |at: Time| core.age(at) > period;
        let asks = !matches!(who, Who::Peer(_));
        if asks && instance.info.as_ref().is_none_or(|(at, _)| stale(*at)) {
            core.send(link, Purpose::Info, Command::Info);
        }
        core.ping_if_due(link, self.down_after);
        let told = instance.published;
        if told.is_none_or(|at| core.age(at) > PUBLISH_PERIOD) {
            let hello = Hello {
                from: core.addr.clone(),
                id: core.id.clone(),
                current_epoch: core.current_epoch,
                master_name: self.name.clone(),
                master: self.current().clone(),
                config_epoch: self.config_epoch,
            };
            let purpose = Purpose::Publish(self.name.clone(), who.clone());
            core.send(link, purpose, Command::Publish(hello));
        }
    }
}
