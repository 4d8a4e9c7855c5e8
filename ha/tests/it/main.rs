//! The daemon against a real dashboard, real Redis servers and a real proxy.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bed;
mod command;
mod life;

/// Shared with the tests of the dashboard.
#[allow(dead_code, reason = "each crate uses its part")]
#[path = "../../../dashboard/tests/it/bed/http.rs"]
mod http;
#[allow(dead_code, reason = "each crate uses its part")]
#[path = "../../../dashboard/tests/it/bed/process.rs"]
mod process;
