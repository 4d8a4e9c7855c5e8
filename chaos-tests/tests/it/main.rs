//! Integration tests of the harness, and of the cluster that it brings up.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bench;
mod clock;
mod cluster;
mod pieces;
mod quorums;
mod tidy;
