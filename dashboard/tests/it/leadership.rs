//! Several dashboards of one product: one leads, the others pass calls on and take over.

mod bed;
mod counted;
mod fencing;
mod locks;
mod partition;
mod succession;
mod takeover;

pub use bed::{Boards, leads, pair, pair_on_directory, until_leads, who};
