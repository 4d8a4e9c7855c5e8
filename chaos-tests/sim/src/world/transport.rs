//! Connections: how they open, carry packets, stall, break and close.

use codis_core::addr::Addr;
use codis_sentinel_proto::ids::LinkId;
use codis_sentinel_proto::{Channel, DisconnectReason};

use super::{Happening, Message, Socket, World, log};
use crate::check::Rule;
use crate::net::{self, ClientEnd, Conn, ConnId, Dir, Host, Packet, Pipe};
use crate::node::Life;

impl World {
    /// A sentinel opens a connection.
    pub(super) fn open(&mut self, who: usize, link: LinkId, channel: Channel, addr: &Addr) {
        let Some(server) = self.hosts.get(addr).copied() else {
            let text = format!("s{} connects to {addr}, where nobody ever was", who + 1);
            return self.fail(Rule::Contract, text);
        };
        let id = ConnId(self.next_conn);
        self.next_conn += 1;
        let conn = Conn {
            client: who,
            server,
            link,
            channel,
            client_end: ClientEnd::Opening,
            accepted: false,
            up: Pipe::default(),
            down: Pipe::default(),
            holed: false,
        };
        self.conns.insert(id, conn);
        self.sentinels[who].links.insert(
            (link, channel),
            Socket {
                conn: id,
                open: false,
            },
        );
        self.queue.push(
            self.now + self.plan.connect_timeout,
            Happening::ConnectTimeout(id),
        );
        self.transmit(id, Dir::Up, Packet::Syn);
    }

    pub(super) fn connect_timeout(&mut self, id: ConnId) {
        if self
            .conns
            .get(&id)
            .is_some_and(|conn| conn.client_end == ClientEnd::Opening)
        {
            self.client_loses(id, DisconnectReason::TimedOut);
        }
    }

    /// Puts a packet on its way.
    pub(super) fn transmit(&mut self, id: ConnId, dir: Dir, packet: Packet) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let (from, to) = conn.ends(dir);
        let extra = self.net.slow[from] + self.net.slow[to];
        let mut arrives = self.now + self.net_rng.micros(self.plan.delay.clone()) + extra;
        self.safety.messages += 1;
        let (permille, until) = self.net.raw;
        if packet.is_loose() && self.now < until && self.net_rng.chance(permille) {
            self.stats.mangled += 1;
            let late = arrives + self.net_rng.millis(0..1_500);
            match self.net_rng.index(3) {
                0 => {
                    conn.holed = true;
                    return;
                }
                1 => {
                    let copy = Box::new(packet.clone());
                    self.queue.push(late, Happening::Stray(id, dir, copy));
                }
                _ => {
                    self.queue
                        .push(late, Happening::Stray(id, dir, Box::new(packet)));
                    return;
                }
            }
        }
        let pipe = conn.pipe(dir);
        if let Some((before, _)) = pipe.packets.back() {
            arrives = arrives.max(*before);
        }
        pipe.packets.push_back((arrives, packet));
        if !pipe.scheduled {
            pipe.scheduled = true;
            self.queue.push(arrives, Happening::Pipe(id, dir));
        }
    }

    pub(super) fn may_pass(&self, id: ConnId, dir: Dir) -> bool {
        self.conns.get(&id).is_some_and(|conn| {
            let (from, to) = conn.ends(dir);
            self.net.passes(from, to)
        })
    }

    /// Delivers what has arrived at the end of a pipe, or tries again later.
    pub(super) fn pump(&mut self, id: ConnId, dir: Dir) {
        let passes = self.may_pass(id, dir);
        let (permille, until) = self.net.loss;
        let lost = self.now < until && self.net_rng.chance(permille);
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let pipe = conn.pipe(dir);
        pipe.scheduled = false;
        if pipe.packets.is_empty() {
            return;
        }
        if !passes || lost {
            let since = *pipe.stalled.get_or_insert(self.now);
            if self.now.since(since) >= net::GIVE_UP {
                return self.give_up(id, dir);
            }
            pipe.backoff = (pipe.backoff * 2).clamp(net::RETRANSMIT, net::RETRANSMIT_MAX);
            pipe.scheduled = true;
            self.queue
                .push(self.now + pipe.backoff, Happening::Pipe(id, dir));
            return;
        }
        pipe.stalled = None;
        pipe.backoff = std::time::Duration::ZERO;
        while let Some(packet) = self.take_arrived(id, dir) {
            self.arrive(id, dir, packet);
        }
        self.reschedule(id, dir);
    }

    fn take_arrived(&mut self, id: ConnId, dir: Dir) -> Option<Packet> {
        let pipe = self.conns.get_mut(&id)?.pipe(dir);
        if pipe.packets.front()?.0 > self.now {
            return None;
        }
        pipe.packets.pop_front().map(|(_, packet)| packet)
    }

    fn reschedule(&mut self, id: ConnId, dir: Dir) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let pipe = conn.pipe(dir);
        let next = pipe.packets.front().map(|(at, _)| *at);
        if let Some(at) = next
            && !pipe.scheduled
        {
            pipe.scheduled = true;
            self.queue.push(at, Happening::Pipe(id, dir));
        }
    }

    /// The sender of a direction gives the connection up.
    fn give_up(&mut self, id: ConnId, dir: Dir) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.pipe(dir).packets.clear();
        let half_open = conn.client_end == ClientEnd::Gone;
        match dir {
            Dir::Up if !half_open => self.client_loses(id, DisconnectReason::TimedOut),
            // The server does not know yet; it will when it writes.
            Dir::Up if conn.accepted => {}
            Dir::Up | Dir::Down => self.server_closed(id),
        }
    }

    /// A packet reaches the kernel at its end.
    pub(super) fn arrive(&mut self, id: ConnId, dir: Dir, packet: Packet) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        match dir {
            Dir::Up => {
                let server = conn.server;
                match packet {
                    Packet::Syn => {
                        let lives = self.process_lives(server);
                        self.accept(id, lives);
                    }
                    Packet::Fin => self.server_closed(id),
                    _ if !conn.accepted => self.transmit(id, Dir::Down, Packet::Rst),
                    Packet::Command(command, body) => {
                        self.serve(server, id, command, body);
                    }
                    Packet::SynAck | Packet::Rst | Packet::Reply(..) | Packet::PubSub(_) => {}
                }
            }
            Dir::Down => self.arrive_at_client(id, packet),
        }
    }

    fn arrive_at_client(&mut self, id: ConnId, packet: Packet) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let who = conn.client;
        if conn.client_end == ClientEnd::Gone {
            // The kernel answers for a socket that is gone, and the server's end goes too.
            return self.server_closed(id);
        }
        match packet {
            Packet::SynAck => {
                if conn.client_end == ClientEnd::Opening {
                    conn.client_end = ClientEnd::Open;
                    self.tell(who, Message::Opened(id));
                }
            }
            Packet::Rst => self.client_loses(id, DisconnectReason::Refused),
            Packet::Fin => self.client_loses(id, DisconnectReason::Closed),
            Packet::Reply(command, reply) => self.tell(who, Message::Reply(id, command, reply)),
            Packet::PubSub(hello) => self.tell(who, Message::PubSub(id, hello)),
            Packet::Syn | Packet::Command(..) => {}
        }
    }

    fn accept(&mut self, id: ConnId, lives: bool) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        if !lives {
            return self.transmit(id, Dir::Down, Packet::Rst);
        }
        conn.accepted = true;
        let subscribed = conn.channel == Channel::PubSub;
        let frozen = self.is_frozen(self.conns[&id].server);
        self.transmit(id, Dir::Down, Packet::SynAck);
        if subscribed && !frozen {
            self.transmit(id, Dir::Down, Packet::PubSub(None));
        }
    }

    fn process_lives(&self, host: Host) -> bool {
        match self.node_of(host) {
            None => self.sentinels[host].brain.is_some(),
            Some(node) => self.nodes[node].node.life != Life::Dead,
        }
    }

    fn is_frozen(&self, host: Host) -> bool {
        self.node_of(host)
            .is_some_and(|node| self.nodes[node].node.life == Life::Frozen)
    }

    /// The client's end is lost, and its process will hear of it.
    pub(super) fn client_loses(&mut self, id: ConnId, reason: DisconnectReason) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        if conn.client_end == ClientEnd::Gone {
            return;
        }
        conn.client_end = ClientEnd::Gone;
        conn.up.packets.clear();
        let who = conn.client;
        if reason == DisconnectReason::TimedOut {
            self.transmit(id, Dir::Up, Packet::Fin);
        } else {
            self.server_closed(id);
        }
        self.tell(who, Message::Lost(id, reason));
    }

    /// The client's process closes its end.
    pub(super) fn client_closes(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        if conn.client_end != ClientEnd::Gone {
            conn.client_end = ClientEnd::Gone;
            self.transmit(id, Dir::Up, Packet::Fin);
        }
    }

    /// The server's end is gone.
    fn server_closed(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.accepted = false;
        if conn.client_end == ClientEnd::Gone {
            self.conns.remove(&id);
        }
    }

    /// All connections that a host takes part in.
    pub(super) fn conns_of(&self, host: Host) -> Vec<ConnId> {
        let touches = |conn: &Conn| conn.client == host || conn.server == host;
        self.conns
            .iter()
            .filter(|(_, conn)| touches(conn))
            .map(|(id, _)| *id)
            .collect()
    }

    /// The process of a host is gone; its kernel closes what it had, unless it is gone too.
    pub(super) fn drop_process(&mut self, host: Host, says_so: bool) {
        for id in self.conns_of(host) {
            let Some(conn) = self.conns.get_mut(&id) else {
                continue;
            };
            if conn.client == host {
                if says_so {
                    self.client_closes(id);
                } else {
                    conn.client_end = ClientEnd::Gone;
                    conn.up.packets.clear();
                    if !conn.accepted {
                        self.conns.remove(&id);
                    }
                }
            } else if conn.accepted {
                conn.accepted = false;
                conn.down.packets.clear();
                if says_so {
                    self.hang_up(id);
                }
            }
        }
    }

    /// The server's kernel tells the client that it closed: in order, or with a reset.
    pub(super) fn hang_up(&mut self, id: ConnId) {
        let reset = self.net_rng.chance(500);
        self.transmit(id, Dir::Down, if reset { Packet::Rst } else { Packet::Fin });
    }

    /// Breaks a connection from the middle.
    pub(super) fn break_conn(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.accepted = false;
        conn.up.packets.clear();
        conn.down.packets.clear();
        log!(self, "connection {} breaks", id.0);
        self.client_loses(id, DisconnectReason::Refused);
    }

    /// Breaks every connection that silently lost a message: what TCP never leaves behind.
    pub(super) fn break_holed(&mut self) {
        let holed = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.holed)
            .map(|(id, _)| *id);
        for id in holed.collect::<Vec<_>>() {
            self.break_conn(id);
        }
    }
}
