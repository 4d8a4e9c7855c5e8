//! The codis-dashboard daemon: one authority for slots, groups and proxies.
//!
//! The problem: whoever owns the cluster's records must talk to many peers, any of which may hang,
//! and must never let one of them stop the rest. The idea: one task owns the records ([`state`]);
//! it decides with the pure rules of `codis_topom`, stores, and publishes a snapshot. Everybody
//! else reads snapshots and asks for edits. Each proxy has a task that closes the gap between what
//! it should and what it does hold ([`push`]); each Redis server, proxy and sentinel has one that
//! watches it ([`poll`], [`sentinels`]).
//!
//! Of several dashboards one leads ([`leader`]), under a term that every write and every call to a
//! proxy carries ([`lease`], [`store`]); the others pass calls on to it ([`standby`]).
//!
//! Invariants: no lock is held over a network call; a change is stored before anybody acts on it;
//! the epoch of a group never falls; nothing of a term outlives it; no API call waits longer than
//! its stated limit for a peer.

#![forbid(unsafe_code)]

pub mod api;
pub mod audit;
pub mod cli;
pub mod config;
pub mod core;
pub mod fe;
pub mod groups;
pub mod keyed;
pub mod keyspace;
pub mod leader;
pub mod lease;
pub mod lock;
pub mod metrics;
pub mod mover;
pub mod orders;
pub mod poll;
pub mod promote;
pub mod proxies;
pub mod push;
pub mod rebalance;
pub mod run;
pub mod sentinels;
pub mod standby;
pub mod state;
pub mod stats;
pub mod store;
pub mod sync;
