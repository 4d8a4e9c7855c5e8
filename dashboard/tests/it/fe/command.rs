//! Flags, exit codes, and what is left behind.

use std::process::{Command, Output};

use rustix::process::Signal;

use super::{Fe, write_list};
use crate::bed::{Bed, call, until};

fn run(flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codis-fe"));
    command.args(flags).output().unwrap()
}

#[test]
fn what_cannot_run_says_why_and_exits_1() {
    let bed = Bed::new();
    let empty = bed.path("");
    let assets = format!("--assets-dir={}", empty.display());
    let cases: &[(&[&str], &str)] = &[
        (&[], "--listen"),
        (&["--listen=127.0.0.1:0"], "--dashboard-list"),
        (&["--filesystem=x"], "--listen"),
        (
            &["--listen=127.0.0.1:0", "--etcd=h:1", "--zookeeper=h:1"],
            "cannot be used with",
        ),
        (
            &["--listen=127.0.0.1:0", "-d", "x", "--etcd-auth=u:p"],
            "--etcd",
        ),
        (&["--listen=127.0.0.1:0", "-d", "x", "--ncpu=0"], "--ncpu"),
        (
            &["--listen=127.0.0.1:0", "-d", "x", "--log-level=loud"],
            "--log-level",
        ),
        (&["--listen=127.0.0.1:0", "-d", "x", &assets], "index.html"),
        (&["--listen=nowhere", "-d", "x"], "listen on nowhere"),
        (
            &["--listen=127.0.0.1:0", "--etcd=h:1", "--etcd-auth=u"],
            "--etcd=h:1",
        ),
    ];
    for (flags, told) in cases {
        let output = run(flags);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {stderr}");
        assert!(stderr.contains(told), "{flags:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{flags:?}");
    }
}

#[test]
fn help_and_version_are_data() {
    for (flag, told) in [("--version", "version: "), ("--help", "--dashboard-list")] {
        let output = run(&[flag]);
        assert_eq!(output.status.code(), Some(0), "{flag}");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.contains(told), "{stdout}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flags_of_the_original_work_and_an_orderly_end_leaves_nothing() {
    let bed = Bed::new();
    let (list, pidfile, log) = (
        bed.path("list.json"),
        bed.path("fe.pid"),
        bed.path("fe.log"),
    );
    write_list(&list, &[("a", "h:1")]);
    let list = list.display().to_string();
    let flags = [
        "-d",
        &list,
        "--ncpu=1",
        &format!("--pidfile={}", pidfile.display()),
        &format!("--log={}", log.display()),
        "--log-level=WARN",
    ];
    let mut fe = Fe::start(&bed, &flags).await;
    let pid = std::fs::read_to_string(&pidfile).unwrap();
    assert_eq!(pid, fe.process.pid().to_string());
    assert_eq!(fe.names().await, ["a"]);
    let level = call(&fe.addr, "PUT", "/loglevel/INFO", "").await.unwrap();
    assert_eq!(level.status, 200);
    fe.process.signal(Signal::TERM);
    let status = fe.process.ended().await;
    assert_eq!(status.code(), Some(0));
    assert!(!pidfile.exists());
    let logged = || {
        let files = std::fs::read_dir(bed.path("")).unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        let of_log = |path: &std::path::PathBuf| path.display().to_string().contains("fe.log.");
        let texts = files
            .filter(of_log)
            .map(|path| std::fs::read_to_string(path).unwrap());
        texts.collect::<String>()
    };
    until("the log says it", async || logged().contains("stopped")).await;
    assert!(!logged().contains("http server listens"), "below its level");
}
