//! Sets.

use crate::command::row::{ALL, COUNTED, KEY, Row, TWO, read, read_master, write};

/// Sets.
pub(super) const SETS: &[Row] = &[
    write("SADD", -3, KEY),
    read("SCARD", 2, KEY),
    read("SDIFF", -2, ALL),
    write("SDIFFSTORE", -3, ALL),
    read("SINTER", -2, ALL),
    read("SINTERCARD", -3, COUNTED),
    write("SINTERSTORE", -3, ALL),
    read("SISMEMBER", 3, KEY),
    read("SMEMBERS", 2, KEY),
    read("SMISMEMBER", -3, KEY),
    write("SMOVE", 4, TWO),
    write("SPOP", -2, KEY),
    read("SRANDMEMBER", -2, KEY),
    write("SREM", -3, KEY),
    read_master("SSCAN", -3, KEY),
    read("SUNION", -2, ALL),
    write("SUNIONSTORE", -3, ALL),
];
