//! The binary of the web front end: see `codis_dashboard::fe` for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    codis_dashboard::fe::cli::main()
}
