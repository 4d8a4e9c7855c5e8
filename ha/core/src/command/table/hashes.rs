//! Hashes.

use crate::command::row::{KEY, Row, read, read_master, refuse, write};

/// Hashes.
pub(super) const HASHES: &[Row] = &[
    write("HDEL", -3, KEY),
    read("HEXISTS", 3, KEY),
    write("HEXPIRE", -6, KEY),
    write("HEXPIREAT", -6, KEY),
    read("HEXPIRETIME", -5, KEY),
    read("HGET", 3, KEY),
    read("HGETALL", 2, KEY),
    write("HGETDEL", -5, KEY),
    write("HGETEX", -5, KEY),
    refuse("HIMPORT"),
    write("HINCRBY", 4, KEY),
    write("HINCRBYFLOAT", 4, KEY),
    read("HKEYS", 2, KEY),
    read("HLEN", 2, KEY),
    read("HMGET", -3, KEY),
    write("HMSET", -4, KEY),
    write("HPERSIST", -5, KEY),
    write("HPEXPIRE", -6, KEY),
    write("HPEXPIREAT", -6, KEY),
    read("HPEXPIRETIME", -5, KEY),
    read("HPTTL", -5, KEY),
    read("HRANDFIELD", -2, KEY),
    read_master("HSCAN", -3, KEY),
    write("HSET", -4, KEY),
    write("HSETEX", -6, KEY),
    write("HSETNX", 4, KEY),
    read("HSTRLEN", 3, KEY),
    read("HTTL", -5, KEY),
    read("HVALS", 2, KEY),
];
