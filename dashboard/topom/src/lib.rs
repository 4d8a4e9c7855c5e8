//! Decides everything that a dashboard decides, as plain values.
//!
//! The problem: the original dashboard mixes rules with network calls under one lock, so a slow
//! peer stops every decision. Here the rules are functions and small machines over one value, the
//! [`Cluster`]: an edit is checked against it and comes back as record [`Change`]s; a machine (a
//! promotion, the queue of sync orders, the row of a proxy) takes events and gives effects. The
//! shell stores, calls and waits; nothing in here does.
//!
//! Invariants: a decision is an effect to store it before it is an effect to act on it; the epoch
//! held for a group never falls; one proxy's row knows nothing of another's.

#![forbid(unsafe_code)]
#![warn(clippy::wildcard_enum_match_arm)]

pub mod adopt;
pub mod edit;
pub mod forget;
pub mod form;
pub mod forms;
pub mod handover;
pub mod inquiry;
pub mod leader;
pub mod mover;
pub mod promote;
pub mod pulse;
pub mod rebalance;
pub mod row;
pub mod sync;
pub mod watchlist;

mod change;
mod cluster;
mod refusal;

pub use change::Change;
pub use cluster::{Cluster, Records};
pub use refusal::Refusal;
