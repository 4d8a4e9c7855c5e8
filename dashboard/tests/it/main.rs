//! The daemon against real Redis servers, sentinels and proxies; doubles stand in only for peers
//! that hang, lie or repeat themselves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use codis_bed::stores;

mod adoption;
mod api;
mod audit;
mod bad_input;
mod bed;
mod bring_up;
mod chosen;
mod crash;
#[allow(dead_code, reason = "the tests of the proxy use all of it")]
#[path = "../../../proxy/tests/it/double.rs"]
mod double;
mod doubles;
mod fe;
mod hung;
mod hung_all;
mod joining;
mod leadership;
mod lock;
mod metrics;
mod mixed;
mod moves;
#[allow(dead_code, reason = "the tests of the proxy use all of it")]
#[path = "../../../proxy/tests/it/plain.rs"]
mod plain;
mod poll;
mod promotion;
mod proxies;
mod recount;
mod servers;
mod shape;
#[path = "../../../ha/runtime/tests/it/shim.rs"]
mod shim;
mod stalled;
mod stock;
mod strays;
mod syncing;
mod watching;
