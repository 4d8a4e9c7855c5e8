use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

fn script(dir: &Path, name: &str, body: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn run_until_ended(
    scripts: &mut Scripts,
    reports: &mut mpsc::Receiver<Report>,
) -> Vec<Event> {
    let mut events = Vec::new();
    scripts.start_due();
    while scripts.running() > 0 {
        let report = reports.recv().await.unwrap();
        events.extend(scripts.handle(report));
    }
    events
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|e| e.name).collect()
}

#[tokio::test]
async fn a_script_gets_its_arguments_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let path = script(
        dir.path(),
        "s",
        &format!("printf '%s|' \"$@\" > {}", out.display()),
    );
    let (mut scripts, mut reports) = Scripts::new();
    scripts.push(vec![path, "+sdown".into(), "a b; $(rm) 'c'".into()]);
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
    scripts.push(vec![script(dir.path(), "again", "exit 1")]);
    scripts.push(vec![script(dir.path(), "bad", "exit 3")]);
    scripts.push(vec!["/no/such/script".into()]);
    let events = run_until_ended(&mut scripts, &mut reports).await;
    let errors: Vec<&str> = events
        .iter()
        .filter(|e| e.name == "-script-error")
        .map(|e| &e.payload[e.payload.find(' ').unwrap()..])
        .collect();
    assert_eq!(errors.len(), 2, "{events:?}");
    assert!(
        errors.contains(&" 0 3") && errors.contains(&" 0 2"),
        "{errors:?}"
    );
    let jobs: Vec<JobView<'_>> = scripts.jobs().collect();
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].tries, 1);
    assert!(jobs[0].delay > Duration::from_secs(29));
}

#[tokio::test]
async fn the_queue_and_the_number_of_running_scripts_are_bounded() {
    let (mut scripts, _reports) = Scripts::new();
    for n in 0..QUEUE_LEN + 10 {
        scripts.push(vec!["/bin/true".into(), n.to_string()]);
    }
    assert_eq!(scripts.jobs().count(), QUEUE_LEN);
    assert_eq!(scripts.jobs().next().unwrap().argv[1], "10");
    scripts.start_due();
    assert_eq!(scripts.running(), RUNNING_MAX);
    assert_eq!(scripts.next_due(), None);
}
