//! Dashboards, their store, proxies and servers: the machines of `codis_topom` together.
//!
//! Two or three dashboards share a store that loses acknowledgements and lets leases run out by its
//! own clock. The one that leads moves slots from group to group, as operators wish and take back,
//! while clients write and read through proxies that hang, die, are cut off or lie. What must hold
//! after every step, and what once the faults have stopped, is in [`check`].
//!
//! The machines that decide are the product's: the way to the lead, the moves, the rows of the
//! proxies, the forms, the edits. `board` stands for the shell around them and makes the same calls
//! in the same order; `proxy` knows of a proxy what docs/design/0007 says. Where a design note
//! leaves something open, the keys that it may cost are not judged, and counted as `tainted`.
//!
//! What is not modelled: groups of several servers and their promotion, sentinels, databases, and
//! commands that a network delivers after whoever sent them has given up (a server that was stopped
//! does find such commands).

mod board;
pub mod check;
pub mod outcome;
mod plan;
pub mod profile;
mod proxy;
pub mod sabotage;
mod store;
mod wire;
mod world;
