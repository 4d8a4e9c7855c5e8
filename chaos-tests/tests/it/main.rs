//! Integration tests of the harness, and of the cluster that it brings up.

mod pieces;
mod tidy;
