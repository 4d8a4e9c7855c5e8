//! Flags and exit codes.

use std::process::{Command, Output};

use rustix::process::Signal;

use crate::bed::{Bed, says, until};
use codis_bed::http::call;
use codis_bed::process::free_port;

fn run(flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codis-ha"));
    command.args(flags).output().unwrap()
}

#[test]
fn what_cannot_run_says_why_and_exits_1() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "--dashboard"),
        (&["--dashboard=h:1", "--interval=0"], "--interval"),
        (&["--dashboard=h:1", "--interval=x"], "--interval"),
        (&["--dashboard=h:1", "--log-level=loud"], "--log-level"),
        (
            &["--dashboard=h:1", "--listen=nowhere"],
            "listen on nowhere",
        ),
        (&["--dashboard=h:1", "--shutdown"], "--shutdown"),
    ];
    for (flags, told) in cases {
        let output = run(flags);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {stderr}");
        assert!(stderr.contains(told), "{flags:?}: {stderr}");
    }
    for (flag, told) in [("--version", "version: "), ("--help", "--no-maintains")] {
        let output = run(&[flag]);
        assert_eq!(output.status.code(), Some(0), "{flag}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains(told),
            "{flag}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_dashboard_that_answers_is_asked_and_figures_are_served() {
    let bed = Bed::new().await;
    let port = free_port();
    let (listen, nobody) = (format!("127.0.0.1:{port}"), free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_codis-ha"));
    command.args([
        &format!("--dashboard=127.0.0.1:{nobody},{}", bed.addr()),
        "--interval=1",
        &format!("--listen={listen}"),
    ]);
    let mut ha = codis_bed::process::Process::start(command, &bed.path("ha.log"));
    says(&ha, "dashboard answers again").await;
    until("looks are counted", async || {
        let metrics = call(&listen, "GET", "/metrics", "").await;
        metrics.is_ok_and(|metrics| {
            let looks = metrics
                .body
                .lines()
                .find_map(|line| line.strip_prefix("codis_ha_looks_total "));
            looks.is_some_and(|looks| looks != "0")
        })
    })
    .await;
    assert_eq!(call(&listen, "GET", "/live", "").await.unwrap().status, 200);
    ha.signal(Signal::TERM);
    assert_eq!(ha.ended().await.code(), Some(0));
}
