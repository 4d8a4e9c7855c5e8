//! Several dashboards of one product: one leads, the others pass calls on and take over.

mod bed;
mod counted;
mod fencing;
mod takeover;

pub use bed::{LEASE, leads, pair_on_directory, until_leads, who};
