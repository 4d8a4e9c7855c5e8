//! Links of a stock process: connections, PING, and what is in flight.

use std::collections::BTreeMap;
use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::time::Time;
use codis_sentinel_proto::ids::{CommandId, LinkId};
use codis_sentinel_proto::{Auth, Channel, Command, Effect, PingReply};

use super::core::Core;
use super::master::Who;

/// Limit of the time between two PINGs, and the time between two attempts to connect.
pub(super) const PING_PERIOD: Duration = Duration::from_secs(1);
/// Time between two hellos to one instance.
pub(super) const PUBLISH_PERIOD: Duration = Duration::from_secs(2);
/// A connection younger than this is not closed for being silent.
const LINK_AGE_MIN: Duration = Duration::from_secs(15);
/// Commands in flight for each user of a link.
const PENDING_MAX: usize = 100;

/// What a command was sent for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Ping,
    Info,
    /// About a master, for the publication time of an instance.
    Publish(String, Who),
    Ask(String, Who),
    Other,
}

/// One connection: being opened, or open.
#[derive(Debug)]
struct Conn {
    up: bool,
    since: Time,
}

/// The connections to one process.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) addr: Addr,
    is_data: bool,
    pub(super) users: usize,
    command: Option<Conn>,
    pubsub: Option<Conn>,
    pub(super) disconnected: bool,
    last_reconnect: Option<Time>,
    pub(super) pending: BTreeMap<CommandId, Purpose>,
    /// Written before the connection is open.
    early: Vec<(CommandId, Command)>,
    /// The oldest PING without an acceptable reply.
    pub(super) act_ping: Option<Time>,
    last_ping: Option<Time>,
    pub(super) last_avail: Time,
    last_pong: Time,
    pubsub_activity: Time,
}

impl Link {
    pub(super) const fn is_of_server(&self) -> bool {
        self.is_data
    }

    fn fresh(addr: Addr, is_data: bool, now: Time) -> Self {
        Self {
            addr,
            is_data,
            users: 1,
            command: None,
            pubsub: None,
            disconnected: true,
            last_reconnect: None,
            pending: BTreeMap::new(),
            early: Vec::new(),
            // Whoever is never reached times out.
            act_ping: Some(now),
            last_ping: None,
            last_avail: now,
            last_pong: now,
            pubsub_activity: now,
        }
    }
}

impl Core {
    pub(super) fn make_link(&mut self, addr: &Addr, is_data: bool) -> LinkId {
        self.links_made += 1;
        let id = LinkId(self.links_made);
        let link = Link::fresh(addr.clone(), is_data, self.now);
        self.links.insert(id, link);
        id
    }

    pub(super) fn drop_link(&mut self, id: LinkId) {
        self.close(id, Channel::Command);
        self.close(id, Channel::PubSub);
        self.links.remove(&id);
    }

    /// Closes both connections, leads the link to another address, and starts to count anew. The
    /// time of the last attempt to connect stays, so the new address waits for its turn.
    pub(super) fn redirect(&mut self, id: LinkId, addr: &Addr) {
        self.close(id, Channel::Command);
        self.close(id, Channel::PubSub);
        let now = self.now;
        if let Some(link) = self.links.get_mut(&id) {
            link.addr = addr.clone();
            link.act_ping = Some(now);
            link.last_ping = None;
            (link.last_avail, link.last_pong) = (now, now);
        }
    }

    pub(super) fn is_connected(&self, id: LinkId) -> bool {
        self.links.get(&id).is_some_and(|link| !link.disconnected)
    }

    fn close(&mut self, id: LinkId, channel: Channel) {
        let open = self.links.get(&id).is_some_and(|link| match channel {
            Channel::Command => link.command.is_some(),
            Channel::PubSub => link.pubsub.is_some(),
            Channel::Probe => false,
        });
        if open {
            self.out.push_back(Effect::Disconnect { link: id, channel });
            self.lost(id, channel);
        }
    }

    /// A connection is gone.
    pub(super) fn lost(&mut self, id: LinkId, channel: Channel) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.disconnected = true;
        match channel {
            Channel::Command => {
                link.command = None;
                link.pending.clear();
                link.early.clear();
            }
            Channel::PubSub => link.pubsub = None,
            // An extension of ours.
            Channel::Probe => {}
        }
    }

    /// A connection is open; what was written to it leaves.
    pub(super) fn connected(&mut self, id: LinkId, channel: Channel) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        match channel {
            Channel::Probe => {}
            Channel::PubSub => {
                if let Some(conn) = &mut link.pubsub {
                    conn.up = true;
                }
            }
            Channel::Command => {
                if let Some(conn) = &mut link.command {
                    conn.up = true;
                }
                for (command, body) in std::mem::take(&mut link.early) {
                    self.out.push_back(Effect::Send {
                        link: id,
                        id: command,
                        command: body,
                    });
                }
            }
        }
    }

    /// Anything on the pub/sub connection shows that it lives.
    pub(super) fn heard(&mut self, id: LinkId) {
        let now = self.now;
        if let Some(link) = self.links.get_mut(&id) {
            link.pubsub_activity = now;
        }
    }

    /// Opens what is missing, not more often than once per ping period.
    pub(super) fn reconnect(&mut self, id: LinkId) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let lately = |at: Time| now.since(at) < PING_PERIOD;
        if !link.disconnected || link.last_reconnect.is_some_and(lately) {
            return;
        }
        link.last_reconnect = Some(now);
        let conn = || Conn {
            up: false,
            since: now,
        };
        let order = |channel, addr: &Addr, auth| Effect::Connect {
            link: id,
            channel,
            addr: addr.clone(),
            auth,
        };
        let auth = if link.is_data {
            Auth::Data {
                user: None,
                pass: None,
            }
        } else {
            Auth::Sentinel
        };
        let new_command = link.command.is_none();
        if new_command {
            link.command = Some(conn());
            link.pending.clear();
            let order = order(Channel::Command, &link.addr, auth.clone());
            self.out.push_back(order);
        }
        if link.is_data && link.pubsub.is_none() {
            link.pubsub = Some(conn());
            link.pubsub_activity = now;
            let order = order(Channel::PubSub, &link.addr, auth);
            self.out.push_back(order);
        }
        link.disconnected = false;
        if new_command {
            self.send_ping(id);
        }
    }

    /// Whether more commands may be sent on a link.
    pub(super) fn has_room(&self, id: LinkId) -> bool {
        let room = |link: &Link| link.pending.len() < PENDING_MAX * link.users;
        self.links
            .get(&id)
            .is_some_and(|link| !link.disconnected && room(link))
    }

    /// Sends a command. False when there is no connection.
    pub(super) fn send(&mut self, id: LinkId, purpose: Purpose, command: Command) -> bool {
        let Some(link) = self.links.get_mut(&id) else {
            return false;
        };
        let Some(conn) = &link.command else {
            return false;
        };
        self.commands += 1;
        let name = CommandId(self.commands);
        link.pending.insert(name, purpose);
        if conn.up {
            self.out.push_back(Effect::Send {
                link: id,
                id: name,
                command,
            });
        } else {
            link.early.push((name, command));
        }
        true
    }

    pub(super) fn send_ping(&mut self, id: LinkId) {
        if !self.send(id, Purpose::Ping, Command::Ping) {
            return;
        }
        let now = self.now;
        if let Some(link) = self.links.get_mut(&id) {
            link.last_ping = Some(now);
            link.act_ping.get_or_insert(now);
        }
    }

    pub(super) fn ping_if_due(&mut self, id: LinkId, down_after: Duration) {
        let period = PING_PERIOD.min(down_after);
        let Some(link) = self.links.get(&id) else {
            return;
        };
        let quiet = self.age(link.last_pong) > period;
        if quiet && link.last_ping.is_none_or(|at| self.age(at) > period / 2) {
            self.send_ping(id);
        }
    }

    /// A PING was answered.
    pub(super) fn pinged(&mut self, id: LinkId, reply: PingReply) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if matches!(
            reply,
            PingReply::Pong | PingReply::Loading | PingReply::MasterDown
        ) {
            link.last_avail = now;
            link.act_ping = None;
        }
        link.last_pong = now;
    }

    /// How long it has been without a sign of life.
    pub(super) fn silence(&self, id: LinkId) -> Duration {
        let Some(link) = self.links.get(&id) else {
            return Duration::ZERO;
        };
        match link.act_ping {
            Some(at) => self.age(at),
            None if link.disconnected => self.age(link.last_avail),
            None => Duration::ZERO,
        }
    }

    /// Closes connections that are old and silent, so that they are opened again.
    pub(super) fn close_stale(&mut self, id: LinkId, down_after: Duration) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        let old = |conn: &Option<Conn>| {
            conn.as_ref()
                .is_some_and(|conn| self.age(conn.since) > LINK_AGE_MIN)
        };
        let unanswered = link
            .act_ping
            .is_some_and(|at| self.age(at) > down_after / 2);
        let command = old(&link.command) && unanswered && self.age(link.last_pong) > down_after / 2;
        let deaf = self.age(link.pubsub_activity) > PUBLISH_PERIOD * 3;
        let pubsub = old(&link.pubsub) && deaf;
        if command {
            self.close(id, Channel::Command);
        }
        if pubsub {
            self.close(id, Channel::PubSub);
        }
    }
}
