//! How servers follow each other: a replica takes all that its master has, and then each change, a
//! moment later. What is on its way when it is made a master never arrives.

use std::time::Duration;

use super::{Happening, World};
use crate::topom::proxy::Key;
use crate::topom::wire::Node;

/// How often a replica tries to reach its master.
const LINK_EVERY: Duration = Duration::from_millis(300);
/// For so long after it went on a master may have been taken for dead by a call under way.
const DEAD_FOR: Duration = Duration::from_secs(8);

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
        let rng = &mut self.net_rng;
        let follows = |it: &super::Server| it.master == Some(node) && it.linked;
        for replica in self.servers.values_mut().filter(|it| follows(it)) {
            let at = self.now + rng.micros(100..5_000);
            let last = replica.inbox.back().map(|(last, ..)| *last);
            let at = last.map_or(at, |last| at.max(last));
            replica.inbox.push_back((at, key, value));
        }
    }

    /// Takes in what has reached a replica by now.
    pub(super) fn settle(&mut self, node: Node) {
        while let Some(server) = self.servers.get_mut(&node) {
            let here = |(at, ..): &(crate::moment::Moment, Key, Option<u64>)| *at <= self.now;
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
            (Some(before), None) => self.replaced(before, node),
            _ => self.link(node),
        }
    }

    /// A replica became a master. A master that did not answer takes to the grave what had not
    /// arrived, and what it does when it goes on: replication is asynchronous.
    fn replaced(&mut self, before: Node, node: Node) {
        self.stats.promoted += 1;
        let now = self.now;
        let Some(old) = self.servers.get_mut(&before) else {
            return;
        };
        let back = old.back.is_some_and(|back| now.since(back) < DEAD_FOR);
        if old.stopped.is_none() && !back {
            return;
        }
        old.given_up = true;
        let both = [before, node].map(|at| &self.servers[&at].keys);
        let all = both[0].keys().chain(both[1].keys());
        let differ = all.filter(|key| both[0].get(key) != both[1].get(key));
        let lost: Vec<Key> = differ.copied().collect();
        lost.into_iter().for_each(|key| self.check.taint(key));
    }

    /// A replica that is not in step takes over all that its master has, if it can.
    pub(super) fn link(&mut self, node: Node) {
        let server = &self.servers[&node];
        let (Some(master), false) = (server.master, server.linked) else {
            return;
        };
        self.settle(master);
        let (server, source) = (&self.servers[&node], &self.servers[&master]);
        let gives = source.stopped.is_none() && (source.master.is_none() || source.linked);
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
            server.given_up = false;
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
