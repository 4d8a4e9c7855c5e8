//! `codis-drill`: brings up a cluster, breaks it, checks what it promised.

#![forbid(unsafe_code)]

mod commands;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    // Processes die with the thread that starts them, so everything runs on this one.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(commands::run(cli)));
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("codis-drill: {error:#}");
            ExitCode::from(commands::EXIT_ERROR)
        }
    }
}
