//! Strings, and what is kept inside of strings.

use crate::command::row::{
    ALL, COUNTED_PAIRS, KEY, KEY_2, NONE, PAIRS, Row, TWO, read, refuse, split, write,
};
use crate::command::{Access, Split};

/// Strings.
pub(super) const STRINGS: &[Row] = &[
    write("APPEND", 3, KEY),
    write("DECR", 2, KEY),
    write("DECRBY", 3, KEY),
    write("DELEX", -2, KEY),
    write("DELIFEQ", 3, KEY),
    read("DIGEST", 2, KEY),
    read("GET", 2, KEY),
    write("GETDEL", 2, KEY),
    write("GETEX", -2, KEY),
    read("GETRANGE", 4, KEY),
    write("GETSET", 3, KEY),
    write("INCR", 2, KEY),
    write("INCRBY", 3, KEY),
    write("INCRBYFLOAT", 3, KEY),
    write("INCREX", -2, KEY),
    read("LCS", -3, TWO),
    split("MGET", -2, Access::Read, Split::Mget, ALL),
    split("MSET", -3, Access::Write, Split::Mset, PAIRS),
    write("MSETEX", -4, COUNTED_PAIRS),
    refuse("MSETNX"),
    write("PSETEX", 4, KEY),
    write("SET", -3, KEY),
    write("SETEX", 4, KEY),
    write("SETNX", 3, KEY),
    write("SETRANGE", 4, KEY),
    read("STRLEN", 2, KEY),
    read("SUBSTR", 4, KEY),
];

/// Strings as arrays of bits.
pub(super) const BITMAPS: &[Row] = &[
    read("BITCOUNT", -2, KEY),
    write("BITFIELD", -2, KEY),
    read("BITFIELD_RO", -2, KEY),
    refuse("BITOP"),
    read("BITPOS", -3, KEY),
    read("GETBIT", 3, KEY),
    write("SETBIT", 4, KEY),
];

/// Strings as estimates of how many.
pub(super) const HYPERLOGLOGS: &[Row] = &[
    write("PFADD", -2, KEY),
    read("PFCOUNT", -2, ALL),
    write("PFDEBUG", 3, KEY_2),
    write("PFMERGE", -2, ALL),
    read("PFSELFTEST", 1, NONE),
];
