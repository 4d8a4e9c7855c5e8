//! What every Codis HA daemon shares and that touches the world: coordinator, HTTP, config,
//! telemetry, metrics, shutdown.
//!
//! A daemon's `main` reads its settings ([`config`]), starts [`telemetry`], asks [`host`] who it
//! is, and then serves ([`http::serve`]) until [`shutdown::Shutdown`] says stop. Nothing here
//! decides anything about a cluster.

pub mod build;
pub mod config;
pub mod coordinator;
pub mod daemon;
#[cfg(debug_assertions)]
pub mod fault;
pub mod host;
pub mod http;
pub mod metrics;
pub mod peer;
pub mod pidfile;
pub mod process;
pub mod sentinels;
pub mod shutdown;
pub mod telemetry;
