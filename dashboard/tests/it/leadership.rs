//! Several dashboards of one product: one leads, the others pass calls on and take over.

mod bed;
mod fencing;
mod takeover;

pub use bed::{leads, until_leads, who};
