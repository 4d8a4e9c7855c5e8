//! The tool as a process.

use std::process::{Command, Output};

/// Runs the tool.
pub fn admin(words: &[&str]) -> Output {
    admin_with("", words)
}

/// Runs the tool with a dashboard in its environment, or without for an empty one.
pub fn admin_with(dashboard: &str, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codis-admin"));
    command.args(words).env_remove("CODIS_DASHBOARD");
    if !dashboard.is_empty() {
        command.env("CODIS_DASHBOARD", dashboard);
    }
    command.output().unwrap()
}

/// What a run that must end well printed.
pub fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a run said aside.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a run that must be refused said; it must have printed nothing.
pub fn refusal(output: &Output) -> String {
    let told = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(output.stdout.is_empty(), "{output:?}");
    told
}
