//! The pure vocabulary of Codis HA: what every part says and stores, and nothing that acts.

#![forbid(unsafe_code)]
#![warn(clippy::wildcard_enum_match_arm)]

pub mod addr;
pub mod api;
pub mod backoff;
pub mod belief;
pub mod command;
pub mod epoch;
pub mod failover;
#[doc(hidden)]
pub mod fuzzing;
pub mod ha;
pub mod json;
pub mod model;
pub mod paths;
pub mod resp;
pub mod rng;
pub mod slot;
pub mod time;
pub mod topology;
pub mod units;
pub mod xauth;
