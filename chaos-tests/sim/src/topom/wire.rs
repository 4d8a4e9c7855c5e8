//! What the processes say to each other.

use std::time::Duration;

use codis_core::api::Slot;
use codis_core::ha::Term;
use codis_topom::Change;

/// The record of the leader. Its bytes are never the same twice, so a board and its life name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TermRecord {
    /// The term.
    pub term: Term,
    /// Whose it is.
    pub board: usize,
    /// Which life of that one.
    pub life: u64,
}

/// One write of a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// A record is written or deleted.
    Record(Box<Change>),
    /// A whole edit is put on record, before it is carried out commit by commit.
    Edit(Vec<Change>),
    /// It is carried out.
    ForgetEdit,
}

/// The records that are read together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    /// `slots/`.
    Slots,
    /// `group/`.
    Groups,
    /// `proxy/`.
    Proxies,
    /// `ha/`.
    Ha,
}

impl Section {
    /// In the order in which a dashboard reads them.
    pub const ALL: [Self; 4] = [Self::Slots, Self::Groups, Self::Proxies, Self::Ha];
}

/// What the store is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreCall {
    /// Take the lock.
    Lock {
        /// By which lease.
        session: u64,
        /// How long it lasts.
        span: Duration,
    },
    /// Renew the lease of the lock.
    Renew {
        /// Which.
        session: u64,
    },
    /// Let go of the lock.
    Unlock {
        /// By which lease.
        session: u64,
    },
    /// Read the record of the leader.
    ReadTerm,
    /// Change it.
    WriteTerm {
        /// If it still is this.
        expected: Option<TermRecord>,
        /// To this.
        to: TermRecord,
    },
    /// Read the edit that may be half carried out.
    ReadEdit,
    /// Read records.
    Read(Section),
    /// Write them, all or none.
    Commit {
        /// If this leads.
        guard: TermRecord,
        /// What.
        writes: Vec<Write>,
    },
}

/// What it answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreAnswer {
    /// It is done.
    Done,
    /// Another one holds the lock.
    Held,
    /// The lease is over.
    Gone,
    /// The record of the leader.
    Term(Option<TermRecord>),
    /// The edit under way.
    Edit(Option<Vec<Change>>),
    /// Records.
    Records(Vec<Change>),
    /// The record of the leader is another one.
    Changed,
}

/// What a proxy is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProxyCall {
    /// Its figures.
    Stats,
    /// Whether its kernel accepts a connection.
    Connect,
    /// Anything, on a connection of its own that stays open.
    Witness,
    /// Its slots, to be compared.
    Digest,
    /// Its slots.
    Slots,
    /// To hold these.
    Fill {
        /// Which run of a dashboard numbers it.
        run: u64,
        /// The number.
        fill: u64,
        /// The forms.
        slots: Vec<Slot>,
    },
    /// To serve on after so many stalls.
    Lift {
        /// How many.
        stalls: u64,
    },
    /// To take clients.
    Start,
}

/// What it answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProxyAnswer {
    /// It is done.
    Done,
    /// Its figures.
    Stats(Figures),
    /// Its slots.
    Slots(Vec<Slot>),
    /// It knows no digests.
    Unknown,
    /// It was told of this higher term.
    Stale(Term),
    /// It will not, for this reason.
    Refused(&'static str),
}

/// What a proxy says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Figures {
    /// It takes clients.
    pub online: bool,
    /// It fences its stalls.
    pub stall_fence: bool,
    /// How often it stood still.
    pub stalls: u64,
    /// Which life this is.
    pub life: u64,
}

/// A server: its group, and which of the group's it was at first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Node {
    /// The group.
    pub group: u32,
    /// Counted from 1.
    pub number: u32,
}

impl Node {
    /// Its address.
    pub fn addr(self) -> String {
        format!("g{}:{}", self.group, self.number)
    }

    /// The server of an address.
    pub fn of(addr: &str) -> Option<Self> {
        let (group, number) = addr.strip_prefix('g')?.split_once(':')?;
        let (group, number) = (group.parse().ok()?, number.parse().ok()?);
        Some(Self { group, number })
    }
}

/// What a server is asked by a board.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerCall {
    /// Send some keys of a slot to the master of the other group.
    Migrate {
        /// The slot.
        slot: u16,
        /// To whom.
        target: Node,
    },
    /// What it is.
    Info,
    /// Follow that server, or nobody.
    Follow(Option<Node>),
    /// Answer, after all that came before.
    Ping,
}

/// What it answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerAnswer {
    /// It is alive.
    Pong,
    /// So many keys are left.
    Left(u64),
    /// It did what it was told.
    Done,
    /// What it is.
    Sight(Sight),
    /// It could not reach the other one, or one of the two is a replica.
    Failed,
}

/// What a server says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sight {
    /// Whom it follows.
    pub master: Option<Node>,
    /// Whether the link to its master is up.
    pub linked: bool,
    /// How many changes of its data it has.
    pub offset: u64,
}

/// A call of a board.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// To the store.
    Store(StoreCall),
    /// To a proxy.
    Proxy {
        /// Which.
        proxy: usize,
        /// In the header.
        term: Term,
        /// What.
        call: ProxyCall,
    },
    /// To a server.
    Server {
        /// Which.
        to: Node,
        /// What.
        call: ServerCall,
    },
}

/// What came of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Of the store.
    Store(StoreAnswer),
    /// Of a proxy.
    Proxy(ProxyAnswer),
    /// Of a server.
    Server(ServerAnswer),
    /// Nobody listens.
    Refused,
    /// The connection broke, or the time is over: it may have been done or not.
    Nothing,
}

/// A call that leaves a board.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask {
    /// To be handed back.
    pub call: u64,
    /// How long the board waits.
    pub limit: Duration,
    /// What.
    pub body: Body,
}
