//! What concerns a server as a whole.

use crate::command::row::{KEY_2, NONE, Row, local, parts, read, read_master, refuse, special};
use crate::command::{Access, Local, Special};

/// The server as a whole.
pub(super) const SERVER: &[Row] = &[
    refuse("ACL"),
    refuse("ASKING"),
    refuse("BGREWRITEAOF"),
    refuse("BGSAVE"),
    refuse("CLUSTER"),
    refuse("CLUSTERSCAN"),
    local("COMMAND", -1, Local::Command),
    refuse("COMMANDLOG"),
    refuse("CONFIG"),
    refuse("DBSIZE"),
    refuse("DEBUG"),
    refuse("FAILOVER"),
    refuse("FLUSHALL"),
    refuse("FLUSHDB"),
    refuse("HOST:"),
    refuse("HOTKEYS"),
    special("INFO", -1, Access::Read, Special::Info),
    refuse("LASTSAVE"),
    refuse("LATENCY"),
    local("LOLWUT", -1, Local::Lolwut),
    parts("MEMORY", -2, &MEMORY),
    refuse("MODULE"),
    refuse("MONITOR"),
    refuse("POST"),
    refuse("PSYNC"),
    refuse("READONLY"),
    refuse("READWRITE"),
    refuse("REPLCONF"),
    refuse("REPLICAOF"),
    read("ROLE", 1, NONE),
    refuse("SAVE"),
    refuse("SHUTDOWN"),
    refuse("SLAVEOF"),
    local("SLOWLOG", -2, Local::SlowLog),
    refuse("SWAPDB"),
    refuse("SYNC"),
    local("TIME", 1, Local::Time),
    refuse("TRIMSLOTS"),
];

const MEMORY: [Row; 1] = [read_master("USAGE", -3, KEY_2)];
