//! What follows from the answers of a resolver.

use std::net::IpAddr;

use codis_core::addr::Addr;
use codis_core::time::Time;

use crate::core::Core;
use crate::effect::Effect;
use crate::hello::Hello;
use crate::hosts::Names;
use crate::ids::LinkId;
use crate::instance::Node;
use crate::machine::Machine;
use crate::master::Master;
use crate::persist::Snapshot;
use crate::schedule::{Key, Who};
use crate::settings::{MasterSettings, Settings};

impl Machine {
    /// A sentinel that starts with names that are already looked up.
    pub fn with_names(
        now: Time,
        settings: Settings,
        snapshot: Snapshot,
        names: Names,
        known: &[(String, IpAddr)],
    ) -> Self {
        let mut core = Core::new(now, settings, snapshot.current_epoch);
        core.hosts.names = names;
        for (host, ip) in known {
            core.hosts.learn(host, &[*ip]);
        }
        Self::start(core, snapshot)
    }

    /// Changes what is done with names.
    pub fn set_names(&mut self, now: Time, names: Names) {
        self.enter(now);
        if self.core.hosts.names != names {
            self.core.hosts.names = names;
            self.show_addresses_anew();
        }
        self.settle();
    }

    /// Where an address of [`Effect::Connect`] is to be found.
    pub fn reachable(&self, addr: &Addr) -> Option<Addr> {
        self.core.hosts.reachable(addr)
    }

    /// An address of [`Effect::Connect`] as views show it.
    pub fn shown(&self, addr: &Addr) -> Addr {
        self.core.hosts.shown(addr)
    }

    /// Whether a host is an IP address, or a name whose address is known.
    pub fn knows_host(&self, host: &str) -> bool {
        self.core.hosts.ip_of(host).is_some()
    }

    /// The settings of the master to which the server behind a link belongs; `None` for a sentinel.
    pub fn settings_behind(&self, link: LinkId) -> Option<&MasterSettings> {
        let (id, who) = self.core.link(link)?.users.first()?;
        match who {
            Who::Master | Who::Replica(_) => self.masters.get(id).map(|it| &it.settings),
            Who::Peer(_) => None,
        }
    }

    /// A name was looked up; no answers when that failed.
    pub(crate) fn resolved(&mut self, host: &str, answers: &[IpAddr]) {
        if self.core.hosts.learn(host, answers) {
            self.reconnect_to(host);
            for master in self.masters.values_mut() {
                master.merge_twins(&mut self.core);
                master.find_replicas(&mut self.core);
            }
            self.show_addresses_anew();
        }
        for hello in self.core.hosts.unpark(host) {
            self.heard(&hello);
        }
    }

    /// Keeps a hello back while a name in it is unknown. True when it waits.
    pub(crate) fn waits_for_names(&mut self, hello: &Hello) -> bool {
        for host in [hello.from.host(), hello.master.host()] {
            if self.core.hosts.is_unknown(host) && self.core.hosts.park(host, hello) {
                self.core.resolve(host);
                return true;
            }
        }
        false
    }

    /// Opens the links to a name anew: it leads somewhere else.
    fn reconnect_to(&mut self, host: &str) {
        let awake = self.core.awake();
        let concerned = |addr: &Addr| addr.host().eq_ignore_ascii_case(host);
        let mut ids = Vec::new();
        for link in self.core.links.values_mut() {
            if concerned(&link.addr) {
                link.close(awake, &mut self.core.out);
                // They were refused elsewhere.
                link.refusals = None;
                ids.push(link.id);
            }
        }
        for id in ids {
            self.core.touch(Key::Link(id));
            self.core.touch_users(id);
        }
    }

    fn show_addresses_anew(&mut self) {
        let hosts = &self.core.hosts;
        for master in self.masters.values_mut() {
            let show = |node: &mut Node| node.shown = hosts.shown(&node.addr);
            show(&mut master.server.node);
            for replica in master.replicas.values_mut() {
                show(&mut replica.server.node);
            }
            for peer in master.peers.values_mut() {
                show(&mut peer.node);
            }
        }
        for id in self.masters.keys() {
            self.core.schedule.touch(Key::Master(*id));
        }
        self.core.disk.want();
    }
}

impl Core {
    /// Asks for a name to be looked up. Literal addresses need no looking up.
    pub(crate) fn resolve(&mut self, host: &str) {
        if self.hosts.is_name(host) {
            self.out.push(Effect::Resolve {
                host: host.to_owned(),
            });
        }
    }
}

impl Master {
    /// The address under which a server of this master is known already, or the given one.
    pub(crate) fn known(&self, core: &Core, addr: &Addr) -> Addr {
        if self.replicas.contains_key(addr) {
            return addr.clone();
        }
        let mut all = std::iter::once(self.addr()).chain(self.replicas.keys());
        let known = all.find(|known| core.hosts.same(known, addr));
        known.unwrap_or(addr).clone()
    }

    /// Forgets replicas that turn out to be servers which are known by name. Two names may share an
    /// address for a while, when one of them moves; then nobody is forgotten.
    fn merge_twins(&mut self, core: &mut Core) {
        let chosen = self.failover().and_then(|failover| failover.chosen());
        let is_literal = |addr: &Addr| addr.host().parse::<IpAddr>().is_ok();
        let mut names: Vec<Addr> = self.replicas.keys().cloned().collect();
        names.retain(|addr| !is_literal(addr));
        names.push(self.addr().clone());
        let twin = |addr: &Addr, name: &Addr| {
            let mixed = is_literal(addr) != is_literal(name);
            addr != name && mixed && core.hosts.same(addr, name)
        };
        let mut twins: Vec<Addr> = self.replicas.keys().cloned().collect();
        twins.retain(|addr| {
            let of_master = twin(addr, self.addr());
            let of_replica = is_literal(addr) && names.iter().any(|name| twin(addr, name));
            (of_master || of_replica) && chosen != Some(addr)
        });
        for addr in twins {
            self.forget(core, &Who::Replica(addr));
        }
    }

    /// Adds replicas that the master told of by names which were unknown then.
    fn find_replicas(&mut self, core: &mut Core) {
        let info = self.server.info.as_ref().map(|(_, info)| info);
        let told = info.map(|info| info.replicas.clone()).unwrap_or_default();
        self.meet_replicas(core, &told);
    }

    /// Adds the replicas that the master tells of. Those with unknown names are added once the name
    /// is looked up.
    pub(crate) fn meet_replicas(&mut self, core: &mut Core, told: &[Addr]) {
        for addr in told {
            if core.hosts.is_unknown(addr.host()) {
                core.resolve(addr.host());
            } else if self.add_replica(core, addr) {
                core.disk.want();
                self.tell_of(core, "+slave", &Who::Replica(addr.clone()));
            }
        }
    }
}
