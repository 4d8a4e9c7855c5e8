//! The binary: reads the command line, runs the action, says how it ended.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use codis_admin::cli::{self, DASHBOARD_VARIABLE, Refusal};

fn main() -> ExitCode {
    let dashboard = std::env::var(DASHBOARD_VARIABLE).ok();
    let invocation = match cli::parse(std::env::args(), dashboard) {
        Ok(invocation) => invocation,
        Err(Refusal::Grammar(error)) => {
            // Printing fails only when nobody reads; there is nobody to tell then.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
        Err(Refusal::Pattern(text)) => {
            eprintln!("codis-admin: {text}\nSee codis-admin --help.");
            return ExitCode::FAILURE;
        }
        Err(Refusal::Version) => {
            println!("{}", codis_runtime::build::text());
            return ExitCode::SUCCESS;
        }
    };
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(codis_admin::run(&invocation)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("{error:#}");
            if invocation.options.json() {
                eprintln!("{}", serde_json::json!({ "error": text }));
            } else {
                eprintln!("codis-admin: {text}");
            }
            ExitCode::FAILURE
        }
    }
}
