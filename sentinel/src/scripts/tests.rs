use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

fn script(dir: &Path, name: &str, body: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn push(scripts: &mut Scripts, argv: &[&str]) {
    let words: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
    scripts.push(words.into());
}

/// Runs the queue until no job runs or is due within a second.
async fn run_until_ended(
    scripts: &mut Scripts,
    reports: &mut mpsc::Receiver<Report>,
) -> Vec<Event> {
    let mut events = scripts.advance();
    loop {
        let soon = Instant::now() + Duration::from_secs(1);
        let due = scripts.next_due().filter(|at| *at < soon);
        if scripts.running() == 0 && due.is_none() {
            return events;
        }
        tokio::select! {
            report = reports.recv() => events.extend(scripts.handle(report.unwrap())),
            () = tokio::time::sleep_until(due.unwrap_or(soon)) => {}
        }
        events.extend(scripts.advance());
    }
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|e| e.name).collect()
}

fn payloads<'a>(events: &'a [Event], name: &str) -> Vec<&'a str> {
    let named = events.iter().filter(|event| event.name == name);
    named.map(|event| event.payload.as_str()).collect()
}

#[tokio::test]
async fn a_script_gets_its_arguments_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let body = format!("printf '%s|' \"$@\" > {}", out.display());
    let path = script(dir.path(), "s", &body);
    let (mut scripts, mut reports) = Scripts::new();
    push(&mut scripts, &[&path, "+sdown", "a b; $(rm) 'c'"]);
    let events = run_until_ended(&mut scripts, &mut reports).await;
    assert_eq!(names(&events), ["+script-child", "-script-child"]);
    assert_eq!(
        std::fs::read_to_string(out).unwrap(),
        "+sdown|a b; $(rm) 'c'|"
    );
    assert_eq!(scripts.jobs().count(), 0);
}

#[tokio::test]
async fn exit_code_one_asks_for_a_retry_and_others_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let (mut scripts, mut reports) = Scripts::new();
    let bare = dir.path().join("bare");
    std::fs::write(&bare, "exit 0\n").unwrap();
    std::fs::set_permissions(&bare, std::fs::Permissions::from_mode(0o755)).unwrap();
    for path in [
        script(dir.path(), "again", "exit 1"),
        script(dir.path(), "bad", "exit 3"),
        "/no/such/script".into(),
        dir.path().to_str().unwrap().to_owned(),
        // No shell runs what has no interpreter, and no name is looked for in PATH.
        bare.to_str().unwrap().to_owned(),
        "true".into(),
    ] {
        push(&mut scripts, &[&path]);
    }
    let events = run_until_ended(&mut scripts, &mut reports).await;
    let mut errors: Vec<&str> = payloads(&events, "-script-error")
        .into_iter()
        .map(|payload| &payload[payload.find(' ').unwrap()..])
        .collect();
    errors.sort_unstable();
    assert_eq!(errors, [" 0 2", " 0 2", " 0 2", " 0 2", " 0 3"]);
    let jobs: Vec<JobView<'_>> = scripts.jobs().collect();
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].tries, 1);
    assert!(jobs[0].delay > Duration::from_secs(29));
}

#[tokio::test]
async fn a_job_is_run_ten_times_at_most_and_each_pause_is_twice_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let (mut scripts, mut reports) = Scripts::new();
    scripts.limits.retry_delay = Duration::from_millis(1);
    let path = script(dir.path(), "killed", "kill -KILL $$");
    push(&mut scripts, &[&path]);
    let begin = Instant::now();
    let events = run_until_ended(&mut scripts, &mut reports).await;
    assert_eq!(payloads(&events, "-script-child").len(), 10);
    assert_eq!(payloads(&events, "-script-error"), [format!("{path} 9 0")]);
    // 1 + 2 + 4 ... + 256.
    assert!(begin.elapsed() >= Duration::from_millis(511));
}

#[tokio::test]
async fn a_script_that_runs_too_long_is_killed_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let (mut scripts, mut reports) = Scripts::new();
    let pids = dir.path().join("pids");
    let body = format!(
        "trap '' TERM\nfor i in 1 2 3; do sleep 600 & echo $! >> {0}; done\necho $$ >> {0}\nwait",
        pids.display()
    );
    let path = script(dir.path(), "hangs", &body);
    push(&mut scripts, &[&path]);
    scripts.advance();
    let begun = || {
        std::fs::read_to_string(&pids)
            .unwrap_or_default()
            .lines()
            .count()
            == 4
    };
    while !begun() {
        tokio::select! {
            report = reports.recv() => drop(scripts.handle(report.unwrap())),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
    assert!(scripts.next_due().unwrap() > Instant::now() + Duration::from_secs(50));
    // The limit counts for what runs already.
    scripts.limits.runtime_max = Duration::from_millis(1);
    let events = run_until_ended(&mut scripts, &mut reports).await;
    let text = std::fs::read_to_string(&pids).unwrap();
    let pid = text.lines().last().unwrap();
    assert_eq!(
        payloads(&events, "-script-timeout"),
        [format!("{path} {pid}")]
    );
    assert_eq!(payloads(&events, "-script-child"), [format!("{pid} 0 9")]);
    let gone = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    for pid in text.lines() {
        while !gone(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(
        scripts.jobs().next().unwrap().tries,
        1,
        "a signal asks for a retry"
    );
}

#[tokio::test]
async fn a_script_may_read_its_standard_input_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let (mut scripts, mut reports) = Scripts::new();
    let reader = script(dir.path(), "reader", &format!("cat > {}", out.display()));
    let idle = script(dir.path(), "idle", "exec sleep 0.1");
    let early = script(dir.path(), "early", "exit 0");
    for path in [reader, idle, early] {
        scripts.push(Order {
            argv: vec![path],
            stdin: Some(vec![b'x'; record::BYTES_MAX]),
        });
    }
    let events = run_until_ended(&mut scripts, &mut reports).await;
    assert!(payloads(&events, "-script-error").is_empty(), "{events:?}");
    assert_eq!(scripts.jobs().count(), 0);
    assert_eq!(std::fs::read(out).unwrap().len(), record::BYTES_MAX);
}

#[tokio::test]
async fn the_queue_and_the_number_of_running_scripts_are_bounded() {
    let (mut scripts, mut reports) = Scripts::new();
    for n in 0..RUNNING_MAX {
        push(&mut scripts, &["/bin/sleep", "600", &n.to_string()]);
    }
    scripts.advance();
    assert_eq!(scripts.running(), RUNNING_MAX);
    for n in 0..QUEUE_LEN {
        push(&mut scripts, &["/bin/true", &n.to_string()]);
    }
    assert_eq!(scripts.jobs().count(), QUEUE_LEN);
    let oldest = scripts.jobs().nth(RUNNING_MAX).unwrap();
    assert_eq!(
        oldest.argv[1],
        RUNNING_MAX.to_string(),
        "those that run stay"
    );
    assert_eq!(
        scripts.next_due(),
        None,
        "no process is known, and there is no room"
    );
    // Ends the sleepers.
    scripts.limits.runtime_max = Duration::from_nanos(1);
    scripts.limits.retry_delay = Duration::from_secs(600);
    let events = run_until_ended(&mut scripts, &mut reports).await;
    let timeouts = payloads(&events, "-script-timeout");
    let sleepers = timeouts.iter().filter(|it| it.starts_with("/bin/sleep"));
    assert_eq!(sleepers.count(), RUNNING_MAX);
}

#[tokio::test]
async fn a_process_that_cannot_be_made_is_no_try() {
    let (mut scripts, _reports) = Scripts::new();
    push(&mut scripts, &["/bin/true"]);
    scripts.advance();
    for errno in [libc_errno::EAGAIN, libc_errno::ENOMEM, libc_errno::EMFILE] {
        let ending = Ending::of_failed_start(&std::io::Error::from_raw_os_error(errno));
        assert_eq!(ending, Ending::NoProcess);
    }
    let report = Report {
        job: 1,
        news: News::Ended(Ending::NoProcess),
    };
    let events = scripts.handle(report);
    assert_eq!(payloads(&events, "-script-error"), ["/bin/true 99 0"]);
    let job = scripts.jobs().next().unwrap();
    assert_eq!((job.tries, job.running), (0, None));
    assert!(scripts.next_due().is_some());
}

/// Numbers of errors of Linux.
mod libc_errno {
    pub const EAGAIN: i32 = 11;
    pub const ENOMEM: i32 = 12;
    pub const EMFILE: i32 = 24;
}
