//! A quorum of machines on a small perfect network.

mod epochs;
mod failover;
mod returning;
mod server;
mod stalls;
mod storms;
mod votes;
mod world;
