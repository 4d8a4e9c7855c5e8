//! The proxy against real Redis servers.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use codis_bed::stores;

mod admin;
mod api;
mod cached;
mod clients;
mod commands;
mod connects;
mod crowds;
mod daemon;
mod dashboard;
mod double;
mod failover;
mod fuzz;
mod garbage;
mod getkeys;
mod handshake;
mod harness;
mod hostile;
mod http;
mod info;
mod jodis;
mod lifecycle;
mod limits;
mod loads;
mod locks;
mod logs;
mod metrics;
mod migrating;
mod migrating_failover;
mod model;
mod moving;
mod ordering;
mod plain;
mod process;
mod protocol;
mod replicas;
mod reporters;
mod resp3;
mod routing;
mod sentinels;
mod session;
mod slots;
mod slowlog;
mod sockets;
