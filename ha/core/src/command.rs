//! The command table: what a proxy does with each command, and which arguments are keys.
//!
//! A name is looked up without regard to case. One that is not in the table is no error: it is
//! taken for a write to the key in argument 1 and forwarded, and the server judges it. Refused is
//! what would break a connection that many sessions share (commands that block, subscribe, or
//! change the state of a connection), what concerns a whole server, and what belongs to the
//! migration of slots.
//!
//! A request costs one lookup and, for most commands, nothing else: only a command that may have
//! several keys, or that its sub-command or options decide, is looked at further.

mod about;
mod index;
mod keys;
mod name;
mod row;
mod table;

use crate::slot::SlotId;

pub use about::describe;
pub use keys::{Args, Keys, Positions};
pub use name::{BadName, NAME_LEN_MAX, Name};
pub use row::Parts;
use row::Row;
use table::TABLE;

/// How many names the table has. [`Command::index`] is below this.
pub const COUNT: usize = table::LEN;

/// Which server of a group may run a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The master or a replica.
    Read,
    /// The master, although nothing is written: replicas may answer differently.
    ReadMaster,
    /// The master.
    Write,
}

/// What a proxy does with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// Sends it as it is to the server that owns the key.
    Forward,
    /// Answers it.
    Local(Local),
    /// Sends it to a server that is not chosen by a key.
    Special(Special),
    /// Sends one part for each server and joins the replies.
    Split(Split),
    /// What its sub-command says: see [`Command::resolve`].
    Parts(Parts),
    /// Sends it unless it waits for data: see [`Command::resolve`].
    Unblocked,
    /// Refuses it, before authentication.
    Refuse,
}

/// Commands that a proxy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// `AUTH [user] password`.
    Auth,
    /// `CLIENT` with a sub-command.
    Client(Client),
    /// `COMMAND [sub-command ...]`.
    Command,
    /// `ECHO message`.
    Echo,
    /// `HELLO [version [AUTH user password] [SETNAME name]]`.
    Hello,
    /// `LOLWUT [...]`.
    Lolwut,
    /// `QUIT`.
    Quit,
    /// `RESET`.
    Reset,
    /// `SELECT database`.
    Select,
    /// `SLOTSMAPPING [slot]`.
    SlotsMapping,
    /// `SLOWLOG` with a sub-command, about the proxy itself.
    SlowLog,
    /// `TIME`.
    Time,
}

/// Sub-commands of `CLIENT` that a proxy answers; the others are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// `CAPA capability ...`: what the client could do if it were told to.
    Capa,
    /// `GETNAME`.
    GetName,
    /// `ID`.
    Id,
    /// `INFO`: the line of this connection.
    Info,
    /// `LIST`: the line of this connection, since others are none of its business.
    List,
    /// `NO-EVICT ON|OFF`.
    NoEvict,
    /// `NO-TOUCH ON|OFF`.
    NoTouch,
    /// `REPLY ON|OFF|SKIP`.
    Reply,
    /// `SETINFO LIB-NAME|LIB-VER value`.
    SetInfo,
    /// `SETNAME name`.
    SetName,
}

/// Commands with a route of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// `PING [address [message]]`.
    Ping,
    /// `INFO [address [section]]`.
    Info,
    /// `SLOTSINFO address`.
    SlotsInfo,
    /// `SLOTSSCAN slot cursor ...`.
    SlotsScan,
}

/// Commands of many keys that may live in different groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Values in the order of the keys.
    Mget,
    /// Key and value in turn; answers `OK`.
    Mset,
    /// The integer replies are added up.
    Del,
    /// As [`Self::Del`].
    Unlink,
    /// As [`Self::Del`]; a key that is named twice counts twice.
    Exists,
    /// As [`Self::Del`].
    Touch,
}

/// A command that no client may run. The text goes to the client behind a `-`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ERR handle request, command '{0}' is not allowed")]
pub struct NotAllowed(pub String);

/// Keys of one request are in several slots, which may be on several servers. The text is that of
/// Redis Cluster and goes to the client behind a `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("CROSSSLOT Keys in request don't hash to the same slot")]
pub struct CrossSlot;

/// What the table says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    row: &'static Row,
    index: u16,
}

/// The index of a command that the table does not have.
const UNLISTED: u16 = u16::MAX;

impl Command {
    /// Which servers may run it.
    pub const fn access(&self) -> Access {
        self.row.access
    }

    /// What to do with it.
    pub const fn handling(&self) -> Handling {
        self.row.handling
    }

    /// Where its keys are.
    pub const fn keys(&self) -> Keys {
        self.row.keys
    }

    /// Its place in the table, for counters; `None` when the table does not have it.
    pub fn index(&self) -> Option<usize> {
        (self.index != UNLISTED).then_some(usize::from(self.index))
    }

    /// Whether so many arguments, the name included, are what the command takes.
    pub fn takes(&self, args: usize) -> bool {
        let arity = usize::from(self.row.arity.unsigned_abs());
        if self.row.arity < 0 {
            args >= arity
        } else {
            args == arity
        }
    }

    /// The sub-commands that clients may send, for a command that has any.
    pub fn parts(&self) -> impl Iterator<Item = Self> {
        let parts: &[Row] = match self.row.handling {
            Handling::Parts(Parts(parts)) => parts,
            Handling::Forward
            | Handling::Local(_)
            | Handling::Special(_)
            | Handling::Split(_)
            | Handling::Unblocked
            | Handling::Refuse => &[],
        };
        let index = self.index;
        parts.iter().map(move |row| Self { row, index })
    }

    /// What this very request is, if clients may send it. Looks at the arguments only where the
    /// name alone does not tell.
    ///
    /// # Errors
    /// The command, its sub-command or its blocking form is refused.
    #[inline]
    pub fn resolve<A: Args + ?Sized>(self, args: &A) -> Result<Self, NotAllowed> {
        match self.row.handling {
            Handling::Forward | Handling::Local(_) | Handling::Special(_) | Handling::Split(_) => {
                Ok(self)
            }
            Handling::Parts(_) | Handling::Unblocked | Handling::Refuse => self.decide(args),
        }
    }

    #[cold]
    fn decide<A: Args + ?Sized>(self, args: &A) -> Result<Self, NotAllowed> {
        let name = Name::shown(args.get(0));
        match self.row.handling {
            Handling::Parts(Parts(parts)) => {
                let part = |row: &&Row| args.get(1).eq_ignore_ascii_case(row.name.as_bytes());
                let row = parts.iter().find(part).ok_or(NotAllowed(name))?;
                Ok(Self { row, ..self })
            }
            Handling::Unblocked if !keys::scan_streams(args).blocks => Ok(self),
            Handling::Unblocked => Err(NotAllowed(format!("{name} BLOCK"))),
            Handling::Forward
            | Handling::Local(_)
            | Handling::Special(_)
            | Handling::Split(_)
            | Handling::Refuse => Err(NotAllowed(name)),
        }
    }

    /// The slot that a request is routed by: that of its first key, or of argument 1 for a command
    /// without keys. A request that is too short is routed as if that argument were empty.
    #[inline]
    pub fn slot<A: Args + ?Sized>(&self, args: &A) -> SlotId {
        let index = match self.row.route {
            0 => self.row.keys.route_of(args),
            route => usize::from(route),
        };
        SlotId::of_key(args.get(index))
    }

    /// As [`Self::slot`], when all keys of the request are in one slot.
    ///
    /// # Errors
    /// They are not.
    #[inline]
    pub fn only_slot<A: Args + ?Sized>(&self, args: &A) -> Result<SlotId, CrossSlot> {
        if self.row.keys.may_be_several() {
            self.check_slots(args)?;
        }
        Ok(self.slot(args))
    }

    fn check_slots<A: Args + ?Sized>(&self, args: &A) -> Result<(), CrossSlot> {
        let Some(positions) = self.row.keys.positions(args) else {
            return Ok(());
        };
        let mut slots = positions.map(|key| SlotId::of_key(args.get(key)));
        match slots.next() {
            Some(first) if slots.any(|slot| slot != first) => Err(CrossSlot),
            Some(first) if self.row.keys.has_stray_patterns(args, first) => Err(CrossSlot),
            Some(_) | None => Ok(()),
        }
    }
}

/// Looks a command up by its name.
///
/// # Errors
/// The name is empty or longer than [`NAME_LEN_MAX`].
#[inline]
pub fn lookup(name: &[u8]) -> Result<Command, BadName> {
    if name.is_empty() || name.len() > NAME_LEN_MAX {
        return Err(BadName);
    }
    Ok(match index::find(name) {
        Some((index, row)) => Command { row, index },
        None => unlisted(name),
    })
}

#[cold]
fn unlisted(name: &[u8]) -> Command {
    let internal = name
        .get(..INTERNAL_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(INTERNAL_PREFIX));
    let row = if internal { &INTERNAL } else { &UNKNOWN };
    let index = UNLISTED;
    Command { row, index }
}

/// The names of the table in order; [`Command::index`] is the place in here.
pub fn names() -> impl ExactSizeIterator<Item = &'static str> {
    TABLE.iter().map(|row| row.name)
}

/// Any name that the table does not have.
static UNKNOWN: Row = row::write("", -1, row::KEY);

/// A name that starts as those of slot migration do, from a newer server than the table knows.
static INTERNAL: Row = row::refuse("");
const INTERNAL_PREFIX: &[u8] = b"SLOTS";

#[cfg(test)]
mod tests;
