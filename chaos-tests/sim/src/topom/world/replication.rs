//! How servers follow each other: a replica takes all that its master has, and then each change, a
//! moment later. What is on its way when it is made a master never arrives.

use std::time::Duration;

use super::{Happening, Net, World};
use crate::moment::Moment;
use crate::topom::proxy::Key;
use crate::topom::wire::Node;

/// How often a replica tries to reach its master.
const LINK_EVERY: Duration = Duration::from_millis(300);

impl Net {
    /// Whether dashboards and other servers do not reach a server now.
    pub(super) fn is_cut(&self, now: Moment, node: Node) -> bool {
        self.servers.get(&node).is_some_and(|until| now < *until)
    }
}

impl World {
    /// Changes a key of a server, and sends the change to those that follow it.
    pub(super) fn change(&mut self, node: Node, key: Key, value: Option<u64>) {
        let Some(server) = self.servers.get_mut(&node) else {
            return;
        };
        match value {
            Some(value) => server.keys.insert(key, value),
            None => server.keys.remove(&key),
        };
        server.offset += 1;
        let net = &self.net;
        let rng = &mut self.net_rng;
        let follows = |it: &super::Server| it.master == Some(node) && it.linked;
        for (at, replica) in self.servers.iter_mut().filter(|(_, it)| follows(it)) {
            // What a broken network holds up comes when it is whole.
            let cut = [node, *at].map(|end| net.servers.get(&end).copied());
            let from = cut.into_iter().flatten().fold(self.now, Moment::max);
            let at = from + rng.micros(100..5_000);
            let last = replica.inbox.back().map(|(last, ..)| *last);
            let at = last.map_or(at, |last| at.max(last));
            replica.inbox.push_back((at, key, value));
        }
    }

    /// Takes in what has reached a replica by now.
    pub(super) fn settle(&mut self, node: Node) {
        while let Some(server) = self.servers.get_mut(&node) {
            let here = |(at, ..): &(Moment, Key, Option<u64>)| *at <= self.now;
            if server.stopped.is_some() || !server.inbox.front().is_some_and(here) {
                return;
            }
            if let Some((_, key, value)) = server.inbox.pop_front() {
                self.change(node, key, value);
            }
        }
    }

    /// A server is told whom to follow.
    pub(super) fn follow(&mut self, node: Node, master: Option<Node>) {
        let Some(server) = self.servers.get_mut(&node) else {
            return;
        };
        if server.master == master {
            return;
        }
        let before = server.master;
        server.master = master;
        server.linked = false;
        server.inbox.clear();
        match (before, master) {
            // It keeps what had arrived: a promotion waits until that is all.
            (Some(_), None) => self.stats.promoted += 1,
            _ => self.link(node),
        }
    }

    /// A replica that is not in step takes over all that its master has, if it can.
    pub(super) fn link(&mut self, node: Node) {
        let server = &self.servers[&node];
        let (Some(master), false) = (server.master, server.linked) else {
            return;
        };
        self.settle(master);
        let (server, source) = (&self.servers[&node], &self.servers[&master]);
        let cut = [node, master].map(|end| self.net.is_cut(self.now, end));
        let gives = source.stopped.is_none()
            && (source.master.is_none() || source.linked)
            && cut == [false, false];
        if !gives || server.stopped.is_some() {
            let at = self.now + LINK_EVERY;
            self.queue.push(at, Happening::Link { server: node });
            return;
        }
        let (keys, offset) = (source.keys.clone(), source.offset);
        self.say(format_args!(
            "{} is in step with {}",
            node.addr(),
            master.addr()
        ));
        if let Some(server) = self.servers.get_mut(&node) {
            (server.keys, server.offset) = (keys, offset);
            server.inbox.clear();
            server.linked = true;
        }
        self.dirty = true;
        let follows = |(at, it): (&Node, &super::Server)| (it.master == Some(node)).then_some(*at);
        let replicas: Vec<Node> = self.servers.iter().filter_map(follows).collect();
        for replica in replicas {
            if let Some(server) = self.servers.get_mut(&replica) {
                server.linked = false;
            }
            // It comes back as a replica does whose master cut it off: servers that a late order
            // has made replicas of each other go on so for as long as nobody orders otherwise.
            let at = self.now + LINK_EVERY;
            self.queue.push(at, Happening::Link { server: replica });
        }
    }

    /// The servers that do not do what the records say.
    pub(super) fn astray(&self) -> Vec<Node> {
        let wrong = |(node, server): (&Node, &super::Server)| {
            let master = self.store.master(node.group)?;
            let wanted = (*node != master).then_some(master);
            (server.master != wanted).then_some(*node)
        };
        self.servers.iter().filter_map(wrong).collect()
    }
}
