//! One row of the table, and short ways to write one down.

use super::keys::Keys;
use super::{Access, Handling, Local, Special, Split};

/// What is known of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// In upper case.
    pub name: &'static str,
    /// Arguments with the name; negative when more may follow. 0 where it does not matter, because
    /// the command is refused.
    pub arity: i8,
    pub access: Access,
    pub handling: Handling,
    pub keys: Keys,
    /// [`Keys::route`], so that a lookup brings it along.
    pub route: u8,
    /// What Redis calls the kind of command; set when the table is put together.
    pub group: &'static str,
}

/// No key; argument 1 routes it all the same.
pub(super) const NONE: Keys = Keys::None;
/// Argument 1 and no other.
pub(super) const KEY: Keys = Keys::One(1);
/// Argument 2, behind a sub-command.
pub(super) const KEY_2: Keys = Keys::One(2);
/// Arguments 1 and 2.
pub(super) const TWO: Keys = range(1, 2, 1);
/// All arguments.
pub(super) const ALL: Keys = range(1, -1, 1);
/// All arguments but the last.
pub(super) const ALL_BUT_LAST: Keys = range(1, -2, 1);
/// Every other argument, beginning with the first.
pub(super) const PAIRS: Keys = range(1, -1, 2);
/// Every third argument, beginning with the first.
pub(super) const TRIPLES: Keys = range(1, -1, 3);
/// `numkeys key ...`
pub(super) const COUNTED: Keys = counted(0, 1, 1);
/// `numkeys key value ...`
pub(super) const COUNTED_PAIRS: Keys = counted(0, 1, 2);
/// `script numkeys key ...`
pub(super) const SCRIPT: Keys = counted(0, 2, 1);
/// `destination numkeys key ...`
pub(super) const STORE_COUNTED: Keys = counted(1, 2, 1);
/// `... STREAMS key ... id ...`
pub(super) const STREAMS: Keys = Keys::Streams;
/// `key ... [STORE destination]`, with other options that take values.
pub(super) const SORT: Keys = Keys::Stored {
    from: 2,
    words: &["STORE"],
    valued: &[("BY", 1), ("GET", 1), ("LIMIT", 2)],
    patterns: &["BY", "GET"],
};
/// As [`SORT`], without a destination.
pub(super) const SORT_RO: Keys = Keys::Stored {
    from: 2,
    words: &[],
    valued: &[("BY", 1), ("GET", 1), ("LIMIT", 2)],
    patterns: &["BY", "GET"],
};
/// `key longitude latitude radius unit ... [STORE|STOREDIST destination]`
pub(super) const GEORADIUS: Keys = stored_from(6);
/// `key member radius unit ... [STORE|STOREDIST destination]`
pub(super) const GEORADIUSBYMEMBER: Keys = stored_from(5);

const fn stored_from(from: u8) -> Keys {
    Keys::Stored {
        from,
        words: &["STORE", "STOREDIST"],
        valued: &[],
        patterns: &[],
    }
}

const fn range(first: u8, last: i8, step: u8) -> Keys {
    Keys::Range { first, last, step }
}

const fn counted(store: u8, count: u8, step: u8) -> Keys {
    Keys::Counted { store, count, step }
}

const fn row(name: &'static str, arity: i8, access: Access, keys: Keys) -> Row {
    Row {
        name,
        arity,
        access,
        handling: Handling::Forward,
        keys,
        route: keys.route(),
        group: "",
    }
}

/// Forwarded to a master or a replica.
pub(super) const fn read(name: &'static str, arity: i8, keys: Keys) -> Row {
    row(name, arity, Access::Read, keys)
}

/// Forwarded to a master, although nothing is written.
pub(super) const fn read_master(name: &'static str, arity: i8, keys: Keys) -> Row {
    row(name, arity, Access::ReadMaster, keys)
}

/// Forwarded to a master.
pub(super) const fn write(name: &'static str, arity: i8, keys: Keys) -> Row {
    row(name, arity, Access::Write, keys)
}

/// Forwarded unless it asks to wait for data.
pub(super) const fn unblocked(name: &'static str, arity: i8, access: Access) -> Row {
    Row {
        handling: Handling::Unblocked,
        ..row(name, arity, access, STREAMS)
    }
}

/// Answered by the proxy.
pub(super) const fn local(name: &'static str, arity: i8, local: Local) -> Row {
    Row {
        handling: Handling::Local(local),
        ..read(name, arity, NONE)
    }
}

/// Forwarded by a rule of its own.
pub(super) const fn special(
    name: &'static str,
    arity: i8,
    access: Access,
    special: Special,
) -> Row {
    Row {
        handling: Handling::Special(special),
        ..row(name, arity, access, NONE)
    }
}

/// Split over the servers of its keys.
pub(super) const fn split(
    name: &'static str,
    arity: i8,
    access: Access,
    split: Split,
    keys: Keys,
) -> Row {
    Row {
        handling: Handling::Split(split),
        ..row(name, arity, access, keys)
    }
}

/// Decided by the sub-command, argument 1; others than those listed are refused.
pub(super) const fn parts(name: &'static str, arity: i8, parts: &'static [Row]) -> Row {
    Row {
        handling: Handling::Parts(Parts(parts)),
        ..write(name, arity, NONE)
    }
}

/// Refused.
pub(super) const fn refuse(name: &'static str) -> Row {
    Row {
        handling: Handling::Refuse,
        ..write(name, 0, NONE)
    }
}

/// The sub-commands of a command that are not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts(pub(super) &'static [Row]);
