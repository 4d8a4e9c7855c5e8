//! What a release build leaves out.
//!
//! The fault points are a module that exists with debug assertions alone, so nobody can name it in
//! a build without. This builds the crate as a release has it in that respect, and looks for what
//! the points are called. Everything else of a release is left as it is here: that would be a build
//! of all dependencies.

use std::path::PathBuf;
use std::process::Command;

/// The variable that arms a process, and what all points of the store begin with.
const TEXTS: [&str; 2] = ["CODIS_FAULT_POINTS", "store.write."];

#[test]
fn a_release_has_no_fault_points() {
    let library = built(&["profile.dev.package.codis-runtime.debug-assertions=false"]);
    for text in TEXTS {
        assert!(!holds(&library, text), "{text} is in {library:?}");
    }
    // The same look at a build with them finds them.
    let library = built(&[]);
    for text in TEXTS {
        assert!(holds(&library, text), "{text} is not in {library:?}");
    }
}

/// Builds this crate with these settings; gives where it is.
fn built(settings: &[&str]) -> PathBuf {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["build", "--offline", "--lib", "--message-format=json"])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ]);
    for setting in settings {
        command.args(["--config", setting]);
    }
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{failed}");
    let messages = told.lines().map(|line| serde_json::from_str(line).unwrap());
    let artifact = |message: serde_json::Value| {
        let is_it = message["target"]["name"] == "codis_runtime" && message["filenames"].is_array();
        is_it.then(|| message["filenames"].clone())
    };
    let files: Vec<PathBuf> = messages
        .filter_map(artifact)
        .flat_map(|files| serde_json::from_value::<Vec<PathBuf>>(files).unwrap())
        .collect();
    let is_library = |file: &&PathBuf| file.extension().is_some_and(|kind| kind == "rlib");
    files.iter().find(is_library).unwrap().clone()
}

fn holds(file: &PathBuf, text: &str) -> bool {
    let bytes = std::fs::read(file).unwrap();
    let mut windows = bytes.windows(text.len());
    windows.any(|window| window == text.as_bytes())
}
