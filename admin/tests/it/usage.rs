//! Usage errors, help, and nobody at the other end.

use crate::tool::{admin, admin_with, refusal, stdout};

#[test]
fn nobody_listening_is_said_with_a_next_step() {
    let told = refusal(&admin(&["--dashboard=127.0.0.1:1", "--group-status"]));
    assert!(told.contains("is codis-dashboard running there?"), "{told}");
    let told = refusal(&admin_with("127.0.0.1:1,127.0.0.1:2", &["--group-status"]));
    assert!(told.contains("127.0.0.1:1, 127.0.0.1:2"), "{told}");
    let told = refusal(&admin(&["--proxy=127.0.0.1:1", "--start"]));
    assert!(told.contains("is codis-proxy running"), "{told}");
}

#[test]
fn usage_errors_exit_with_one_and_help_with_zero() {
    for words in [
        &["--group-status"][..],
        &["--dashboard=h:1", "--create-group"],
        &["--dashboard=h:1", "--slot-action", "--sid=1"],
        &["--dashboard=h:1", "--resync-group"],
        &["--dashboard=h", "--group-status"],
        &["--what"],
    ] {
        refusal(&admin(words));
    }
    let told = refusal(&admin(&["--dashboard=h:1", "--resync-group"]));
    assert!(told.contains("option --gid is required"), "{told}");
    assert!(stdout(&admin(&["--help"])).contains("--promote-server"));
    assert!(stdout(&admin(&["--version"])).contains("version"));
}

#[test]
fn with_json_output_an_error_is_json_too() {
    let words = ["--dashboard=127.0.0.1:1", "--group-status", "--output=json"];
    let told = refusal(&admin(&words));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(told["error"].as_str().unwrap().contains("127.0.0.1:1"));
}
