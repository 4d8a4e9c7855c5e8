//! Brings up a cluster of real processes, breaks it, checks what it promised.

pub mod bench;
pub mod checker;
pub mod cluster;
pub mod conf;
pub mod control;
pub mod events;
pub mod figures;
pub mod front;
pub mod layout;
pub mod plans;
pub mod ports;
pub mod preflight;
pub mod process;
pub mod query;
pub mod quorum;
pub mod scenario;
pub mod talk;
mod unsafe_spawn;
pub mod workload;
