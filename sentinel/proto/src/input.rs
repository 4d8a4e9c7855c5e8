//! What the shell tells the machine.

use std::net::IpAddr;
use std::sync::Arc;

use codis_core::addr::Addr;
use codis_core::epoch::Epoch;

use crate::hello::Hello;
use crate::ids::{CommandId, LinkId, PersistId, RequestId, SentinelId};
use crate::info::Info;

/// One event. `now` travels beside it.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection asked for by [`Effect::Connect`](crate::Effect::Connect) is open, and its
    /// greeting (AUTH, CLIENT SETNAME; SUBSCRIBE on a pub/sub channel) has been written.
    Connected {
        /// The link.
        link: LinkId,
        /// Which of its connections.
        channel: Channel,
        /// The local IP address of the socket: what a hello sent over it announces.
        local_ip: String,
    },
    /// A connection failed to open, or was lost. Every command on it that has no reply yet is
    /// lost too; no reply follows.
    Disconnected {
        /// The link.
        link: LinkId,
        /// Which of its connections.
        channel: Channel,
        /// Why, by kind: a refused or reset connection is a dead process, not a slow network.
        reason: DisconnectReason,
    },
    /// The reply to a command sent by [`Effect::Send`](crate::Effect::Send).
    Reply {
        /// The link.
        link: LinkId,
        /// The command.
        command: CommandId,
        /// What came back.
        reply: Reply,
    },
    /// Anything arrived on the link's pub/sub connection: proof that it lives.
    PubSubActivity {
        /// The link.
        link: LinkId,
    },
    /// A hello, from a pub/sub connection or from a `PUBLISH` command of a peer. The shell parses
    /// it with [`Hello::parse`] and drops what does not parse.
    Hello(Hello),
    /// `SENTINEL IS-MASTER-DOWN-BY-ADDR` from a peer. Answered by
    /// [`Effect::Answer`](crate::Effect::Answer) with the same `request`, perhaps only after the
    /// vote is on disk, perhaps never (when the disk refuses: the shell then answers an error).
    Asked {
        /// The shell's name for the waiting connection.
        request: RequestId,
        /// The address of the master that is asked about.
        master: Addr,
        /// The asker's current epoch.
        epoch: Epoch,
        /// Who wants the vote; `None` when the asker sent `*`.
        candidate: Option<SentinelId>,
    },
    /// A name asked for by [`Effect::Resolve`](crate::Effect::Resolve) was looked up. Every order
    /// is answered, if only by the failure; one answer may serve several orders for one name.
    Resolved {
        /// The name.
        host: String,
        /// What it stands for, the preferred address first; empty when the lookup failed or took
        /// too long.
        answers: Vec<IpAddr>,
    },
    /// A snapshot asked for by [`Effect::Persist`](crate::Effect::Persist) is on disk, and with it
    /// all earlier ones; or writing it failed.
    Persisted {
        /// The snapshot.
        id: PersistId,
        /// Whether it is durable.
        ok: bool,
    },
}

/// Which of a link's connections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Channel {
    /// Commands and their replies.
    Command,
    /// `SUBSCRIBE __sentinel__:hello`; masters and replicas only.
    PubSub,
    /// [`Command::WriteProbe`](crate::Command::WriteProbe) and its replies, so that a write which
    /// hangs holds up nothing else; masters whose writes are checked only.
    Probe,
}

/// Why a connection is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DisconnectReason {
    /// ECONNREFUSED or ECONNRESET: nobody listens, or the process died.
    Refused,
    /// The peer closed it.
    Closed,
    /// No answer in time.
    TimedOut,
    /// Anything else: no route, name not found, protocol error.
    Other,
}

/// A reply, already parsed by kind of command.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To PING.
    Ping(PingReply),
    /// To INFO; `None` when it was an error or not text.
    Info(Option<Arc<Info>>),
    /// To PUBLISH: whether it was accepted.
    Published(bool),
    /// To IS-MASTER-DOWN-BY-ADDR; `None` when it was an error or of another shape.
    MasterDown(Option<Opinion>),
    /// To the six commands of a reconfiguration, or to the order to hand over or not to: the text
    /// of the first error, if any.
    Reconfigured(Result<(), String>),
    /// To SCRIPT KILL.
    ScriptKilled,
    /// To the write that changes nothing.
    WriteProbed(WriteProbe),
}

/// What the write that changes nothing came back with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteProbe {
    /// Writes are taken: a number, or `-WRONGTYPE`.
    Accepted,
    /// Writes are refused.
    Refused(WriteRefusal),
    /// `-NOPERM`, `-NOAUTH`, `-MOVED`, an unknown command: the answer says nothing about writes.
    CannotTell(CannotTell),
    /// `-LOADING`, `-BUSY`, `-MASTERDOWN`: no word about writes now, and PING tells the same.
    NotNow,
}

/// Why a server refuses writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum WriteRefusal {
    /// `-MISCONF`: its disk refuses.
    Disk,
    /// `-OOM`.
    Memory,
    /// `-NOREPLICAS`: fewer good replicas than `min-replicas-to-write`.
    Replicas,
    /// `-READONLY`: it is a replica.
    ReadOnly,
    /// No answer, though PING is answered.
    Hang,
}

impl WriteRefusal {
    /// The word in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "MISCONF",
            Self::Memory => "OOM",
            Self::Replicas => "NOREPLICAS",
            Self::ReadOnly => "READONLY",
            Self::Hang => "no answer",
        }
    }
}

/// Why a write probe says nothing about writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CannotTell {
    /// `-NOPERM`: our user may not write.
    NoPermission,
    /// `-NOAUTH` or `-WRONGPASS`: the password is missing or wrong.
    NoAuth,
    /// `-MOVED`, `-ASK`, `-CLUSTERDOWN`, `-CROSSSLOT`: a member of a Redis cluster.
    Cluster,
    /// Any other error, an unknown command above all.
    Other,
}

impl CannotTell {
    /// The word in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoPermission => "NOPERM",
            Self::NoAuth => "NOAUTH",
            Self::Cluster => "cluster",
            Self::Other => "unknown command",
        }
    }
}

/// What a PING came back with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PingReply {
    /// `+PONG`.
    Pong,
    /// `-LOADING`: alive.
    Loading,
    /// `-MASTERDOWN`: alive.
    MasterDown,
    /// `-BUSY`: a script runs.
    Busy,
    /// `-MISCONF`: it takes no writes, because its disk refuses.
    Misconf,
    /// Any other reply: somebody answers, but not as a working server.
    Other,
}

/// What a peer answers about a master.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opinion {
    /// The peer sees the master S_DOWN.
    pub down: bool,
    /// Whom the peer's vote of `leader_epoch` went to; `None` for `*`.
    pub leader: Option<SentinelId>,
    /// The epoch of that vote.
    pub leader_epoch: Epoch,
}
