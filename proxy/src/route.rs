//! Which backend a slot's requests go to, as a value: no socket, no clock.
//!
//! [`Book`] is what the control side holds and changes: slots as the dashboard filled them, and
//! for each group the pair of epoch and master. [`Table`] is the immutable picture of it that the
//! workers route by.

mod book;
mod set;
mod table;

pub use book::{Book, Pair, Problem};
pub use set::{SlotSet, WORDS as SLOT_WORDS};
pub use table::{BackendId, Hold, Method, Migration, Route, Table};
