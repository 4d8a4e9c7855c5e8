//! The daemon against a real dashboard, real Redis servers and a real proxy.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bed;
mod command;
mod life;
