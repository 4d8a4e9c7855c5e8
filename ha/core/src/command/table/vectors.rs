//! Vector sets and arrays, the types of Redis 8.

use crate::command::row::{KEY, Row, read, write};

/// Vector sets.
pub(super) const VECTOR_SETS: &[Row] = &[
    write("VADD", -5, KEY),
    read("VCARD", 2, KEY),
    read("VDIM", 2, KEY),
    read("VEMB", -3, KEY),
    read("VGETATTR", 3, KEY),
    read("VINFO", 2, KEY),
    read("VISMEMBER", 3, KEY),
    read("VLINKS", -3, KEY),
    read("VRANDMEMBER", -2, KEY),
    read("VRANGE", -4, KEY),
    write("VREM", 3, KEY),
    write("VSETATTR", 4, KEY),
    read("VSIM", -4, KEY),
];

/// Arrays.
pub(super) const ARRAYS: &[Row] = &[
    read("ARCOUNT", -2, KEY),
    write("ARDEL", -3, KEY),
    write("ARDELRANGE", -4, KEY),
    read("ARGET", -3, KEY),
    read("ARGETRANGE", -4, KEY),
    read("ARGREP", -4, KEY),
    read("ARINFO", -2, KEY),
    write("ARINSERT", -3, KEY),
    read("ARLASTITEMS", -3, KEY),
    read("ARLEN", -2, KEY),
    read("ARMGET", -3, KEY),
    write("ARMSET", -4, KEY),
    read("ARNEXT", -2, KEY),
    read("AROP", -5, KEY),
    write("ARRING", -4, KEY),
    read("ARSCAN", -4, KEY),
    write("ARSEEK", -3, KEY),
    write("ARSET", -4, KEY),
];
