//! What the integration tests of several crates share: real processes that end with the test, real
//! coordinators, ports of their own, and clients that are small enough to see what is on the wire.
//!
//! Only tests depend on it, so it stops where they would: at the first thing that does not work.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "it is part of tests: they stop where it stops, and read it rather than its pages"
)]

pub mod http;
pub mod patience;
pub mod process;
pub mod redis;
pub mod stores;
pub mod wait;
