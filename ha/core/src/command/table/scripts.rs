//! Scripts and functions.

use crate::command::row::{Row, SCRIPT, read, read_master, refuse, write};

/// Scripts and functions.
pub(super) const SCRIPTS: &[Row] = &[
    write("EVAL", -3, SCRIPT),
    write("EVALSHA", -3, SCRIPT),
    read_master("EVALSHA_RO", -3, SCRIPT),
    read_master("EVAL_RO", -3, SCRIPT),
    write("FCALL", -3, SCRIPT),
    read("FCALL_RO", -3, SCRIPT),
    refuse("FUNCTION"),
    refuse("SCRIPT"),
];
