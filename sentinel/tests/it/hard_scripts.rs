//! Scripts that fail, hang, fork and flood: what becomes of them, and that nothing else suffers.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value as Json;

use crate::support::{Kind, Process, Quorum, Sentinel, Server, field, script, show, wait_for};

/// The lines of a file, none while there is no file.
fn lines_of(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A script has the environment and the directory of the sentinel, a path relative to it, and no
/// descriptor but the first three, whatever the sentinel has open or has inherited.
#[test]
fn a_script_inherits_the_environment_and_three_descriptors() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let body = format!(
        "{{ echo \"$SCRIPT_TEST\"; pwd -P; ls /proc/self/fd | tr '\\n' ' '; }} >> {}.new\n\
         mv {0}.new {0}",
        out.display()
    );
    script(&dir.path().join("own.sh"), &body);
    let config = dir.path().join("sentinel.conf");
    let (host, words) = (server.host.clone(), server.words());
    let port = crate::support::free_port(&host);
    let home = dir.path().canonicalize().unwrap();
    let text = format!(
        "bind {host}\nport {port}\ndir {}\nsentinel monitor m {words} 1\n\
         sentinel notification-script m own.sh\n",
        home.display()
    );
    std::fs::write(&config, text).unwrap();
    let line = format!(
        "SCRIPT_TEST=yes exec {} {} 7</dev/null 9>/dev/null",
        Sentinel::our_program().display(),
        config.display()
    );
    let log = dir.path().join("log");
    let _sentinel = Process::start(Path::new("/bin/sh"), &["-c", &line], &log);
    wait_for("the script has run", || out.exists());
    // `ls` has the directory open, as descriptor 3.
    let expected = ["yes", home.to_str().unwrap(), "0 1 2 3 "];
    assert_eq!(lines_of(&out), expected);
}

/// Runs of one script under shortened times; what the log says of it, without the time.
fn told_of(body: &str, done: &str) -> (Vec<String>, usize, String) {
    let dir = tempfile::tempdir().unwrap();
    let (path, runs) = (dir.path().join("s.sh"), dir.path().join("runs"));
    script(&path, &format!("echo $$ >> {}\n{body}", runs.display()));
    let server = Server::start();
    let sentinel = Sentinel::ours("loglevel debug\nsentinel deny-scripts-reconfig no\n");
    let order = "SENTINEL DEBUG script-retry-delay 1 script-max-runtime 150";
    assert_eq!(show(&sentinel.call(order)), "+OK");
    let order = format!("SENTINEL MONITOR m {} 1", server.words());
    assert_eq!(show(&sentinel.call(&order)), "+OK");
    let path = path.to_str().unwrap();
    let order = format!("SENTINEL SET m notification-script {path}");
    assert_eq!(show(&sentinel.call(&order)), "+OK");
    wait_for(done, || sentinel.log().contains(done));
    let log = sentinel.log();
    let told = log.lines().filter(|line| line.contains("-script-"));
    let told = told.map(|line| line.split_once(" - ").map_or(line, |it| it.1));
    let short = told.map(|line| line[line.find("-script-").unwrap()..].to_owned());
    (short.collect(), lines_of(&runs).len(), path.to_owned())
}

#[test]
fn exit_code_one_is_tried_ten_times_and_three_once() {
    let (told, runs, path) = told_of("exit 1", "-script-error");
    assert_eq!(runs, 10);
    assert_eq!(told.last().unwrap(), &format!("-script-error {path} 0 1"));
    let ended = told.iter().filter(|it| it.starts_with("-script-child"));
    assert!(ended.clone().all(|it| it.ends_with(" 1 0")));
    assert_eq!(ended.count(), 10);
    let (told, runs, path) = told_of("exit 3", "-script-error");
    assert_eq!(runs, 1);
    assert_eq!(told.last().unwrap(), &format!("-script-error {path} 0 3"));
}

#[test]
fn a_script_that_hangs_is_killed_and_its_children_with_it() {
    let nap = nap(611);
    let body = format!("trap '' TERM INT HUP\nsleep {nap} &\nwait");
    let (told, runs, path) = told_of(&body, "-script-error");
    assert_eq!(runs, 10);
    let timeouts = told.iter().filter(|it| it.starts_with("-script-timeout"));
    assert_eq!(timeouts.count(), 10);
    assert_eq!(told.last().unwrap(), &format!("-script-error {path} 9 0"));
    wait_for("no child is left", || sleepers(&nap) == 0);
}

/// Seconds that only this test sleeps.
fn nap(seconds: u32) -> String {
    format!("{seconds}.{}", std::process::id())
}

/// How many processes sleep for so long.
fn sleepers(nap: &str) -> usize {
    let command = format!("sleep\x00{nap}\x00");
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|it| std::fs::read_to_string(it.path().join("cmdline")).ok());
    lines.filter(|line| *line == command).count()
}

#[test]
fn pending_scripts_tells_what_runs_and_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sh");
    script(&path, "[ \"$2\" = waits ] || exec sleep 612\nexit 1");
    let server = Server::start();
    let lines = format!(
        "sentinel monitor m {} 1\nsentinel notification-script m {}\n",
        server.words(),
        path.display()
    );
    let sentinel = Sentinel::ours(&lines);
    let jobs = || sentinel.call("SENTINEL PENDING-SCRIPTS");
    let first = |name: &str| field(&jobs().as_array().unwrap()[0], name).unwrap_or_default();
    wait_for("the script runs", || {
        first("pid").parse::<u32>().is_ok_and(|it| it > 0)
    });
    assert_eq!(first("flags"), "running");
    assert_eq!(first("retry-num"), "1");
    assert!(first("run-time").parse::<u64>().is_ok());
    let info = show(&sentinel.call("INFO sentinel"));
    assert!(info.contains("sentinel_running_scripts:1"), "{info}");
    // The limit counts for what runs already.
    assert_eq!(
        show(&sentinel.call("SENTINEL DEBUG script-max-runtime 1")),
        "+OK"
    );
    wait_for("the script waits for its second run", || {
        first("flags") == "scheduled"
    });
    assert_eq!(first("pid"), "0");
    let delay: u64 = first("run-delay").parse().unwrap();
    assert!((20_000..=30_000).contains(&delay), "{delay}");
}

/// Every sentinel has scripts of the worst kind; the failover takes no longer for it.
#[test]
fn scripts_of_the_worst_kind_delay_no_failover() {
    let mut plain = Quorum::start(&[Kind::Ours; 3], 1, "");
    plain.servers[0].process.kill();
    let (_, without) = plain.wait_for_switch(0);
    drop(plain);
    let dir = tempfile::tempdir().unwrap();
    let (notify, reconfig) = (dir.path().join("notify.sh"), dir.path().join("reconfig.sh"));
    let nap = nap(613);
    let body = format!(
        "case $1 in\n\
        +sdown) for i in $(seq 100); do sleep {nap} & done; wait;;\n\
        +odown|+try-failover) head -c 4000000 /dev/zero | tr '\\0' x;;\n\
        +vote-for-leader) head -c 4000000 /dev/zero | tr '\\0' x >&2;;\n\
        +new-epoch|+elected-leader) trap '' TERM; while :; do sleep {nap}; done;;\n\
        +promoted-slave|+failover-end) kill -KILL $$;;\n\
        *) exit 1;;\nesac"
    );
    script(&notify, &body);
    script(&reconfig, "exit 0");
    let lines = format!(
        "sentinel notification-script m {}\nsentinel client-reconfig-script m {}\n",
        notify.display(),
        reconfig.display()
    );
    let mut quorum = Quorum::start(&[Kind::Ours; 3], 1, &lines);
    std::fs::remove_file(&reconfig).unwrap();
    quorum.servers[0].process.kill();
    let (_, with) = quorum.wait_for_switch(0);
    assert!(
        with < without + Duration::from_secs(20),
        "{with:?} instead of {without:?}"
    );
    let missing = format!("-script-error {} 0 2", reconfig.display());
    for sentinel in &quorum.sentinels {
        wait_for("the missing script is told", || {
            sentinel.log().contains(&missing)
        });
        let status = format!("/proc/{}/status", sentinel.process.id());
        let status = std::fs::read_to_string(status).unwrap();
        let number = |name: &str| {
            let line = status.lines().find(|it| it.starts_with(name)).unwrap();
            line.split_whitespace()
                .nth(1)
                .unwrap()
                .parse::<usize>()
                .unwrap()
        };
        assert!(number("Threads:") < 64, "{status}");
        assert!(number("VmRSS:") < 200_000, "{status}");
        assert_eq!(
            show(&sentinel.call("SENTINEL DEBUG script-max-runtime 1")),
            "+OK"
        );
    }
    wait_for("nothing is left of them", || sleepers(&nap) == 0);
}

/// With `script-stdin-json` each script can read what happened; without it there is nothing.
#[test]
fn scripts_can_read_a_record_of_what_happened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sh");
    let out = dir.path().join("out");
    // The line leaves in one write: scripts of three sentinels append to the file at once.
    script(
        &path,
        &format!("line=$(cat)\nprintf '%s\\n' \"$line\" >> {}", out.display()),
    );
    let lines = format!(
        "sentinel notification-script m {0}\nsentinel client-reconfig-script m {0}\n\
         # codis-ha script-stdin-json m yes\n",
        path.display()
    );
    let mut quorum = Quorum::start(&[Kind::Ours; 3], 1, &lines);
    let old = quorum.servers[0].words();
    quorum.servers[0].process.kill();
    let (new, _) = quorum.wait_for_switch(0);
    let new = quorum.servers[new].words();
    let records = || {
        let read = |line: &String| serde_json::from_str::<Json>(line).unwrap();
        lines_of(&out).iter().map(read).collect::<Vec<_>>()
    };
    let find = |key: &str, value: &str| {
        let all = records().into_iter();
        all.filter(|it| it[key] == value).collect::<Vec<_>>()
    };
    wait_for("all have told", || {
        find("event", "+switch-master").len() == 3 && find("type", "client-reconfig").len() == 3
    });
    let ids = quorum
        .sentinels
        .iter()
        .map(|it| show(&it.call("SENTINEL MYID")));
    let ids: BTreeSet<String> = ids.collect();
    let switches = [("event", "+switch-master"), ("type", "client-reconfig")];
    for record in switches.iter().flat_map(|(key, value)| find(key, value)) {
        assert!(ids.contains(record["sentinel"].as_str().unwrap()));
        assert_is_switch(&record, &old, &new);
    }
    let roles = find("type", "client-reconfig");
    assert_eq!(roles.iter().filter(|it| it["role"] == "leader").count(), 1);
    let down = &find("event", "+sdown")[0];
    assert_eq!(down["instance"]["type"], "master");
    assert_eq!(place(&down["instance"]), old);
    assert_eq!(down["level"], "warning");
    assert_can_be_ended(&quorum.sentinels[0]);
    // The script reads an end, and writes an empty line.
    wait_for("nothing can be read", || {
        lines_of(&out).iter().any(String::is_empty)
    });
}

fn place(addr: &Json) -> String {
    format!("{} {}", addr["ip"].as_str().unwrap(), addr["port"])
}

fn assert_is_switch(record: &Json, old: &str, new: &str) {
    assert_eq!(place(&record["from"]), old);
    assert_eq!(place(&record["to"]), new);
    assert_eq!(record["master"], "m");
    let time: jiff::Timestamp = record["time"].as_str().unwrap().parse().unwrap();
    assert_eq!(Some(time.as_millisecond()), record["time_ms"].as_i64());
    assert!(record["current_epoch"].as_u64().unwrap() >= 1);
}

/// The setting is kept in a form that a stock sentinel reads, and can be taken back.
fn assert_can_be_ended(sentinel: &Sentinel) {
    let line = "# codis-ha script-stdin-json m yes\n";
    assert!(sentinel.config().contains(line));
    let order = "SENTINEL SET m script-stdin-json no";
    assert_eq!(show(&sentinel.call(order)), "+OK");
    assert!(!sentinel.config().contains(line));
}
