//! The tool run as an operator runs it: on coordinators, on a dashboard that says what the test
//! says, and on addresses where nobody listens.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use codis_bed::stores;

mod board;
mod calls;
#[allow(dead_code, reason = "it is shared with the proxy's tests")]
#[path = "../../../proxy/tests/it/double.rs"]
mod double;
mod dumps;
mod legacy;
mod life;
#[allow(dead_code, reason = "it is shared with the proxy's tests")]
#[path = "../../../proxy/tests/it/plain.rs"]
mod plain;
mod records;
mod tool;
mod usage;
