//! What `codis-runtime` does with real files, sockets, signals and processes.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use codis_bed::stores;

mod child;
mod config;
mod coordinator_contract;
mod coordinator_faults;
mod coordinator_files;
mod coordinator_processes;
mod coordinator_servers;
mod host;
mod http_client;
mod http_forward;
mod http_line;
mod http_server;
mod processes;
mod release;
mod shim;
mod support;
