//! Every way in which a redis-sentinel may be started, with ours in its place.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{Client, Process, Sentinel, free_port, own_host, show, wait_for};
use codis_bed::process::Signal;

/// A sentinel that was started with words of the test's choice, in a directory of its own.
struct Started {
    process: Process,
    host: String,
    port: u16,
    dir: tempfile::TempDir,
}

impl Started {
    /// `{dir}` in the words is the directory; the file `s.conf` in it has the text.
    fn with(program: &Path, text: &str, words: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = own_host();
        let port = free_port(&host);
        let fill = |text: &str| {
            let dir = dir.path().to_str().unwrap();
            let filled = text.replace("{dir}", dir).replace("{host}", &host);
            filled.replace("{port}", &port.to_string())
        };
        std::fs::write(dir.path().join("s.conf"), fill(text)).unwrap();
        let words: Vec<String> = words.iter().map(|word| fill(word)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let process = Process::start(program, &words, &dir.path().join("output"));
        let started = Self {
            process,
            host,
            port,
            dir,
        };
        wait_for("a sentinel answers", || {
            Client::try_connect(&started.host, started.port).is_some()
        });
        started
    }

    fn call(&self, line: &str) -> String {
        let mut client = Client::try_connect(&self.host, self.port).unwrap();
        show(&client.call(line))
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }
}

const LISTEN: &[&str] = &["--bind", "{host}", "--port", "{port}"];

/// Runs to the end, with a text on standard input.
fn run(words: &[&str], input: &str) -> Output {
    let mut child = Command::new(Sentinel::our_program())
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Under the name redis-sentinel, with `--sentinel`, with lines as words, on top of a file.
#[test]
fn words_are_lines_on_top_of_the_file() {
    let links = tempfile::tempdir().unwrap();
    let link = links.path().join("redis-sentinel");
    std::os::unix::fs::symlink(Sentinel::our_program(), &link).unwrap();
    for (program, sentinel) in [
        (link, &[][..]),
        (Sentinel::our_program(), &["--sentinel"][..]),
    ] {
        let mut words = vec!["{dir}/s.conf"];
        words.extend(sentinel);
        words.extend(LISTEN);
        let more = "--sentinel monitor m 127.0.0.1 1 2 --requirepass --s!";
        words.extend(more.split(' '));
        let text = "requirepass other\nsentinel parallel-syncs m 3\n";
        let mut started = Started::with(&program, text, &words);
        assert!(started.call("PING").starts_with("-NOAUTH"));
        assert!(started.process.stop().success());
        let text = started.file("s.conf");
        assert!(text.starts_with("requirepass \"--s!\"\n"), "{text}");
        assert!(text.contains("sentinel parallel-syncs m 3\n"), "{text}");
        assert!(
            text.contains("sentinel monitor m 127.0.0.1 1 2\n"),
            "{text}"
        );
    }
}

/// The path of the file counts from where the program starts, those of log and scripts from `dir`.
#[test]
fn paths_count_from_where_redis_counts_them() {
    let links = tempfile::tempdir().unwrap();
    let start = links.path().join("start.sh");
    let program = Sentinel::our_program();
    let text = format!("cd \"$1\" && shift && exec {} \"$@\"", program.display());
    crate::support::script(&start, &text);
    let text = "port {port}\nbind {host}\ndir {dir}/sub\nlogfile s.log\n\
                sentinel monitor m 127.0.0.1 1 2\nsentinel notification-script m ./run.sh\n";
    let conf = tempfile::tempdir().unwrap();
    let sub = conf.path().join("sub");
    std::fs::create_dir(&sub).unwrap();
    crate::support::script(&sub.join("run.sh"), "true");
    let dir = conf.path().to_str().unwrap();
    let text = text.replace("{dir}", dir);
    let words = ["{dir}", "s.conf", "--pidfile", "{dir}/pid"];
    let mut started = Started::with(&start, &text, &words);
    wait_for("the log is in `dir`", || sub.join("s.log").exists());
    let info = started.call("INFO server");
    let pid = started.file("pid");
    assert!(info.contains(&format!("process_id:{pid}\r\n")), "{info}");
    let file = started.dir.path().join("s.conf");
    assert!(
        info.contains(&format!("config_file:{}\r\n", file.display())),
        "{info}"
    );
    assert!(started.process.stop().success());
    assert!(started.file("s.conf").contains("sentinel myid "));
    let log = std::fs::read_to_string(sub.join("s.log")).unwrap();
    for line in log.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[0], format!("{pid}:X"), "{line}");
        assert!(matches!(words[5], "." | "-" | "*" | "#"), "{line}");
    }
}

/// Standard input is a file after the file; alone it is no place for the state.
#[test]
fn lines_come_from_standard_input() {
    let alone = run(&["-"], "port 0\n");
    assert_eq!(alone.status.code(), Some(1));
    let text = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(text.contains("needs a config file"), "{text}");
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("s.conf");
    std::fs::write(&config, "timeout 1\n").unwrap();
    let bad = run(&[config.to_str().unwrap(), "-"], "timeout 2\nnonsense 1\n");
    let text = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        text.contains("standard input, at line 2\n>>> 'nonsense 1'"),
        "{text}"
    );
}

/// A file that cannot be written, and one whose directory is gone.
#[test]
fn a_file_that_cannot_be_kept_up_to_date_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("s.conf");
    // Root may write everything but a directory.
    std::fs::create_dir(&config).unwrap();
    let refused = run(&[config.to_str().unwrap()], "");
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("s.conf"), "{text}");
    for (words, expected) in [(&["-v"][..], "version"), (&["--help"], "Usage:")] {
        let output = run(words, "");
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains(expected));
    }
}

/// Files with other settings, by name and by pattern.
#[test]
fn files_are_included() {
    let parts = tempfile::tempdir().unwrap();
    let dir = parts.path().to_str().unwrap();
    std::fs::write(
        parts.path().join("1.inc"),
        "sentinel monitor m 127.0.0.1 1 2\n",
    )
    .unwrap();
    std::fs::write(parts.path().join("2.inc"), "sentinel parallel-syncs m 4\n").unwrap();
    let text = format!("port {{port}}\nbind {{host}}\ndir {{dir}}\ninclude {dir}/*.inc\n");
    let mut started = Started::with(&Sentinel::our_program(), &text, &["{dir}/s.conf"]);
    assert!(
        started
            .call("SENTINEL MASTER m")
            .contains("parallel-syncs, 4")
    );
    assert!(started.process.stop().success());
    assert!(
        started
            .file("s.conf")
            .contains(&format!("include {dir}/*.inc\n"))
    );
}

/// Lines reach the system's log. The sentinel sees a `/dev` of its own, in which `log` is the
/// test's; that needs root.
#[test]
fn lines_go_to_the_syslog() {
    let dir = tempfile::tempdir().unwrap();
    let listen = |name: &str| {
        let socket = UnixDatagram::bind(dir.path().join(name)).unwrap();
        let patience = Some(crate::support::PATIENCE);
        socket.set_read_timeout(patience).unwrap();
        socket
    };
    let socket = listen("log");
    let start = dir.path().join("start.sh");
    let (path, program) = (dir.path().display(), Sentinel::our_program());
    let body = format!(
        "set -e\nmkdir {path}/dev\nmount -t tmpfs none {path}/dev\n\
         mknod {path}/dev/urandom c 1 9\nmknod {path}/dev/null c 1 3\n\
         ln -s {path}/log {path}/dev/log\nmount --move {path}/dev /dev\n\
         exec {} \"$@\"",
        program.display()
    );
    crate::support::script(&start, &body);
    let text =
        "syslog-enabled yes\nsyslog-ident \"my sentinel\"\nsyslog-facility LOCAL5\ndir {dir}\n";
    let unshare = PathBuf::from("unshare");
    let mut words = vec!["--mount", start.to_str().unwrap(), "{dir}/s.conf"];
    words.extend(LISTEN);
    let mut started = Started::with(&unshare, text, &words);
    let next = |socket: &UnixDatagram| {
        let mut buffer = [0; 1024];
        let count = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    let first = next(&socket);
    // local5 is 21; a warning is 4.
    assert!(
        first.starts_with("<172>") && first.contains(" my sentinel["),
        "{first}"
    );
    // A daemon that starts again listens on a new socket.
    drop(socket);
    std::fs::remove_file(dir.path().join("log")).unwrap();
    let socket = listen("log");
    assert_eq!(started.call("SENTINEL MONITOR m 127.0.0.1 1 1"), "+OK");
    let is_told = |line: &str| line.ends_with("]: +monitor master m 127.0.0.1 1 quorum 1");
    wait_for("the event is in the log", || is_told(&next(&socket)));
    assert!(started.process.stop().success());
    assert!(started.file("output").contains("+monitor master m"));
}

/// SIGTERM and SIGINT are an orderly end; SIGHUP is none.
#[test]
fn signals_end_it_with_status_zero() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut words = vec!["{dir}/s.conf"];
        words.extend(LISTEN);
        let mut started = Started::with(&Sentinel::our_program(), "dir {dir}\n", &words);
        started.process.signal(Signal::HUP);
        assert_eq!(started.call("PING"), "+PONG");
        started.process.signal(signal);
        assert_eq!(started.process.wait().code(), Some(0));
    }
}
