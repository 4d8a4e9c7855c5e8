use codis_topom::edit;
use tokio::sync::oneshot;

use super::*;

type Answer = oneshot::Receiver<Result<View, Error>>;

fn empty() -> Group {
    Group::over(View {
        revision: 7,
        cluster: Arc::default(),
    })
}

/// Somebody asks for a group of this id.
fn create(group: &mut Group, id: i64) -> Answer {
    let (reply, answer) = oneshot::channel();
    group.add(Edited {
        audit: Audit::own(format!("group/create/{id}")),
        decide: Box::new(move |cluster| edit::create_group(cluster, id)),
        reply,
    });
    answer
}

fn told(mut answer: Answer) -> Result<u64, String> {
    let outcome = answer.try_recv().expect("it was answered");
    outcome
        .map(|view| view.revision)
        .map_err(|error| error.to_string())
}

fn publish(cluster: Arc<Cluster>) -> View {
    View {
        revision: 8,
        cluster,
    }
}

#[test]
fn those_that_are_stored_together_see_each_other_and_are_told_together() {
    let mut group = empty();
    let (first, again, other) = (
        create(&mut group, 1),
        create(&mut group, 1),
        create(&mut group, 2),
    );
    assert_eq!(group.changes().len(), 2);
    let (log, counters) = (AuditLog::default(), Counters::default());
    let mut known = Vec::new();
    group.stored(&log, &counters, |cluster| {
        known = cluster.groups().map(|group| group.id).collect();
        publish(cluster)
    });
    assert_eq!(known, [1, 2]);
    assert_eq!((told(first), told(other)), (Ok(8), Ok(8)));
    assert_eq!(told(again), Err("group-[1] already exists".to_owned()));
    assert_eq!(counters.edits.get(), 2);
    let entries = log.recent(10);
    let words: Vec<&str> = entries.iter().map(|entry| entry.what.as_str()).collect();
    assert_eq!(words, ["group/create/1", "group/create/2"]);
}

/// What was refused for the sake of a change that was not stored is not refused, but failed too.
#[test]
fn a_commit_that_fails_fails_all_that_saw_it() {
    let mut group = empty();
    let (first, again) = (create(&mut group, 1), create(&mut group, 1));
    let (log, counters) = (AuditLog::default(), Counters::default());
    group.failed(&log, &counters, &store::timed_out());
    let text = "store: create group-[1] failed".to_owned();
    assert_eq!(told(first), Err(text));
    let text = "store: commit failed".to_owned();
    assert_eq!(told(again), Err(text));
    assert_eq!((counters.edits.get(), counters.edits_failed.get()), (0, 1));
    assert_eq!(log.recent(10).len(), 1);
}

/// A store that hangs delays nobody who wants nothing of it.
#[test]
fn who_changes_nothing_and_saw_no_change_does_not_wait() {
    let mut group = empty();
    let refused = create(&mut group, 0);
    assert!(told(refused).is_err());
    let (reply, answer) = oneshot::channel();
    group.add(Edited {
        audit: Audit::own("nothing"),
        decide: Box::new(|_| Ok(Vec::new())),
        reply,
    });
    assert_eq!(told(answer), Ok(7));
    assert!(group.is_empty());
}

#[test]
fn a_group_ends_where_a_commit_does() {
    let mut group = empty();
    let mut answers = Vec::new();
    for id in 1.. {
        if !group.has_room() {
            break;
        }
        answers.push(create(&mut group, id));
    }
    assert_eq!(answers.len(), COMMIT_WRITES_MAX);
}
