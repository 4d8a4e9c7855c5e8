//! The proxy against real Redis servers.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod admin;
mod dashboard;
mod double;
mod failover;
mod harness;
mod hostile;
mod loads;
mod model;
mod migrating;
mod process;
mod protocol;
mod routing;
mod sentinels;
mod session;
mod slots;
mod slowlog;
