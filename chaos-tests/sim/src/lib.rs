//! Seeded simulator of the pure machines together.
//!
//! Each run is a small world in virtual time: sentinels (the real
//! [`Machine`](codis_sentinel_proto::Machine)s), Redis servers that behave as far as a sentinel can
//! see, and a network between them. Faults strike it for a while; then they stop, and it must come
//! to rest. Safety is checked after every step, liveness at the end.
//!
//! A run is a function of its seed and its profile. Every line of its event log goes into a digest,
//! so two runs are the same byte for byte exactly when their digests are.

#![forbid(unsafe_code)]

mod brain;
pub mod check;
mod disk;
pub mod family;
mod fault;
pub mod moment;
mod net;
mod node;
pub mod outcome;
mod plan;
pub mod profile;
mod queue;
mod rng;
pub mod runner;
mod show;
mod stock;
pub mod topom;
mod trace;
mod view;
mod weights;
pub mod world;
