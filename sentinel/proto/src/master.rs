//! One monitored master with everything that is known in its context.

use std::collections::{BTreeMap, BTreeSet};

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::time::Time;
use codis_core::topology::Refusal;

use crate::core::Core;
use crate::effect::ScriptFacts;
use crate::event::{Event, Notification};
use crate::failover::Course;
use crate::ids::{PersistId, SentinelId};
use crate::info::Role;
use crate::instance::{Node, Peer, Replica, Server};
use crate::restart::{Presence, Restart};
use crate::schedule::{Key, MasterId, User, Who, sooner};
use crate::settings::MasterSettings;
use crate::topology::Shown;
use crate::writes::Writes;

/// Our last vote about a master.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Vote {
    /// Whom it went to; unknown after a restart or a switch.
    pub(crate) leader: Option<SentinelId>,
    pub(crate) epoch: Epoch,
    /// The snapshot that makes it durable.
    pub(crate) durable_with: PersistId,
    /// When it was given, in this run.
    pub(crate) given: Option<Time>,
}

/// One monitored master. Its address is the current one: it changes at the promotion.
#[derive(Debug)]
pub(crate) struct Master {
    pub(crate) id: MasterId,
    pub(crate) name: String,
    pub(crate) quorum: u32,
    pub(crate) settings: MasterSettings,
    pub(crate) server: Server,
    pub(crate) config_epoch: Epoch,
    /// Counts the addresses that it has had: answers about an earlier one are void.
    pub(crate) era: u64,
    /// The address comes from `MONITOR`, not from an election or a hello.
    pub(crate) addr_by_operator: bool,
    pub(crate) vote: Vote,
    /// Votes about it may have been forgotten: none is given ([`crate::rejoin`]).
    pub(crate) forgot_votes: bool,
    pub(crate) replicas: BTreeMap<Addr, Replica>,
    pub(crate) peers: BTreeMap<SentinelId, Peer>,
    pub(crate) o_down: Option<Time>,
    pub(crate) course: Course,
    pub(crate) presence: Presence,
    pub(crate) writes: Writes,
    /// A restart of the master whose data is in question.
    pub(crate) restart: Option<Restart>,
    /// No candidacy before this moment.
    pub(crate) passive_until: Time,
    /// Elections lost, and failovers without a candidate, in a row.
    pub(crate) lost: u32,
    pub(crate) barren: u32,
    /// Addresses that were master, or were told to become it, at an epoch below the present one.
    pub(crate) former: BTreeSet<Addr>,
    /// Why replicas were passed over in the last failover.
    pub(crate) refused: Vec<Refusal>,
    /// When that was, and the epoch of that failover.
    pub(crate) refused_at: Option<(Time, Epoch)>,
    /// Sentinels that were forgotten and are no voters, the oldest first.
    pub(crate) forgotten: Vec<SentinelId>,
    /// When a voter was forgotten or found again last.
    pub(crate) voters_changed: Option<Time>,
    /// What was last published as topology.
    pub(crate) shown: Option<Shown>,
}

impl Master {
    pub(crate) fn new(
        core: &mut Core,
        id: MasterId,
        name: &str,
        addr: Addr,
        quorum: u32,
        settings: MasterSettings,
    ) -> Self {
        let link = core.join_link((id, Who::Master), &addr, &settings);
        let node = Node::new(core, link, addr);
        core.touch(Key::Node(id, Who::Master));
        core.touch(Key::Master(id));
        let master = Self {
            id,
            name: name.to_owned(),
            quorum: quorum.max(1),
            settings,
            server: Server::new(node, Role::Master, core.now),
            config_epoch: Epoch::ZERO,
            era: 0,
            addr_by_operator: false,
            vote: Vote {
                leader: None,
                epoch: Epoch::ZERO,
                durable_with: PersistId(0),
                given: None,
            },
            forgot_votes: core.rejoining,
            replicas: BTreeMap::new(),
            peers: BTreeMap::new(),
            o_down: None,
            course: Course::Idle,
            presence: Presence::default(),
            restart: None,
            writes: Writes::default(),
            passive_until: core.now,
            lost: 0,
            barren: 0,
            former: BTreeSet::new(),
            refused: Vec::new(),
            refused_at: None,
            forgotten: Vec::new(),
            voters_changed: None,
            shown: None,
        };
        master.watch_writes(core);
        master
    }

    pub(crate) fn addr(&self) -> &Addr {
        &self.server.node.addr
    }

    pub(crate) fn user(&self, who: Who) -> User {
        (self.id, who)
    }

    pub(crate) fn node(&self, who: &Who) -> Option<&Node> {
        match who {
            Who::Master => Some(&self.server.node),
            Who::Replica(addr) => self.replicas.get(addr).map(|it| &it.server.node),
            Who::Peer(id) => self.peers.get(id).map(|it| &it.node),
        }
    }

    pub(crate) fn node_mut(&mut self, who: &Who) -> Option<&mut Node> {
        match who {
            Who::Master => Some(&mut self.server.node),
            Who::Replica(addr) => self.replicas.get_mut(addr).map(|it| &mut it.server.node),
            Who::Peer(id) => self.peers.get_mut(id).map(|it| &mut it.node),
        }
    }

    pub(crate) fn server_of(&self, who: &Who) -> Option<&Server> {
        match who {
            Who::Master => Some(&self.server),
            Who::Replica(addr) => self.replicas.get(addr).map(|it| &it.server),
            Who::Peer(_) => None,
        }
    }

    pub(crate) fn server_mut(&mut self, who: &Who) -> Option<&mut Server> {
        match who {
            Who::Master => Some(&mut self.server),
            Who::Replica(addr) => self.replicas.get_mut(addr).map(|it| &mut it.server),
            Who::Peer(_) => None,
        }
    }

    /// Every instance of this master.
    pub(crate) fn everybody(&self) -> Vec<Who> {
        let replicas = self.replicas.keys().cloned().map(Who::Replica);
        let peers = self.peers.keys().cloned().map(Who::Peer);
        std::iter::once(Who::Master)
            .chain(replicas)
            .chain(peers)
            .collect()
    }

    /// Marks the servers for a sweep, because their INFO may be due earlier than before.
    pub(crate) fn touch_servers(&self, core: &mut Core) {
        core.touch(Key::Node(self.id, Who::Master));
        for addr in self.replicas.keys() {
            core.touch(Key::Node(self.id, Who::Replica(addr.clone())));
        }
    }

    /// Adds a replica that is not known yet; true when it was added.
    pub(crate) fn add_replica(&mut self, core: &mut Core, addr: &Addr) -> bool {
        let same = self.known(core, addr);
        let known = self.replicas.contains_key(&same) || *self.addr() == same;
        if known || addr.port() == 0 || self.replicas.len() >= INSTANCES_MAX {
            return false;
        }
        let who = Who::Replica(addr.clone());
        let link = core.join_link(self.user(who.clone()), addr, &self.settings);
        let node = Node::new(core, link, addr.clone());
        let server = Server::new(node, Role::Replica, core.now);
        self.replicas
            .insert(addr.clone(), Replica::new(server, core.now));
        core.touch(Key::Node(self.id, who));
        core.touch(Key::Master(self.id));
        true
    }

    /// Adds a sentinel that is not known yet.
    pub(crate) fn add_peer(&mut self, core: &mut Core, id: &SentinelId, addr: &Addr) {
        assert!(!core.is_me(id), "a sentinel is not its own peer");
        assert!(!self.peers.contains_key(id), "a sentinel is added once");
        let who = Who::Peer(id.clone());
        let link = core.join_link(self.user(who.clone()), addr, &self.settings);
        let node = Node::new(core, link, addr.clone());
        self.peers.insert(id.clone(), Peer::new(node, core.now));
        core.touch(Key::Node(self.id, who));
        core.touch(Key::Master(self.id));
    }

    /// Forgets a replica or a sentinel.
    pub(crate) fn forget(&mut self, core: &mut Core, who: &Who) {
        let node = match who {
            Who::Master => None,
            Who::Replica(addr) => self.replicas.remove(addr).map(|it| it.server.node),
            Who::Peer(id) => self.peers.remove(id).map(|it| it.node),
        };
        if let Some(node) = node {
            core.leave_link(node.link, &self.user(who.clone()));
            core.touch(Key::Master(self.id));
        }
    }

    /// Leaves every link, before the master itself is forgotten.
    pub(crate) fn close(&mut self, core: &mut Core) {
        for who in self.everybody() {
            self.forget(core, &who);
        }
        core.leave_link(self.server.node.link, &self.user(Who::Master));
        core.schedule.forget(Key::Master(self.id));
    }

    /// How events name an instance.
    pub(crate) fn inst(&self, who: &Who) -> String {
        let at = |addr: &Addr| format!("{} {}", addr.host(), addr.port());
        let own = format!("{} {}", self.name, at(&self.server.node.shown));
        match who {
            Who::Master => format!("master {own}"),
            Who::Replica(addr) => {
                let known = self.replicas.get(addr);
                let addr = known.map_or(addr, |replica| &replica.server.node.shown);
                format!("slave {addr} {} @ {own}", at(addr))
            }
            Who::Peer(id) => {
                let addr = self.peers.get(id).map(|peer| at(&peer.node.shown));
                format!("sentinel {id} {} @ {own}", addr.unwrap_or_default())
            }
        }
    }

    /// Tells an event with a payload of its own.
    pub(crate) fn tell(&self, core: &mut Core, name: &'static str, payload: String) {
        let path = self.settings.notification_script.clone();
        let script = path.map(|path| Notification {
            path,
            stdin: self.script_facts(core),
        });
        core.event(Event::new(name, payload, script));
        self.record(core, name);
    }

    /// What scripts of this master are told besides their arguments.
    pub(crate) fn script_facts(&self, core: &Core) -> Option<ScriptFacts> {
        self.settings.script_stdin_json.then(|| ScriptFacts {
            master: self.name.clone(),
            config_epoch: self.config_epoch,
            current_epoch: core.current_epoch,
        })
    }

    /// Tells an event about an instance.
    pub(crate) fn tell_of(&self, core: &mut Core, name: &'static str, who: &Who) {
        self.tell(core, name, self.inst(who));
    }

    /// Known sentinels and we.
    pub(crate) fn voters(&self) -> usize {
        self.peers.len() + 1
    }

    /// More than half of the voters.
    pub(crate) fn majority(&self) -> usize {
        self.voters() / 2 + 1
    }

    /// Says hello about the master on every link, sentinels first: they move clients, and they
    /// must not learn of a promotion later than necessary.
    pub(crate) fn publish_everywhere(&mut self, core: &mut Core) {
        let rank = |who: &Who| match who {
            Who::Peer(_) => 0,
            Who::Replica(_) => 1,
            Who::Master => 2,
        };
        let mut everybody = self.everybody();
        everybody.sort_by_key(rank);
        for who in everybody {
            self.publish_to(core, &who);
            core.touch(Key::Node(self.id, who));
        }
    }

    /// Says hello on one link, now.
    pub(crate) fn publish_to(&mut self, core: &mut Core, who: &Who) {
        let Some(link) = self.node(who).map(|node| node.link) else {
            return;
        };
        let sent = core.publish(link, self.id, &self.name, self.addr(), self.config_epoch);
        let now = core.now;
        if let Some(node) = self.node_mut(who) {
            node.published = sent.then_some(now);
        }
    }

    /// Looks at one instance: its connection, S_DOWN, hello, INFO. The next deadline.
    pub(crate) fn sweep_node(&mut self, core: &mut Core, who: &Who) -> Option<Time> {
        let node = self.node(who)?;
        let (link, connection) = (core.link(node.link)?, node.connection);
        if link.opened != connection {
            let opened = link.opened;
            self.node_mut(who)?.connection = opened;
            self.node_mut(who)?.published = None;
            if let Some(server) = self.server_mut(who) {
                server.info_sent = None;
                server.info_command = None;
            }
        }
        let mut next = None;
        if *who == Who::Master {
            self.note_presence(core);
            next = self.judge_writes(core);
        }
        next = sooner(next, self.judge_s_down(core, who));
        if core.link_is_up(self.node(who)?.link) {
            next = sooner(next, self.publish_if_due(core, who));
            next = sooner(next, self.info_if_due(core, who));
        }
        next
    }

    fn publish_if_due(&mut self, core: &mut Core, who: &Who) -> Option<Time> {
        let period = core.timing.publish_period;
        if *who == Who::Master && self.may_hold_writes_back(core) {
            // It would wait for the end of the pause, and with it PING and INFO.
            return Some(core.now + core.timing.publish_retry());
        }
        let due = |node: &Node| node.published.map(|at| at + period);
        if due(self.node(who)?).is_none_or(|at| at <= core.now) {
            self.publish_to(core, who);
        }
        // A link with too many commands in flight is tried again later.
        Some(due(self.node(who)?).unwrap_or(core.now + core.timing.publish_retry()))
    }

    /// Looks at the whole: O_DOWN, failover, questions. The next deadline.
    pub(crate) fn sweep(&mut self, core: &mut Core) -> Option<Time> {
        self.judge_data(core);
        let mut next = self.remember(core);
        next = sooner(next, self.judge_o_down(core));
        next = sooner(next, self.advance(core));
        next = sooner(next, self.ask(core));
        next = sooner(next, self.forget_gone(core));
        self.show(core);
        next
    }
}

/// Replicas, and sentinels, that are kept of one master.
pub(crate) const INSTANCES_MAX: usize = 1024;
