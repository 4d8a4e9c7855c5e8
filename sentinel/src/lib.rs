//! Drop-in for redis-sentinel that pushes each new topology the moment it exists.
//!
//! All decisions are made by the pure machine of `codis-sentinel-proto`. This crate gives it a
//! world: configuration ([`conf`]), durable state ([`state`]), connections ([`links`]), a command
//! port ([`port`]) with its users ([`acl`]), subscribers ([`pubsub`]), scripts ([`scripts`]),
//! encryption ([`tls`]) and a log ([`log`]). One task, the event loop in [`node`], owns the machine
//! and carries out its orders.

pub mod acl;
pub mod args;
pub mod conf;
pub mod glob;
pub mod history;
pub mod infos;
pub mod links;
pub mod log;
pub mod metrics;
pub mod node;
pub mod port;
pub mod process;
pub mod pubsub;
pub mod random;
pub mod resolver;
pub mod scripts;
pub mod simulate;
pub mod start;
pub mod state;
pub mod supervisor;
pub mod tls;
pub mod wall;
