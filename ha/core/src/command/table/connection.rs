//! What belongs to a connection.

use crate::command::row::{NONE, Row, local, parts, read, refuse, special};
use crate::command::{Access, Client, Local, Special};

/// The connection of a client, which ends at the proxy.
pub(super) const CONNECTION: &[Row] = &[
    local("AUTH", -2, Local::Auth),
    parts("CLIENT", -2, &CLIENT),
    local("ECHO", 2, Local::Echo),
    local("HELLO", -1, Local::Hello),
    special("PING", -1, Access::Read, Special::Ping),
    local("QUIT", -1, Local::Quit),
    local("RESET", 1, Local::Reset),
    local("SELECT", 2, Local::Select),
];

/// Messages. They belong to a connection, and those of backends are shared.
pub(super) const PUBSUB: &[Row] = &[
    refuse("PSUBSCRIBE"),
    refuse("PUBLISH"),
    read("PUBSUB", -2, NONE),
    refuse("PUNSUBSCRIBE"),
    refuse("SPUBLISH"),
    refuse("SSUBSCRIBE"),
    refuse("SUBSCRIBE"),
    refuse("SUNSUBSCRIBE"),
    refuse("UNSUBSCRIBE"),
];

/// Transactions. They belong to a connection, and those of backends are shared.
pub(super) const TRANSACTIONS: &[Row] = &[
    refuse("DISCARD"),
    refuse("EXEC"),
    refuse("MULTI"),
    refuse("UNWATCH"),
    refuse("WATCH"),
];

const CLIENT: [Row; 10] = [
    local("CAPA", -3, Local::Client(Client::Capa)),
    local("GETNAME", 2, Local::Client(Client::GetName)),
    local("ID", 2, Local::Client(Client::Id)),
    local("INFO", 2, Local::Client(Client::Info)),
    local("LIST", -2, Local::Client(Client::List)),
    local("NO-EVICT", 3, Local::Client(Client::NoEvict)),
    local("NO-TOUCH", 3, Local::Client(Client::NoTouch)),
    local("REPLY", 3, Local::Client(Client::Reply)),
    local("SETINFO", 4, Local::Client(Client::SetInfo)),
    local("SETNAME", 3, Local::Client(Client::SetName)),
];
