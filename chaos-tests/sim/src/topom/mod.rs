//! Dashboards, their store, proxies and servers: the machines of `codis_topom` together.
//!
//! Two or three dashboards share a store that loses acknowledgements and lets leases run out by its
//! own clock. The one that leads moves slots from group to group and changes the masters of groups,
//! as operators wish and take back, while clients write and read through proxies that hang, die,
//! are cut off or lie. What must hold after every step, and what once the faults have stopped, is
//! in [`check`].
//!
//! The machines that decide are the product's: the way to the lead, the moves, the promotions, the
//! queue of orders to follow, the rows and pulses of the proxies, the forms, the edits. `board`
//! stands for the shell around them and makes the same calls
//! in the same order; `proxy` knows of a proxy what docs/design/0007 says. Where a design note
//! leaves something open, the keys that it may cost are not judged, and counted as `tainted`.
//!
//! Servers know no term, so an order of a board that does not lead any more is carried out once
//! (docs/design/0005): it is delivered, what it touches shows nothing from then on, and all else
//! must hold. So it is with a master that is replaced because it does not answer: what it had not
//! replicated is lost.
//!
//! What is not modelled: sentinels and promotions through them, servers that restart, databases.

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
