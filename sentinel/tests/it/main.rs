//! The sentinel as a process, with real Redis servers and stock sentinels on loopback addresses.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod acl;
mod acl_quorum;
mod candidates;
mod clients;
mod command_table;
mod config;
mod debug;
mod differential;
mod disks;
mod durability;
mod failover;
mod forget;
mod handover;
mod hard_scripts;
mod history;
mod metrics;
mod mixed;
mod names;
mod nat;
mod port;
mod refused;
mod restarted;
mod rewriting;
mod scripts;
mod second;
mod simulated;
mod starting;
mod support;
mod tls;
mod unix;
mod writes;
