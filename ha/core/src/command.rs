//! The command table: what a proxy does with each command, and which argument is the key.
//!
//! A name is looked up without regard to case. One that is not in the table is no error: it is
//! taken for a write to the key in argument 1 and forwarded, and the server judges it. Refused is
//! what would break a connection that many sessions share (commands that block, subscribe, or
//! change the state of a connection), what concerns a whole server, and what belongs to the
//! migration of slots.

mod index;
mod table;

use std::fmt;

use table::TABLE;

/// Bytes of the longest name that is looked up.
pub const NAME_LEN_MAX: usize = 64;

/// How many names the table has. [`Command::index`] is below this.
pub const COUNT: usize = TABLE.len();

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
    /// Sends one part for each key and joins the replies.
    Split(Split),
    /// Refuses it, before authentication.
    Refuse,
}

/// Commands that a proxy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// `AUTH password`.
    Auth,
    /// `QUIT`.
    Quit,
    /// `SELECT database`.
    Select,
    /// `SLOTSMAPPING [slot]`.
    SlotsMapping,
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

/// A name without a length that the table could hold. The text goes to the client behind a `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ERR handle request, bad command length, too short or too long")]
pub struct BadName;

/// A command that no client may run. The text goes to the client behind a `-`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ERR handle request, command '{0}' is not allowed")]
pub struct NotAllowed(pub String);

/// What the table says of a name, with the name in upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    access: Access,
    handling: Handling,
    key: u8,
    index: Option<u16>,
    name: Name,
}

/// An upper-case name of 1..=64 bytes, without an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; NAME_LEN_MAX],
    len: u8,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
struct Row {
    name: &'static str,
    access: Access,
    handling: Handling,
    key: u8,
}

impl Command {
    /// Which servers may run it.
    pub const fn access(&self) -> Access {
        self.access
    }

    /// What to do with it.
    pub const fn handling(&self) -> Handling {
        self.handling
    }

    /// Which argument is the key that routes it; the name is argument 0. A request that is shorter
    /// routes as if the key were empty.
    pub const fn key(&self) -> usize {
        self.key as usize
    }

    /// Its place in the table, for counters; `None` when the table does not have it.
    pub fn index(&self) -> Option<usize> {
        self.index.map(usize::from)
    }

    /// The name, ASCII letters in upper case.
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// Tells what a client is told who may not run it.
    ///
    /// # Errors
    /// The command is refused.
    pub fn check_allowed(&self) -> Result<(), NotAllowed> {
        match self.handling {
            Handling::Refuse => Err(NotAllowed(self.name.to_string())),
            Handling::Forward | Handling::Local(_) | Handling::Special(_) | Handling::Split(_) => {
                Ok(())
            }
        }
    }
}

impl Name {
    fn new(name: &[u8]) -> Result<Self, BadName> {
        if name.is_empty() || name.len() > NAME_LEN_MAX {
            return Err(BadName);
        }
        let mut bytes = [0; NAME_LEN_MAX];
        bytes[..name.len()].copy_from_slice(name);
        bytes.make_ascii_uppercase();
        let len = name.len() as u8;
        Ok(Self { bytes, len })
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for Name {
    /// Shows bytes that are not printable ASCII as escapes, so that the text fits into one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.as_bytes() {
            match byte {
                b' '..=b'~' => write!(f, "{}", char::from(*byte))?,
                other => write!(f, "{}", other.escape_ascii())?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Looks a command up by its name.
///
/// # Errors
/// The name is empty or longer than [`NAME_LEN_MAX`].
pub fn lookup(name: &[u8]) -> Result<Command, BadName> {
    let name = Name::new(name)?;
    let (row, index) = match index::find(&name.bytes, usize::from(name.len)) {
        Some((index, row)) => (row, Some(index)),
        None if name.as_bytes().starts_with(b"SLOTS") => (&INTERNAL, None),
        None => (&UNKNOWN, None),
    };
    Ok(Command {
        access: row.access,
        handling: row.handling,
        key: row.key,
        index,
        name,
    })
}

/// The names of the table in order; [`Command::index`] is the place in here.
pub fn names() -> impl ExactSizeIterator<Item = &'static str> {
    TABLE.iter().map(|row| row.name)
}

/// Any name that the table does not have.
static UNKNOWN: Row = table::write("");

/// A name that starts as those of slot migration do, from a newer server than the table knows.
static INTERNAL: Row = table::refuse("");

#[cfg(test)]
mod tests;
