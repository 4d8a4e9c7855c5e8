//! What other programs rely on: stored bytes, and a codec that no bytes can break.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod fuzz;
mod golden;
