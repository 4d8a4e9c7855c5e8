//! Documents: RedisJSON and Valkey JSON.

use crate::command::row::{ALL_BUT_LAST, KEY, KEY_2, Row, TRIPLES, read, write};

/// Documents.
pub(super) const JSON: &[Row] = &[
    write("JSON.ARRAPPEND", -3, KEY),
    read("JSON.ARRINDEX", -4, KEY),
    write("JSON.ARRINSERT", -5, KEY),
    read("JSON.ARRLEN", -2, KEY),
    write("JSON.ARRPOP", -2, KEY),
    write("JSON.ARRTRIM", 5, KEY),
    write("JSON.CLEAR", -2, KEY),
    read("JSON.DEBUG", -2, KEY_2),
    write("JSON.DEL", -2, KEY),
    write("JSON.FORGET", -2, KEY),
    read("JSON.GET", -2, KEY),
    write("JSON.MERGE", 4, KEY),
    read("JSON.MGET", -3, ALL_BUT_LAST),
    write("JSON.MSET", -4, TRIPLES),
    write("JSON.NUMINCRBY", 4, KEY),
    write("JSON.NUMMULTBY", 4, KEY),
    write("JSON.NUMPOWBY", 4, KEY),
    read("JSON.OBJKEYS", -2, KEY),
    read("JSON.OBJLEN", -2, KEY),
    read("JSON.RESP", -2, KEY),
    write("JSON.SET", -4, KEY),
    write("JSON.STRAPPEND", -3, KEY),
    read("JSON.STRLEN", -2, KEY),
    write("JSON.TOGGLE", 3, KEY),
    read("JSON.TYPE", -2, KEY),
];
