use codis_core::addr::Addr;
use codis_core::epoch::Epoch;
use codis_core::failover::{Record, Role};

use super::*;

fn record(name: &str, epoch: u64, outcome: &str) -> Record {
    Record {
        name: name.into(),
        epoch: Epoch(epoch),
        first_epoch: Epoch(epoch),
        attempts: 1,
        sentinel: "me".into(),
        role: Role::Leader,
        leader: None,
        cause: "o_down".into(),
        start_unix_ms: 1,
        stages: Vec::new(),
        votes: Vec::new(),
        candidates: Vec::new(),
        from: Addr::new("127.0.0.1", 1),
        to: (outcome == "end").then(|| Addr::new("127.0.0.1", 2)),
        outcome: outcome.into(),
    }
}

fn epochs(history: &History, name: Option<&str>) -> Vec<u64> {
    history.newest(name).map(|it| it.epoch.0).collect()
}

#[tokio::test]
async fn records_survive_a_restart_and_a_torn_line_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h");
    let (log, _guard) = crate::log::start(None, crate::log::Level::Warning, None).unwrap();
    let mut history = History::start(path.clone(), &log);
    for epoch in 1..=3 {
        history.keep(record("a", epoch, "end"));
    }
    history.keep(record("b", 9, "not-elected"));
    history.close().await;
    let mut text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 4);
    text.push_str("{\"name\":\"a\",\"epo");
    fs::write(&path, text).unwrap();

    let mut history = History::start(path.clone(), &log);
    assert_eq!(epochs(&history, Some("a")), [3, 2, 1]);
    assert_eq!(epochs(&history, None), [9, 3, 2, 1]);
    assert_eq!(history.last_switch("a").unwrap().epoch, Epoch(3));
    assert!(history.last_switch("b").is_none());
    history.keep(record("a", 4, "end"));
    history.close().await;
    let history = History::start(path, &log);
    assert_eq!(epochs(&history, None), [4, 9, 3, 2, 1]);
    assert!(!history.torn, "the file is in order again");
}

#[tokio::test]
async fn the_history_and_its_file_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h");
    let (log, _guard) = crate::log::start(None, crate::log::Level::Warning, None).unwrap();
    let mut history = History::start(path.clone(), &log);
    for epoch in 0..2000 {
        history.keep(record(&format!("m{}", epoch % 20), epoch, "end"));
        // The writing task gets its turn.
        tokio::task::yield_now().await;
    }
    assert_eq!(epochs(&history, None).len(), ALL_MAX);
    for epoch in 3000..3100 {
        history.keep(record("m0", epoch, "end"));
    }
    assert_eq!(epochs(&history, Some("m0")).len(), NAME_MAX);
    let newest = epochs(&history, None);
    history.keep(record("m0", 4000, "end"));
    history.close().await;
    let lines = fs::read_to_string(&path).unwrap().lines().count();
    assert!(lines <= LINES_MAX + 1, "{lines}");
    assert_eq!(newest.len(), ALL_MAX);
}

#[test]
fn more_of_the_same_attempts_replace_the_record() {
    let mut records = VecDeque::new();
    let mut failed = record("a", 5, "not-elected");
    insert(&mut records, failed.clone());
    insert(&mut records, record("b", 5, "not-elected"));
    (failed.attempts, failed.epoch) = (2, Epoch(6));
    insert(&mut records, failed);
    let all: Vec<_> = records.iter().map(|it| (&*it.name, it.attempts)).collect();
    assert_eq!(all, [("b", 1), ("a", 2)]);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_costs_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _guard) = crate::log::start(None, crate::log::Level::Warning, None).unwrap();
    // Its directory is missing.
    let mut history = History::start(dir.path().join("no/h"), &log);
    history.keep(record("a", 1, "end"));
    assert_eq!(epochs(&history, None), [1]);
    history.close().await;
}
