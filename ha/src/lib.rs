//! codis-ha: puts a replica in the place of a dead master, for products without sentinels.
//!
//! The problem: a product without sentinels has nobody to notice a dead master. The original
//! codis-ha acts on one look of one observer: it throws out proxies that paused for a second,
//! deletes old masters from their groups and shuts them down. The idea: [`judge`] decides on
//! several samples in a row and on witnesses that do not depend on each other (the dashboard's
//! polls, a direct PING, what the replicas say of their link), and every doubt means no act.
//!
//! Invariants: nothing is ever removed or shut down; nothing is done for a product with sentinels,
//! which decide for themselves; a server whose data is not known to be of its group is never
//! overwritten; at most one act an interval; a dashboard that is away is waited for.

#![forbid(unsafe_code)]

pub mod act;
pub mod cli;
pub mod judge;
pub mod watch;
pub mod witness;
