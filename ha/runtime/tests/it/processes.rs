//! Signals and logs, each in a process of its own.

use std::fs;

use codis_runtime::shutdown::{EXIT_CUT_SHORT, Shutdown};
use codis_runtime::telemetry;
use rustix::process::Signal;
use std::time::Duration;

use crate::child::Process;

#[test]
fn the_first_signal_requests_and_the_second_ends() {
    for (first, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let mut child = Process::start("waits_for_signals", "");
        child.wait_for("ready");
        child.signal(first);
        child.wait_for(&format!("requested by {name}"));
        child.signal(Signal::INT);
        assert_eq!(child.code(), Some(EXIT_CUT_SHORT));
    }
}

#[tokio::test]
async fn a_request_is_seen_by_all_and_keeps_its_first_reason() {
    let shutdown = Shutdown::new();
    let waiting = tokio::spawn(shutdown.clone().requested());
    assert!(!shutdown.is_requested());
    shutdown.request("admin call");
    shutdown.request("later");
    waiting.await.unwrap();
    shutdown.requested().await;
    assert_eq!(shutdown.reason().as_deref(), Some("admin call"));
    let cut = Shutdown::within(
        Duration::from_millis(10),
        "test",
        std::future::pending::<()>(),
    );
    assert_eq!(cut.await, None);
    assert_eq!(
        Shutdown::within(Duration::from_secs(1), "test", async { 7 }).await,
        Some(7)
    );
}

#[test]
fn the_log_file_carries_the_date_and_whole_lines() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("deep/down/proxy.log");
    assert_eq!(
        Process::start("logs_to_a_file", file.to_str().unwrap()).code(),
        Some(0)
    );
    let entries: Vec<_> = fs::read_dir(file.parent().unwrap())
        .unwrap()
        .flatten()
        .collect();
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}");
    };
    let name = entry.file_name().into_string().unwrap();
    let date = name.strip_prefix("proxy.log.").unwrap();
    assert!(date.len() == 10 && date.matches('-').count() == 2, "{name}");
    let text = fs::read_to_string(entry.path()).unwrap();
    let warned = text
        .lines()
        .find(|line| line.contains("something happened"))
        .unwrap();
    let (time, rest) = warned.split_once(' ').unwrap();
    assert_eq!((time.len(), &time[23..]), (24, "Z"), "{warned}");
    assert_eq!(
        rest,
        "[WARN] it::child: session{id=7}: something happened slot=3 name=\"a b\""
    );
    for shown in [
        "a library warns",
        "[DEBUG] it::child: shown after",
        "panic: on purpose",
    ] {
        assert!(text.contains(shown), "{shown} is missing in\n{text}");
    }
    for hidden in ["too small", "a library chats", "silenced"] {
        assert!(!text.contains(hidden), "{hidden} is in\n{text}");
    }
}

#[test]
fn a_log_file_must_be_a_file() {
    let dir = tempfile::tempdir().unwrap();
    for bad in [
        dir.path().to_owned(),
        dir.path().join("x/"),
        "/".into(),
        "".into(),
    ] {
        let options = telemetry::Options {
            file: Some(bad.clone()),
            ..Default::default()
        };
        let error = telemetry::init(options).unwrap_err();
        assert!(
            matches!(error, telemetry::Error::NotAFile(_)),
            "{bad:?}: {error}"
        );
    }
}
