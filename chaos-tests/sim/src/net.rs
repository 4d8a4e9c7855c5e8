//! The network: which host reaches which, how fast, and the connections between them.
//!
//! A connection is a pair of pipes that keep order, as TCP does: a packet that cannot pass holds
//! all later ones back until the sender tries again, and gives up after [`GIVE_UP`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use codis_sentinel_proto::hello::Hello;
use codis_sentinel_proto::ids::{CommandId, LinkId};
use codis_sentinel_proto::{Channel, Command, Reply};

use crate::moment::Moment;

/// A sender gives a connection up when nothing passed for so long.
pub const GIVE_UP: Duration = Duration::from_secs(12);
/// The first wait before a lost packet is sent again; it doubles up to [`RETRANSMIT_MAX`].
pub const RETRANSMIT: Duration = Duration::from_millis(200);
/// See [`RETRANSMIT`].
pub const RETRANSMIT_MAX: Duration = Duration::from_millis(1_600);

/// A host by index: sentinels first, then servers.
pub type Host = usize;

/// A connection, never used again once it is gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConnId(pub u64);

/// A direction of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dir {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What travels.
#[derive(Clone, Debug)]
pub enum Packet {
    /// Open.
    Syn,
    /// Opened.
    SynAck,
    /// Nobody there.
    Rst,
    /// Closed by the sender.
    Fin,
    /// A command.
    Command(CommandId, Command),
    /// Its reply.
    Reply(CommandId, Reply),
    /// A message on the pub/sub connection; without a hello it only confirms the subscription.
    PubSub(Option<Hello>),
}

impl Packet {
    /// Whether the raw network may lose, double and reorder it. A reconfiguration is a transaction
    /// on one connection: doubling it later is beyond what any network does to it.
    pub const fn is_loose(&self) -> bool {
        match self {
            Self::Command(_, command) => !matches!(command, Command::Reconfigure { .. }),
            Self::Reply(_, reply) => !matches!(reply, Reply::Reconfigured(_)),
            Self::PubSub(hello) => hello.is_some(),
            Self::Syn | Self::SynAck | Self::Rst | Self::Fin => false,
        }
    }
}

/// The client's end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientEnd {
    /// Waiting to be accepted.
    Opening,
    /// Open.
    Open,
    /// Gone.
    Gone,
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    /// Who asked for it: a sentinel.
    pub client: Host,
    /// Whom it leads to.
    pub server: Host,
    /// The client's name for it.
    pub link: LinkId,
    /// The client's name for it.
    pub channel: Channel,
    /// The client's end.
    pub client_end: ClientEnd,
    /// Whether the server's end exists.
    pub accepted: bool,
    /// Client to server.
    pub up: Pipe,
    /// Server to client.
    pub down: Pipe,
    /// A message on it was lost without TCP noticing.
    pub holed: bool,
}

impl Conn {
    /// A pipe of it.
    pub const fn pipe(&mut self, dir: Dir) -> &mut Pipe {
        match dir {
            Dir::Up => &mut self.up,
            Dir::Down => &mut self.down,
        }
    }

    /// Sender and receiver of a direction.
    pub const fn ends(&self, dir: Dir) -> (Host, Host) {
        match dir {
            Dir::Up => (self.client, self.server),
            Dir::Down => (self.server, self.client),
        }
    }
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Pipe {
    /// What is under way, and when it arrives at the earliest.
    pub packets: VecDeque<(Moment, Packet)>,
    /// Somebody will look at the first packet.
    pub scheduled: bool,
    /// Since when the first packet cannot pass.
    pub stalled: Option<Moment>,
    /// The next wait before another try.
    pub backoff: Duration,
}

/// Reachability and speed.
#[derive(Debug)]
pub struct Net {
    hosts: usize,
    blocked: Vec<u32>,
    partitions: BTreeMap<u64, Vec<(Host, Host)>>,
    next_partition: u64,
    /// Extra delay of each host.
    pub slow: Vec<Duration>,
    /// Hosts without power.
    pub off: Vec<bool>,
    /// Packets lost and sent again, of a thousand, and until when.
    pub loss: (u32, Moment),
    /// Messages lost, doubled or reordered, of a thousand, and until when.
    pub raw: (u32, Moment),
}

impl Net {
    /// A whole network.
    pub fn new(hosts: usize) -> Self {
        Self {
            hosts,
            blocked: vec![0; hosts * hosts],
            partitions: BTreeMap::new(),
            next_partition: 0,
            slow: vec![Duration::ZERO; hosts],
            off: vec![false; hosts],
            loss: (0, Moment::default()),
            raw: (0, Moment::default()),
        }
    }

    /// Whether packets from `from` reach `to`.
    pub fn passes(&self, from: Host, to: Host) -> bool {
        self.blocked[from * self.hosts + to] == 0 && !self.off[from] && !self.off[to]
    }

    /// Blocks the pairs; the name undoes it.
    pub fn cut(&mut self, pairs: Vec<(Host, Host)>) -> u64 {
        for (from, to) in &pairs {
            self.blocked[from * self.hosts + to] += 1;
        }
        self.next_partition += 1;
        self.partitions.insert(self.next_partition, pairs);
        self.next_partition
    }

    /// Undoes one partition.
    pub fn heal(&mut self, partition: u64) {
        for (from, to) in self.partitions.remove(&partition).unwrap_or_default() {
            self.blocked[from * self.hosts + to] -= 1;
        }
    }

    /// Undoes all of them, and every slowness and loss.
    pub fn heal_all(&mut self) {
        self.partitions.clear();
        self.blocked.fill(0);
        self.slow.fill(Duration::ZERO);
        self.loss.0 = 0;
        self.raw.0 = 0;
    }
}
