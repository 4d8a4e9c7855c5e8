//! `codis-admin`: the command line of a Codis cluster.
//!
//! The options are those of the original tool. [`actions`] lists every usage pattern, [`cli`] reads
//! the command line against it, one module for each target carries the action out, and what it
//! answers is printed in one place. Stdout carries data only; notes and progress go to stderr.

#![forbid(unsafe_code)]

pub mod actions;
pub mod cli;
mod dashboard;
mod output;
mod progress;
mod proxy;
mod store;
mod talk;

use std::time::Duration;

use codis_runtime::http::Client;

use crate::actions::Target;
use crate::cli::Invocation;
use crate::talk::Talk;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait for an answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Carries out one invocation and prints its answer.
///
/// # Errors
/// What was refused or failed, with the next step where there is one.
pub async fn run(invocation: &Invocation) -> anyhow::Result<()> {
    let options = &invocation.options;
    let client = Client::new(CONNECT_TIMEOUT, CALL_TIMEOUT)
        .as_program("codis-admin")
        .with_warnings(|text| eprintln!("codis-admin: warning: {text}"));
    let talk = Talk::new(client, options.has("verbose"));
    let answer = match invocation.action.target {
        Target::Dashboard => dashboard::run(talk, invocation).await,
        Target::Proxy => proxy::run(talk, invocation).await,
        Target::Store => store::run(talk, invocation).await,
        Target::File => store::convert(options),
    };
    answer?.show(options.json())
}
