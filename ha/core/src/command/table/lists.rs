//! Lists.

use crate::command::row::{COUNTED, KEY, Row, TWO, read, refuse, write};

/// Lists.
pub(super) const LISTS: &[Row] = &[
    refuse("BLMOVE"),
    refuse("BLMPOP"),
    refuse("BLPOP"),
    refuse("BRPOP"),
    refuse("BRPOPLPUSH"),
    read("LINDEX", 3, KEY),
    write("LINSERT", 5, KEY),
    read("LLEN", 2, KEY),
    write("LMOVE", 5, TWO),
    write("LMPOP", -4, COUNTED),
    write("LPOP", -2, KEY),
    read("LPOS", -3, KEY),
    write("LPUSH", -3, KEY),
    write("LPUSHX", -3, KEY),
    read("LRANGE", 4, KEY),
    write("LREM", 4, KEY),
    write("LSET", 4, KEY),
    write("LTRIM", 4, KEY),
    write("RPOP", -2, KEY),
    write("RPOPLPUSH", 3, TWO),
    write("RPUSH", -3, KEY),
    write("RPUSHX", -3, KEY),
];
