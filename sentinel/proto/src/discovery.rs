//! Hellos: how sentinels find each other, and how a switch reaches those that did not lead it.

use codis_core::addr::Addr;

use crate::core::Core;
use crate::epochs::is_plausible;
use crate::failover::Course;
use crate::hello::Hello;
use crate::ids::SentinelId;
use crate::instance::Heard;
use crate::machine::Machine;
use crate::master::{INSTANCES_MAX, Master};
use crate::schedule::{Key, MasterId, Who};

impl Machine {
    /// A hello came, over whichever connection.
    pub(crate) fn hello(&mut self, hello: &Hello) {
        let known = self.names.contains_key(&hello.master_name);
        if known && !self.waits_for_names(hello) {
            self.heard(hello);
        }
    }

    /// Takes a hello whose names are known, or cannot be.
    pub(crate) fn heard(&mut self, hello: &Hello) {
        let Some(&id) = self.names.get(&hello.master_name) else {
            return;
        };
        if self.core.is_me(&hello.id) || !is_address(&hello.from) || !is_address(&hello.master) {
            return;
        }
        let told = [hello.current_epoch, hello.config_epoch];
        if told
            .iter()
            .any(|epoch| !is_plausible(*epoch, self.core.current_epoch))
        {
            return;
        }
        self.meet(id, &hello.id, &hello.from);
        let Some(master) = self.masters.get_mut(&id) else {
            return;
        };
        self.core.see_epoch(master, hello.current_epoch);
        let unknown = self.core.hosts.is_unknown(hello.master.host());
        if hello.config_epoch > master.config_epoch && !unknown {
            master.adopt(&mut self.core, hello);
        }
        if let Some(peer) = master.peers.get_mut(&hello.id) {
            peer.heard = Some(Heard {
                at: self.core.now,
                config_epoch: hello.config_epoch,
            });
        }
        master.judge_all_returned(&mut self.core);
        if master.forgot_votes {
            self.core.touch(Key::Master(id));
        }
    }

    /// Makes sure that a sentinel is known, at this address and only there.
    fn meet(&mut self, id: MasterId, peer: &SentinelId, addr: &Addr) {
        let Some(master) = self.masters.get_mut(&id) else {
            return;
        };
        if !master.peers.contains_key(peer) && !master.admits(&mut self.core, peer) {
            return;
        }
        let hosts = &self.core.hosts;
        match master.peers.get(peer) {
            Some(known) if hosts.same(&known.node.addr, addr) => return,
            Some(_) => {
                let inst = master.inst(&Who::Master);
                let (ip, port) = (addr.host(), addr.port());
                let payload = format!("{inst} ip {ip} port {port} for {peer}");
                master.tell(&mut self.core, "+sentinel-address-switch", payload);
                self.move_peer(id, peer, addr);
            }
            None if master.peers.len() >= INSTANCES_MAX => return,
            None => {
                let holds = |(other, it): (&SentinelId, &crate::instance::Peer)| {
                    hosts.same(&it.node.addr, addr).then(|| other.clone())
                };
                if let Some(displaced) = master.peers.iter().find_map(holds) {
                    let who = Who::Peer(displaced.clone());
                    master.tell_of(&mut self.core, "+sentinel-invalid-addr", &who);
                    for master in self.masters.values_mut() {
                        master.forget(&mut self.core, &who);
                    }
                }
                // It may be known under another master, at another address.
                let addr = &self.addr_of_peer(peer, addr);
                self.move_peer(id, peer, addr);
                if let Some(master) = self.masters.get_mut(&id) {
                    master.add_peer(&mut self.core, peer, addr);
                    master.tell_of(&mut self.core, "+sentinel", &Who::Peer(peer.clone()));
                }
            }
        }
        self.core.disk.want();
    }

    /// The address of a sentinel: as told, or as its link knows it when that is the same.
    fn addr_of_peer(&self, peer: &SentinelId, told: &Addr) -> Addr {
        let link = self.core.peer_links.get(peer);
        let linked = link.and_then(|id| self.core.link(*id));
        self.core.hosts.peer_addr(linked.map(|it| &it.addr), told)
    }

    /// A known sentinel has another address, under every master that knows it.
    fn move_peer(&mut self, id: MasterId, peer: &SentinelId, addr: &Addr) {
        let awake = self.core.awake();
        let Some(link) = self.core.peer_links.get(peer).copied() else {
            return;
        };
        let Some(link) = self.core.links.get_mut(&link) else {
            return;
        };
        if link.addr == *addr {
            return;
        }
        link.addr = addr.clone();
        link.close(awake, &mut self.core.out);
        let link = link.id;
        self.core.touch(Key::Link(link));
        self.core.touch_users(link);
        let mut others = 0;
        for master in self.masters.values_mut() {
            let Some(known) = master.peers.get_mut(peer) else {
                continue;
            };
            known.node.addr = addr.clone();
            known.node.shown = self.core.hosts.shown(addr);
            known.node.watched_since = awake;
            others += usize::from(master.id != id);
        }
        if others > 0
            && let Some(master) = self.masters.get(&id)
            && master.peers.contains_key(peer)
        {
            let inst = master.inst(&Who::Peer(peer.clone()));
            let payload = format!("{inst} {others} additional matching instances");
            master.tell(&mut self.core, "+sentinel-address-update", payload);
        }
    }
}

impl Master {
    /// Takes over a later configuration.
    fn adopt(&mut self, core: &mut Core, hello: &Hello) {
        assert!(hello.config_epoch > self.config_epoch, "epochs never fall");
        self.config_epoch = hello.config_epoch;
        core.raise_floor(&self.name, hello.config_epoch);
        core.disk.want();
        core.touch(Key::Master(self.id));
        let to = self.known(core, &hello.master);
        if to == *self.addr() {
            self.addr_by_operator = false;
            return self.yield_to(core);
        }
        let old = self.addr().clone();
        self.tell_of(core, "+config-update-from", &Who::Peer(hello.id.clone()));
        self.switch(core, &to, Course::Idle);
        self.close_observed(core);
        self.run_reconfig_script(core, false, &old, &to);
    }

    /// Another failover was completed: one of ours at the same or a lower epoch is over.
    fn yield_to(&mut self, core: &mut Core) {
        match &self.course {
            Course::Idle => {}
            Course::Candidate { .. } => self.course = Course::Idle,
            Course::Failover(failover) => {
                let before_promotion = failover.awaits_votes() || self.is_leading();
                if before_promotion && failover.epoch <= self.config_epoch {
                    self.abort(core, "-failover-abort-not-elected");
                }
            }
        }
    }
}

/// Whether an address can be connected to.
fn is_address(addr: &Addr) -> bool {
    !addr.host().is_empty() && addr.port() != 0
}
