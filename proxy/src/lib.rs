//! Drop-in for codis-proxy: shards Redis over slots and follows failovers by epoch.
//!
//! The data path ([`data`]) runs on worker threads that share nothing but the route table; the
//! control side ([`control`]) runs on a thread of its own, so a hung backend never delays an
//! answer to a dashboard. What decides routes is pure ([`route`]).

#![deny(unsafe_code)]

pub mod cli;
pub mod control;
pub mod data;
pub mod fuzzing;
pub mod route;
pub mod run;
pub mod settings;
