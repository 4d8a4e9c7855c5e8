//! Links: the connections that the machine asked for, to servers and to other sentinels.
//!
//! A connection is a task. The event loop never waits for one: orders go into a bounded queue, and
//! a connection whose queue is full is as good as lost. What a task reports carries the number of
//! the connection it belongs to, so a late word of a connection that was closed since is dropped.

use std::collections::BTreeMap;

use codis_core::addr::Addr;
use codis_sentinel_proto::ids::{CommandId, LinkId};
use codis_sentinel_proto::{Channel, Command, DisconnectReason, Input, Reply};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

pub mod command;
pub mod connect;
pub mod pubsub;
mod wire;

use command::Outgoing;
use connect::Target;

/// Commands that may wait for one connection.
const OUTBOX_LEN: usize = 1024;

/// Reports that may wait for the event loop.
const REPORTS_LEN: usize = 4096;

/// Bytes of one reply, at most: an INFO with thousands of replicas fits.
const REPLY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One of a link's connections.
type Key = (LinkId, Channel);

/// What a connection reports.
#[derive(Debug)]
pub struct Report {
    key: Key,
    connection: u64,
    news: News,
}

/// What can be reported.
#[derive(Debug)]
enum News {
    Connected { local_ip: String },
    Gone(DisconnectReason),
    Reply(CommandId, Reply),
    Activity,
    Hello(codis_sentinel_proto::hello::Hello),
}

/// How a connection task reports.
#[derive(Clone, Debug)]
struct Reporter {
    key: Key,
    connection: u64,
    reports: mpsc::Sender<Report>,
}

impl Reporter {
    /// Reports, waiting for room. When the loop is gone the task is about to be, too.
    async fn send(&self, news: News) {
        let report = Report {
            key: self.key,
            connection: self.connection,
            news,
        };
        let _ = self.reports.send(report).await;
    }
}

/// All connections.
#[derive(Debug)]
pub struct Links {
    open: BTreeMap<Key, Open>,
    reports: mpsc::Sender<Report>,
    last_connection: u64,
}

#[derive(Debug)]
struct Open {
    connection: u64,
    addr: Addr,
    outbox: mpsc::Sender<Outgoing>,
    renames: BTreeMap<String, String>,
    task: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Links {
    /// No connections; reports come on the receiver.
    pub fn new() -> (Self, mpsc::Receiver<Report>) {
        let (reports, receiver) = mpsc::channel(REPORTS_LEN);
        let links = Self {
            open: BTreeMap::new(),
            reports,
            last_connection: 0,
        };
        (links, receiver)
    }

    /// Opens a connection; one that was open before is closed.
    pub fn connect(&mut self, link: LinkId, channel: Channel, target: Target) {
        self.last_connection += 1;
        let reporter = Reporter {
            key: (link, channel),
            connection: self.last_connection,
            reports: self.reports.clone(),
        };
        let (outbox, orders) = mpsc::channel(OUTBOX_LEN);
        let (addr, renames) = (target.addr.clone(), target.renames.clone());
        let task = match channel {
            Channel::Command | Channel::Probe => tokio::spawn(wire::run(target, orders, reporter)),
            Channel::PubSub => tokio::spawn(pubsub::run(target, reporter)),
        };
        let open = Open {
            connection: self.last_connection,
            addr,
            outbox,
            renames,
            task: task.abort_handle(),
        };
        self.open.insert((link, channel), open);
    }

    /// Closes a connection.
    pub fn disconnect(&mut self, link: LinkId, channel: Channel) {
        self.open.remove(&(link, channel));
    }

    /// Queues a command. When the connection cannot take it, the connection is closed and what the
    /// machine must be told is returned.
    pub fn send(&mut self, link: LinkId, id: CommandId, command: &Command) -> Option<Input> {
        let channel = command.channel();
        let key = (link, channel);
        let open = self.open.get(&key)?;
        let outgoing = command::encode(id, command, &open.renames);
        if open.outbox.try_send(outgoing).is_ok() {
            return None;
        }
        self.open.remove(&key);
        Some(Input::Disconnected {
            link,
            channel,
            reason: DisconnectReason::Other,
        })
    }

    /// What a report means to the machine; `None` when its connection is not the present one.
    pub fn input(&mut self, report: Report) -> Option<Input> {
        let Report {
            key,
            connection,
            news,
        } = report;
        if self.open.get(&key)?.connection != connection {
            return None;
        }
        let (link, channel) = key;
        Some(match news {
            News::Connected { local_ip } => Input::Connected {
                link,
                channel,
                local_ip,
            },
            News::Gone(reason) => {
                self.open.remove(&key);
                Input::Disconnected {
                    link,
                    channel,
                    reason,
                }
            }
            News::Reply(command, reply) => Input::Reply {
                link,
                command,
                reply,
            },
            News::Activity => Input::PubSubActivity { link },
            News::Hello(hello) => Input::Hello(hello),
        })
    }

    /// Where a link leads.
    pub fn addr_of(&self, link: LinkId) -> Option<&Addr> {
        self.open.get(&(link, Channel::Command)).map(|o| &o.addr)
    }

    /// All links with a command connection.
    pub fn ids(&self) -> Vec<LinkId> {
        let commands = self.open.keys().filter(|(_, c)| *c == Channel::Command);
        commands.map(|(link, _)| *link).collect()
    }

    /// Changes the names by which a link's server knows commands.
    pub fn rename(&mut self, link: LinkId, renames: BTreeMap<String, String>) {
        for channel in [Channel::Command, Channel::Probe] {
            if let Some(open) = self.open.get_mut(&(link, channel)) {
                open.renames.clone_from(&renames);
            }
        }
    }

    /// Connections that are open or being opened.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
