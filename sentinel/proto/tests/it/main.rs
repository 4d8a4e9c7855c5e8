//! A quorum of machines on a small perfect network.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod epochs;
mod failover;
mod forget;
mod handover;
mod history;
mod links;
mod names;
mod refused;
mod rejoin;
mod restarted;
mod returning;
mod scale;
mod second;
mod server;
mod stalls;
mod storms;
mod timing;
mod votes;
mod world;
mod writes;
