//! The switch of a master to another address, after our own failover or a hello.

use codis_core::addr::Addr;

use crate::core::Core;
use crate::failover::Course;
use crate::info::Role;
use crate::instance::{Node, Reconf, Replica, Server};
use crate::master::Master;
use crate::schedule::{Key, Who};

impl Master {
    /// Makes `to` the master and goes on with `course`. Connections are kept: the replica that
    /// became master is reachable in the same moment. What was concluded about the old address is
    /// forgotten, silence counts from now, and the old master is a replica like the others.
    pub(crate) fn switch(&mut self, core: &mut Core, to: &Addr, course: Course) {
        let old = self.addr().clone();
        assert!(old != *to, "a switch changes the address");
        let (from, shown) = (core.hosts.shown(&old), core.hosts.shown(to));
        let payload = format!(
            "{} {} {} {} {}",
            self.name,
            from.host(),
            from.port(),
            shown.host(),
            shown.port()
        );
        self.tell(core, "+switch-master", payload);
        let refused = self.write_misfit_at(core).is_some_and(|at| at <= core.now);
        self.swap_servers(core, &old, to);
        self.forget_writes(core, refused);
        self.course = course;
        self.forget_restart(core);
        self.era += 1;
        self.o_down = None;
        self.vote.leader = None;
        self.passive_until = core.now;
        (self.lost, self.barren) = (0, 0);
        self.addr_by_operator = false;
        self.former.remove(to);
        self.former.insert(old.clone());
        for peer in self.peers.values_mut() {
            peer.forget_opinion();
        }
        for addr in self.replicas.keys().cloned().collect::<Vec<_>>() {
            self.restart_replica(core, &addr, addr == old);
        }
        core.raise_floor(&self.name, self.config_epoch);
        core.disk.want();
        core.touch(Key::Master(self.id));
        for who in self.everybody() {
            core.touch(Key::Node(self.id, who));
        }
    }

    /// Puts the server at `to` in the master's place, and the master among the replicas.
    fn swap_servers(&mut self, core: &mut Core, old: &Addr, to: &Addr) {
        let (master, replica) = (Who::Master, Who::Replica(to.clone()));
        let demoted = Who::Replica(old.clone());
        core.rename_user(
            self.server.node.link,
            &self.user(master.clone()),
            self.user(demoted),
        );
        let promoted = match self.replicas.remove(to) {
            Some(known) => {
                let link = known.server.node.link;
                core.rename_user(link, &self.user(replica), self.user(master));
                known.server
            }
            None => {
                let link = core.join_link(self.user(master), to, &self.settings);
                Server::new(Node::new(core, link, to.clone()), Role::Master, core.now)
            }
        };
        let demoted = std::mem::replace(&mut self.server, promoted);
        self.server.change_role(core, Role::Master);
        self.replicas
            .insert(old.clone(), Replica::new(demoted, core.now));
    }

    fn restart_replica(&mut self, core: &mut Core, addr: &Addr, is_old_master: bool) {
        let user = self.user(Who::Replica(addr.clone()));
        if let Some(replica) = self.replicas.get_mut(addr) {
            if is_old_master {
                replica.server.change_role(core, Role::Replica);
            } else {
                // Silence counts from now; what it said stays true.
                replica.server.node.watch_anew(core);
            }
            if let Some(link) = core.links.get_mut(&replica.server.node.link) {
                link.down.remove(&user);
            }
            replica.reconf_retried = false;
            replica.reconf = if is_old_master {
                Reconf::Exempt
            } else {
                Reconf::Waiting
            };
        }
        self.tell_of(core, "+slave", &Who::Replica(addr.clone()));
    }
}
