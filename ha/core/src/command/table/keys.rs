//! What concerns keys of any type.

use crate::command::row::{
    ALL, KEY, KEY_2, Row, SORT, SORT_RO, TWO, parts, read, read_master, refuse, split, write,
};
use crate::command::{Access, Split};

/// Keys of any type.
pub(super) const KEYS: &[Row] = &[
    write("COPY", -3, TWO),
    split("DEL", -2, Access::Write, Split::Del, ALL),
    read("DUMP", 2, KEY),
    split("EXISTS", -2, Access::Read, Split::Exists, ALL),
    write("EXPIRE", -3, KEY),
    write("EXPIREAT", -3, KEY),
    read("EXPIRETIME", 2, KEY),
    refuse("KEYS"),
    refuse("MIGRATE"),
    refuse("MOVE"),
    parts("OBJECT", -2, &OBJECT),
    write("PERSIST", 2, KEY),
    write("PEXPIRE", -3, KEY),
    write("PEXPIREAT", -3, KEY),
    read("PEXPIRETIME", 2, KEY),
    read("PTTL", 2, KEY),
    refuse("RANDOMKEY"),
    refuse("RENAME"),
    refuse("RENAMENX"),
    refuse("RESTORE"),
    refuse("RESTORE-ASKING"),
    refuse("SCAN"),
    write("SORT", -2, SORT),
    read("SORT_RO", -2, SORT_RO),
    split("TOUCH", -2, Access::Write, Split::Touch, ALL),
    read("TTL", 2, KEY),
    read("TYPE", 2, KEY),
    split("UNLINK", -2, Access::Write, Split::Unlink, ALL),
    refuse("WAIT"),
    refuse("WAITAOF"),
];

/// Replicas have their own answers, so a master is asked.
const OBJECT: [Row; 4] = [
    read_master("ENCODING", 3, KEY_2),
    read_master("FREQ", 3, KEY_2),
    read_master("IDLETIME", 3, KEY_2),
    read_master("REFCOUNT", 3, KEY_2),
];
