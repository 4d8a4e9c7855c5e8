//! Streams.

use crate::command::Access;
use crate::command::row::{KEY, KEY_2, Row, read, unblocked, write};

/// Streams.
pub(super) const STREAMS: &[Row] = &[
    write("XACK", -4, KEY),
    write("XACKDEL", -6, KEY),
    write("XADD", -5, KEY),
    write("XAUTOCLAIM", -6, KEY),
    write("XCFGSET", -2, KEY),
    write("XCLAIM", -6, KEY),
    write("XDEL", -3, KEY),
    write("XDELEX", -5, KEY),
    write("XGROUP", -2, KEY_2),
    read("XINFO", -2, KEY_2),
    read("XLEN", 2, KEY),
    write("XNACK", -6, KEY),
    read("XPENDING", -3, KEY),
    read("XRANGE", -4, KEY),
    unblocked("XREAD", -4, Access::Read),
    unblocked("XREADGROUP", -7, Access::Write),
    read("XREVRANGE", -4, KEY),
    write("XSETID", -3, KEY),
    write("XTRIM", -4, KEY),
];
