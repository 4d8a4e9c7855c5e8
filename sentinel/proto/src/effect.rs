//! What the machine asks of the shell.

use std::time::Duration;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::failover::Record;
use codis_core::time::Time;
use codis_core::topology::Topology;

use crate::event::Event;
use crate::hello::Hello;
use crate::ids::{CommandId, LinkId, PersistId, RequestId, SentinelId};
use crate::input::{Channel, Opinion};
use crate::persist::Snapshot;

/// One order. The shell carries them out in the order in which
/// [`Machine::poll_effect`](crate::Machine::poll_effect) gives them.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Open one connection of a link, once; the answer is `Connected` or `Disconnected`. The
    /// machine decides when to try again.
    Connect {
        /// The link.
        link: LinkId,
        /// Which of its connections.
        channel: Channel,
        /// Where to; [`Machine::reachable`](crate::Machine::reachable) turns it into an IP address.
        addr: Addr,
        /// Whose password to use.
        auth: Auth,
    },
    /// Close one connection of a link. No `Disconnected` follows.
    Disconnect {
        /// The link.
        link: LinkId,
        /// Which of its connections.
        channel: Channel,
    },
    /// Write a command on the connection of a link that [`Command::channel`] names. Commands of
    /// one `poll_effect` drain on one connection leave in one write.
    Send {
        /// The link.
        link: LinkId,
        /// The machine's name for it, unique for ever.
        id: CommandId,
        /// The command.
        command: Command,
    },
    /// Write the snapshot to disk (write, sync, rename, sync the directory); the answer is
    /// `Persisted`. When several wait, writing only the newest is enough.
    Persist {
        /// Ascending.
        id: PersistId,
        /// All that must survive a crash.
        snapshot: Box<Snapshot>,
    },
    /// Look a name up, without waiting for it; the answer is `Resolved`. The shell keeps lookups of
    /// one name apart and limits how often it is looked up.
    Resolve {
        /// The name.
        host: String,
    },
    /// Answer a peer's `SENTINEL IS-MASTER-DOWN-BY-ADDR`.
    Answer {
        /// As given in [`Input::Asked`](crate::Input::Asked).
        request: RequestId,
        /// The three elements of the reply, or `None`: the vote could not be made durable, answer
        /// an error.
        opinion: Option<Opinion>,
    },
    /// Log it, publish it on the channel of its name, and run the notification script when it
    /// asks for one.
    Event(Event),
    /// Publish on [`codis_core::topology::CHANNEL`].
    Topology(Box<Topology>),
    /// Keep the record of a failover that ended. One that continues an earlier one
    /// ([`Record::is_continued_by`]) replaces it.
    Failover {
        /// The moment from which its stages count: the shell adds the wall time of it.
        zero: Time,
        /// What happened.
        record: Box<Record>,
    },
    /// Queue the client-reconfig script of a master.
    ReconfigScript(ReconfigScript),
}

/// Arguments of a client-reconfig script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconfigScript {
    /// The script.
    pub path: String,
    /// The monitored name.
    pub master: String,
    /// `leader` when this sentinel led the failover, else `observer`.
    pub leader: bool,
    /// The old master.
    pub from: Addr,
    /// The new one.
    pub to: Addr,
    /// What it is told on its standard input, when its master asks for that.
    pub stdin: Option<ScriptFacts>,
}

impl ReconfigScript {
    /// The role of this sentinel, as scripts are told.
    pub const fn role(&self) -> &'static str {
        if self.leader { "leader" } else { "observer" }
    }
}

/// What a script can read besides its arguments (`script-stdin-json`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptFacts {
    /// The monitored name.
    pub master: String,
    /// The epoch of its address.
    pub config_epoch: Epoch,
    /// The highest epoch seen.
    pub current_epoch: Epoch,
}

/// Which credentials a connection greets with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Those of the master's `auth-user` and `auth-pass`.
    Data {
        /// `auth-user`.
        user: Option<String>,
        /// `auth-pass`.
        pass: Option<String>,
    },
    /// `sentinel-user` and `sentinel-pass`, or the sentinel's own `requirepass`: the shell knows.
    Sentinel,
}

/// A command for a link.
#[derive(Clone, Debug)]
pub enum Command {
    /// `PING`.
    Ping,
    /// `INFO`.
    Info,
    /// `PUBLISH __sentinel__:hello <payload>`.
    Publish(Hello),
    /// `SENTINEL is-master-down-by-addr <ip> <port> <epoch> <id or *>`.
    IsMasterDown {
        /// The master.
        master: Addr,
        /// Our current epoch.
        epoch: Epoch,
        /// Our id when we want the vote.
        candidate: Option<SentinelId>,
    },
    /// `MULTI`, `SLAVEOF host port` or `SLAVEOF NO ONE`, `CONFIG REWRITE`,
    /// `CLIENT KILL TYPE normal`, `CLIENT KILL TYPE pubsub`, `EXEC` in one write; one reply.
    Reconfigure {
        /// Whom to follow; `None` to become master.
        follow: Option<Addr>,
    },
    /// `FAILOVER TO host port TIMEOUT ms`: the master hands over to one of its replicas.
    HandOver {
        /// The replica.
        to: Addr,
        /// For how long the master may hold writes back. Whole milliseconds, more than 0.
        timeout: Duration,
    },
    /// `FAILOVER ABORT`.
    AbortHandOver,
    /// `SLAVEOF host port` outside of a transaction: a server that is out of memory queues none.
    Follow {
        /// Whom to follow.
        master: Addr,
    },
    /// `SCRIPT KILL`.
    ScriptKill,
    /// `SETRANGE` [`WRITE_PROBE_KEY`] `0 ""`: changes nothing, creates nothing, is not propagated,
    /// and is refused whenever writes are.
    WriteProbe,
}

/// A key that nobody has.
pub const WRITE_PROBE_KEY: &str = "__codis_sentinel__:write-check";

impl Command {
    /// Which connection of the link it goes on.
    pub const fn channel(&self) -> Channel {
        match self {
            Self::WriteProbe => Channel::Probe,
            Self::Ping
            | Self::Info
            | Self::Publish(_)
            | Self::IsMasterDown { .. }
            | Self::Reconfigure { .. }
            | Self::HandOver { .. }
            | Self::AbortHandOver
            | Self::Follow { .. }
            | Self::ScriptKill => Channel::Command,
        }
    }
}
