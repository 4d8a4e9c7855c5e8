//! The Redis servers: their commands, their pub/sub, their replication.

use std::sync::Arc;

use codis_core::addr::Addr;
use codis_sentinel_proto::hello::Hello;
use codis_sentinel_proto::ids::CommandId;
use codis_sentinel_proto::info::Data;
use codis_sentinel_proto::{Channel, Command, Reply};

use super::{Message, Sabotage, World, log};
use crate::net::{ConnId, Dir, Host, Packet};
use crate::node::{Life, Upstream};

impl World {
    /// A command reaches the host of a connection's server.
    pub(super) fn serve(&mut self, host: Host, id: ConnId, command: CommandId, body: Command) {
        let Some(node) = self.node_of(host) else {
            return self.tell(host, Message::Command(id, command, body));
        };
        match self.nodes[node].node.life {
            Life::Running => self.execute(node, id, command, body),
            Life::Frozen => self.nodes[node].inbox.push_back((id, command, body)),
            Life::Dead => {}
        }
    }

    /// A server executes a command.
    pub(super) fn execute(&mut self, node: usize, id: ConnId, command: CommandId, body: Command) {
        let now = self.now;
        let reply = match body {
            Command::Ping => Reply::Ping(self.nodes[node].node.ping(now)),
            Command::Info => {
                let replicas = self.attached_to(node);
                let mut info = self.nodes[node].node.info(now, replicas);
                if self.sabotage == Sabotage::HideData {
                    info.data = Data::default();
                }
                Reply::Info(Some(Arc::new(info)))
            }
            Command::Publish(hello) => {
                self.publish(node, &hello);
                Reply::Published(true)
            }
            Command::IsMasterDown { .. } => Reply::MasterDown(None),
            Command::Follow { master } => self.reconfigure(node, id, Some(&master)),
            Command::ScriptKill => Reply::ScriptKilled,
            Command::WriteProbe => Reply::WriteProbed(self.nodes[node].node.probe(now)),
            // Servers without FAILOVER, as before 6.2.
            Command::HandOver { .. } | Command::AbortHandOver => {
                Reply::Reconfigured(Err("ERR unknown command".into()))
            }
            Command::Reconfigure { follow } => self.reconfigure(node, id, follow.as_ref()),
        };
        self.transmit(id, Dir::Down, Packet::Reply(command, reply));
    }

    fn reconfigure(&mut self, node: usize, issuer: ConnId, follow: Option<&Addr>) -> Reply {
        let server = &mut self.nodes[node].node;
        let result = server.reconfigure(self.now, follow, &mut self.node_rng);
        log!(
            self,
            "n{} is told to follow {follow:?}: {result:?}",
            node + 1
        );
        if result.is_ok() {
            let host = node + self.sentinels.len();
            for id in self.conns_of(host) {
                let Some(conn) = self.conns.get_mut(&id) else {
                    continue;
                };
                if id != issuer && conn.accepted {
                    conn.accepted = false;
                    self.hang_up(id);
                }
            }
        }
        Reply::Reconfigured(result)
    }

    /// Delivers a message to the subscribers of a server, and of its replicas.
    fn publish(&mut self, node: usize, hello: &Hello) {
        let mut hosts = vec![node + self.sentinels.len()];
        let stream = self.nodes[node].node.stream;
        for (index, member) in self.nodes.iter().enumerate() {
            if member.node.attached() == Some(stream) && member.node.life == Life::Running {
                hosts.push(index + self.sentinels.len());
            }
        }
        let subscribers: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, conn)| {
                conn.channel == Channel::PubSub && conn.accepted && hosts.contains(&conn.server)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in subscribers {
            self.transmit(id, Dir::Down, Packet::PubSub(Some(hello.clone())));
        }
    }

    fn attached_to(&self, node: usize) -> Vec<Addr> {
        let stream = self.nodes[node].node.stream;
        let attached =
            |node: &crate::node::Node| node.attached() == Some(stream) && node.life != Life::Dead;
        self.nodes
            .iter()
            .filter(|m| attached(&m.node))
            .map(|m| m.node.addr.clone())
            .collect()
    }

    /// One step of replication everywhere.
    pub(super) fn replicate(&mut self) {
        for node in 0..self.nodes.len() {
            let upstream = self.nodes[node]
                .node
                .follows
                .clone()
                .map(|addr| self.look_up(node, &addr));
            let was_up = self.nodes[node].node.link_up();
            self.nodes[node]
                .node
                .step(self.now, upstream, &mut self.node_rng);
            let is_up = self.nodes[node].node.link_up();
            if was_up != is_up {
                log!(
                    self,
                    "n{} link {}",
                    node + 1,
                    if is_up { "up" } else { "down" }
                );
            }
        }
    }

    /// What a replica sees of the server at an address.
    fn look_up(&self, node: usize, addr: &Addr) -> Upstream {
        let Some(other) = self.node_at(addr).filter(|other| *other != node) else {
            return Upstream {
                talks: false,
                hung_up: true,
                serves: false,
                stream: 0,
                offset: 0,
                data: Data::default(),
                sync: self.plan.sync,
            };
        };
        let base = self.sentinels.len();
        let passes = self.net.passes(base + node, base + other)
            && self.net.passes(base + other, base + node);
        let master = &self.nodes[other].node;
        Upstream {
            talks: passes && master.life == Life::Running,
            hung_up: passes && master.life == Life::Dead,
            serves: self.now >= master.loading_until && (master.is_master() || master.link_up()),
            stream: master.stream,
            offset: master.offset_before,
            data: master.data.clone(),
            sync: self.plan.sync,
        }
    }
}
