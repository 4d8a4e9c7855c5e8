//! The tool run as an operator runs it: on coordinators, on a dashboard that says what the test
//! says, and on addresses where nobody listens.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod board;
mod calls;
mod dumps;
mod legacy;
mod life;
mod records;
#[path = "../../../ha/runtime/tests/it/stores.rs"]
mod stores;
mod tool;
mod usage;
