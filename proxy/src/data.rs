//! The data path: what happens between a client's bytes and a backend's bytes.
//!
//! Each worker is a thread with a runtime, a listener, sessions and backend connections of its own
//! ([`worker`]). A session ([`session`]) scans the requests of one read and hands each to the
//! connection ([`conn`]) that its slot's route names; a connection writes what has gathered in one
//! go and hands each reply to the place in the session's ring ([`ring`]) that waits for it. No
//! task, lock or allocation is spent on a single request.

pub mod apply;
pub mod buffer;
pub mod client;
pub mod commands;
pub mod conn;
pub mod counters;
pub mod dial;
pub mod dispatch;
pub mod drained;
pub mod drive;
pub mod fence;
pub mod figures;
pub mod handshake;
mod inbox;
pub mod io;
pub mod lane;
pub mod latency;
pub mod link;
pub mod listen;
pub mod local;
pub mod loss;
pub mod mapping;
pub mod marks;
mod memory;
pub mod migrate;
pub mod outgoing;
mod packets;
pub mod parking;
pub mod poller;
pub mod raw;
pub mod refused;
pub mod reply;
pub mod request;
pub mod ring;
pub mod rule;
pub mod session;
pub mod slow;
pub mod slowlog;
pub mod socket;
pub mod spare;
pub mod split;
pub mod stream;
pub mod sweep;
pub mod unsafe_io;
pub mod worker;
