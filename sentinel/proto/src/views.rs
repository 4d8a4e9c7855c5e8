//! The answers to questions about instances.

use std::time::Duration;

use codis_core::epoch::Epoch;
use codis_core::time::Time;
use codis_core::topology::Topology;

use crate::core::Core;
use crate::info::Role;
use crate::input::Opinion;
use crate::instance::{Node, Peer, Reconf, Replica, Server};
use crate::link::Link;
use crate::machine::Machine;
use crate::master::Master;
use crate::settings::MasterSettings;
use crate::timing::Timing;
use crate::view::{InstanceView, MasterView, ReplicaView, RoleView, SentinelView};

impl Machine {
    fn find(&self, name: &str) -> Option<&Master> {
        self.masters.get(self.names.get(name)?)
    }

    /// The monitored names, sorted.
    pub fn master_names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    /// One monitored master.
    pub fn master(&self, now: Time, name: &str) -> Option<MasterView> {
        let master = self.find(name)?;
        let settings = &master.settings;
        let mut instance = master.instance_view(&self.core, now, &master.server.node);
        instance.name.clone_from(&master.name);
        instance.run_id.clone_from(&master.server.run_id);
        instance.flags = master.master_flags(&self.core);
        instance.o_down = master.o_down.map(|at| now.since(at));
        Some(MasterView {
            instance,
            role: role_view(&master.server, now),
            current: master.server.node.shown.clone(),
            failover_state: master.failover().map(|failover| failover.state()),
            config_epoch: master.config_epoch,
            replicas: master.replicas.len(),
            other_sentinels: master.peers.len(),
            quorum: master.quorum,
            failover_timeout: settings.failover_timeout,
            parallel_syncs: settings.parallel_syncs,
            notification_script: settings.notification_script.clone(),
            client_reconfig_script: settings.client_reconfig_script.clone(),
        })
    }

    /// The replicas of a master.
    pub fn replicas(&self, now: Time, name: &str) -> Option<Vec<ReplicaView>> {
        let master = self.find(name)?;
        let view = |replica| master.replica_view(&self.core, now, replica);
        Some(master.replicas.values().map(view).collect())
    }

    /// The other sentinels of a master.
    pub fn sentinels(&self, now: Time, name: &str) -> Option<Vec<SentinelView>> {
        let master = self.find(name)?;
        let view = |(id, peer): (&_, &Peer)| {
            let mut instance = master.instance_view(&self.core, now, &peer.node);
            instance.name = format!("{id}");
            instance.run_id.clone_from(&instance.name);
            instance.flags = master.peer_flags(&self.core, peer);
            let opinion = peer.opinion.as_ref().map(|(_, opinion)| opinion);
            SentinelView {
                instance,
                last_hello: now.since(peer.heard.map_or(peer.created, |heard| heard.at)),
                voted_leader: opinion.and_then(|it| it.leader.clone()),
                voted_leader_epoch: opinion.map_or(Epoch::ZERO, |it| it.leader_epoch),
            }
        };
        Some(master.peers.iter().map(view).collect())
    }

    /// The settings and the quorum of a master.
    pub fn settings_of(&self, name: &str) -> Option<(&MasterSettings, u32)> {
        self.find(name).map(|it| (&it.settings, it.quorum))
    }

    /// The topology record of a master.
    pub fn topology(&self, now: Time, name: &str) -> Option<Topology> {
        self.find(name).map(|it| it.topology(&self.core, now))
    }

    /// The texts of the last INFO of a master (first, without an address) and of its replicas, with
    /// their age: what INFO-CACHE tells.
    pub fn info_cache(&self, now: Time, name: &str) -> Option<Vec<(Duration, Option<String>)>> {
        let master = self.find(name)?;
        let replicas = master.replicas.values().map(|it| &it.server);
        let cached = |server: &Server| match &server.info {
            Some((at, info)) => (now.since(*at), Some(info.text.clone())),
            None => (Duration::ZERO, None),
        };
        Some(
            std::iter::once(&master.server)
                .chain(replicas)
                .map(cached)
                .collect(),
        )
    }

    /// Peers not S_DOWN plus us, voters, quorum: what CKQUORUM judges.
    pub fn usable_sentinels(&self, name: &str) -> Option<(usize, usize, u32)> {
        let master = self.find(name)?;
        let up = |peer: &&Peer| peer.node.s_down.is_none();
        let usable = master.peers.values().filter(up).count() + 1;
        Some((usable, master.voters(), master.quorum))
    }

    /// The time constants.
    pub fn timing(&self) -> &Timing {
        &self.core.timing
    }

    /// The highest epoch seen.
    pub fn current_epoch(&self) -> Epoch {
        self.core.current_epoch
    }

    /// Whether this sentinel suspends its judgement after a stall.
    pub fn is_tilt(&self) -> bool {
        self.core.stall.is_tilt()
    }

    /// Whether the disk refused the last snapshot: then this sentinel does not vote.
    pub fn is_disk_refusing(&self) -> bool {
        self.core.disk.refuses()
    }
}

impl Master {
    fn instance_view(&self, core: &Core, now: Time, node: &Node) -> InstanceView {
        let link = core.link(node.link);
        let awake = now.before(core.stall.lost);
        let ping = link.map(|link| &link.ping);
        let waiting = ping.and_then(|ping| ping.waiting_since);
        let replied = ping.and_then(|ping| ping.replied);
        InstanceView {
            name: String::new(),
            addr: node.shown.clone(),
            run_id: String::new(),
            flags: Vec::new(),
            pending_commands: link.map_or(0, |link| link.pending.len()),
            link_refcount: link.map_or(0, |link| link.users.len()),
            last_ping_sent: waiting.map_or(Duration::ZERO, |at| awake.since(at)),
            last_ok_ping_reply: awake.since(node.silent_since(core)),
            last_ping_reply: awake.since(replied.unwrap_or(node.watched_since)),
            s_down: node.s_down.map(|at| now.since(at)),
            o_down: None,
            down_after: self.settings.down_after,
        }
    }

    fn replica_view(&self, core: &Core, now: Time, replica: &Replica) -> ReplicaView {
        let mut instance = self.instance_view(core, now, &replica.server.node);
        instance.name = replica.server.node.shown.to_string();
        instance.run_id.clone_from(&replica.server.run_id);
        instance.flags = self.replica_flags(core, replica);
        let info = replica.info();
        let told = info.and_then(|info| info.master.clone());
        let down_ms = info.map_or(0, |info| info.master_link_down_ms);
        ReplicaView {
            instance,
            role: role_view(&replica.server, now),
            master_link_down: Duration::from_millis(down_ms.max(0).unsigned_abs()),
            master_link_up: info.is_some_and(|info| info.master_link_up),
            master: told.or_else(|| replica.follows.clone()),
            priority: info.map_or(100, |info| info.priority),
            offset: info.map_or(0, |info| info.offset),
            announced: info.is_none_or(|info| info.announced),
        }
    }

    pub(crate) fn master_flags(&self, core: &Core) -> Vec<&'static str> {
        let failover = self.failover();
        let forced = failover.is_some_and(|it| it.forced);
        let coordinated = failover.is_some_and(|it| it.coordinated);
        let down = self.server.node.s_down.is_some();
        pick(&[
            (down, "s_down"),
            (self.o_down.is_some(), "o_down"),
            (true, "master"),
            (!whole(core, &self.server.node), "disconnected"),
            (failover.is_some(), "failover_in_progress"),
            (forced && !coordinated, "force_failover"),
            (down && self.server.script_kill_sent, "script_kill_sent"),
            (coordinated, "coordinated_failover"),
        ])
    }

    pub(crate) fn replica_flags(&self, core: &Core, replica: &Replica) -> Vec<&'static str> {
        let node = &replica.server.node;
        let chosen = self.failover().and_then(|failover| failover.chosen());
        let (sent, inprog, done) = match replica.reconf {
            Reconf::Waiting | Reconf::Exempt => (false, false, false),
            Reconf::Sent(_) => (true, false, false),
            Reconf::InProgress(_) => (false, true, false),
            Reconf::Done => (false, false, true),
        };
        let reconf = self.failover().is_some();
        pick(&[
            (node.s_down.is_some(), "s_down"),
            (true, "slave"),
            (!whole(core, node), "disconnected"),
            (chosen == Some(&node.addr), "promoted"),
            (reconf && sent, "reconf_sent"),
            (reconf && inprog, "reconf_inprog"),
            (reconf && done, "reconf_done"),
            (replica.server.script_kill_sent, "script_kill_sent"),
        ])
    }

    fn peer_flags(&self, core: &Core, peer: &Peer) -> Vec<&'static str> {
        let agrees = matches!(peer.opinion, Some((_, Opinion { down: true, .. })));
        pick(&[
            (peer.node.s_down.is_some(), "s_down"),
            (true, "sentinel"),
            (!whole(core, &peer.node), "disconnected"),
            (agrees, "master_down"),
        ])
    }
}

fn whole(core: &Core, node: &Node) -> bool {
    core.link(node.link).is_some_and(Link::is_whole)
}

fn pick(flags: &[(bool, &'static str)]) -> Vec<&'static str> {
    let set = flags.iter().filter(|(is, _)| *is);
    set.map(|(_, name)| *name).collect()
}

fn role_view(server: &Server, now: Time) -> RoleView {
    RoleView {
        info_refresh: server
            .info
            .as_ref()
            .map_or(Duration::ZERO, |(at, _)| now.since(*at)),
        reported_master: server.role == Role::Master,
        reported_for: now.since(server.role_since),
    }
}
