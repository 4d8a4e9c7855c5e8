//! The pure sentinel: down detection, votes, epochs, failover, candidate choice, hello, events.
//!
//! [`Machine`] is a value. The shell feeds it an [`Input`] with the time of its arrival, drains
//! [`Effect`]s until there are none, and wakes it no later than [`Machine::poll_timeout`]. It owns
//! no socket, no clock and no randomness but a seeded generator, so a simulator can run a whole
//! quorum of them through faults byte for byte the same way twice.

#![forbid(unsafe_code)]
#![warn(clippy::wildcard_enum_match_arm)]

mod candidate;
mod candidates;
mod core;
mod discovery;
mod disk;
mod down;
mod election;
mod failover;
mod forget;
mod handover;
mod history;
pub mod hosts;
mod instance;
mod link;
mod master;
mod operator;
mod opinion;
mod rank;
mod reconf;
mod rejoin;
mod report;
mod resolve;
mod restart;
mod rng;
mod schedule;
mod stall;
mod switch;
mod topology;
mod views;
mod vote;
mod writes;

pub mod effect;
pub mod epochs;
pub mod event;
pub mod hello;
pub mod ids;
pub mod info;
pub mod input;
pub mod machine;
pub mod persist;
pub mod settings;
pub mod timing;
pub mod view;

pub use effect::{Auth, Command, Effect, ReconfigScript};
pub use input::{
    CannotTell, Channel, DisconnectReason, Input, Opinion, PingReply, Reply, WriteProbe,
    WriteRefusal,
};
pub use machine::Machine;
