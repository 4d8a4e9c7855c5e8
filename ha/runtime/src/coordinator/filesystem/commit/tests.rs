//! A process that dies, or sleeps, in the middle of a commit.

use std::fs;
use std::time::Duration;

use super::super::note;
use super::*;

/// Short, so that who does not move is not waited for long.
const LEASE: Duration = Duration::from_millis(200);

fn open(root: &Path) -> Tree {
    Tree::open(root, LEASE).unwrap()
}

fn tree() -> (tempfile::TempDir, Tree) {
    let root = tempfile::tempdir().unwrap();
    let tree = open(root.path());
    (root, tree)
}

fn put<'a>(path: &'a str, value: &'a [u8]) -> Write<'a> {
    Write {
        path,
        expected: Expected::Anything,
        value: Some(value),
    }
}

fn delete(path: &str) -> Write<'_> {
    Write {
        path,
        expected: Expected::Anything,
        value: None,
    }
}

fn commit(tree: &Tree, writes: &[Write<'_>]) -> Commit {
    Request::of("commit", writes, &[]).stage(tree).unwrap()
}

fn run(tree: &Tree, writes: &[Write<'_>]) -> Result<(), Error> {
    let commit = Request::of("commit", writes, &[]).stage(tree)?;
    commit.run(&tree.enter()?)
}

fn held(tree: &Tree, path: &str) -> Option<String> {
    let value = tree.read(path).unwrap();
    value.map(|value| String::from_utf8(value).unwrap())
}

/// The commit of `/d/a`, `/d/b` and the end of `/d/gone`, written down and not done.
fn interrupted(inside: &Inside<'_>) -> Journal {
    let names = ["a", "b"].map(|value| {
        let staged = inside.stage(value.as_bytes()).unwrap();
        let name = staged.name();
        staged.keep();
        name
    });
    let [first, second] = names;
    let put = |path: &str, staged| Step::Put {
        path: path.to_owned(),
        staged,
    };
    let steps = vec![
        put("/d/a", first),
        put("/d/b", second),
        Step::Delete {
            path: "/d/gone".to_owned(),
        },
    ];
    let desk = inside.own_desk().unwrap().to_owned();
    let journal = Journal { desk, steps };
    write_down(inside, &journal).unwrap();
    journal
}

fn do_some(inside: &Inside<'_>, journal: &Journal, some: usize) {
    let desk = &journal.desk;
    for step in journal.steps.iter().take(some) {
        match step {
            Step::Put { path, staged } => {
                let staged = inside.desk.dir(desk).join(staged);
                assert!(inside.shift(desk, &staged, &inside.file(path)).unwrap());
            }
            Step::Delete { path } => assert!(inside.remove_unsynced(desk, path).unwrap()),
        }
    }
}

/// What lies on the desks of all processes.
fn on_desks(tree: &Tree) -> usize {
    let desks = fs::read_dir(tree.root().join("temp")).unwrap();
    let files = desks.flat_map(|desk| fs::read_dir(desk.unwrap().path()).unwrap());
    files.count()
}

fn assert_done(tree: &Tree) {
    assert_eq!(held(tree, "/d/a").as_deref(), Some("a"));
    assert_eq!(held(tree, "/d/b").as_deref(), Some("b"));
    assert_eq!(held(tree, "/d/gone"), None);
    assert!(!journal_file(tree).exists(), "the journal is done with");
    assert_eq!(on_desks(tree), 0, "nothing is left behind");
}

/// However far it came, whoever enters next goes on from there.
#[test]
fn a_commit_that_was_cut_is_finished_by_the_next_one() {
    for done in 0..=3 {
        let (root, tree) = tree();
        run(&tree, &[put("/d/gone", b"old")]).unwrap();
        let inside = tree.enter().unwrap();
        let journal = interrupted(&inside);
        do_some(&inside, &journal, done);
        drop(inside);
        let other = open(root.path());
        assert_done(&other);
        drop(other.enter().unwrap());
    }
}

#[test]
fn a_store_that_is_opened_finishes_the_last_commit() {
    let (root, tree) = tree();
    run(&tree, &[put("/d/gone", b"old")]).unwrap();
    interrupted(&tree.enter().unwrap());
    assert_done(&open(root.path()));
}

/// As often as it takes: each that dies on the way has moved the desk once more.
#[test]
fn a_commit_is_finished_by_the_second_who_tries() {
    let (root, tree) = tree();
    run(&tree, &[put("/d/gone", b"old")]).unwrap();
    let journal = interrupted(&tree.enter().unwrap());
    let first = tree.desk.take_away(&journal.desk).unwrap();
    assert!(first.is_some_and(|first| first != journal.desk));
    assert_done(&open(root.path()));
}

/// Before the journal is in place nothing was done, and nothing will be.
#[test]
fn a_commit_that_was_not_written_down_was_not_made() {
    let (root, tree) = tree();
    let both = [put("/d/a", b"a"), put("/d/b", b"b")];
    std::mem::forget(commit(&tree, &both));
    let again = open(root.path());
    assert_eq!(held(&again, "/d/a"), None);
    assert_eq!(held(&again, "/d/b"), None);
}

/// Nobody may go on over a journal that nobody understands.
#[test]
fn a_journal_that_cannot_be_read_closes_the_store() {
    let (_root, tree) = tree();
    fs::write(journal_file(&tree), b"[{\"move\":{}}]").unwrap();
    let told = tree.enter().map(drop).unwrap_err().to_string();
    assert!(told.contains("journal"), "{told}");
}

#[test]
fn what_was_staged_for_a_refused_commit_is_removed() {
    let (_root, tree) = tree();
    let write = Write {
        path: "/d/a",
        expected: Expected::Value(b"else"),
        value: Some(b"a"),
    };
    let both = [put("/d/b", b"b"), write];
    run(&tree, &both).unwrap_err();
    assert_eq!(on_desks(&tree), 0);
    assert!(!journal_file(&tree).exists());
}

#[test]
fn deletions_alone_are_a_commit_too() {
    let (_root, tree) = tree();
    run(&tree, &[put("/d/a", b"a"), put("/d/b", b"b")]).unwrap();
    let again = open(tree.root());
    run(&again, &[delete("/d/a"), delete("/d/b")]).unwrap();
    assert_eq!(tree.list("/d").unwrap(), Vec::<String>::new());
    assert_eq!(on_desks(&tree), 0);
}

/// A sleeper inside is waited for a moment. What it does after that changes nothing, and it is
/// told.
#[test]
fn who_sleeps_inside_is_waited_for_and_changes_nothing_when_it_wakes() {
    let (root, sleeper) = tree();
    run(&sleeper, &[put("/d/a", b"old"), put("/d/b", b"old")]).unwrap();
    let several = commit(&sleeper, &[put("/d/a", b"late"), put("/d/b", b"late")]);
    let single = commit(&sleeper, &[put("/d/a", b"late")]);
    let inside = sleeper.enter().unwrap();

    let other = open(root.path());
    let began = std::time::Instant::now();
    run(&other, &[put("/d/a", b"new"), put("/d/b", b"new")]).unwrap();
    assert!(began.elapsed() > LEASE, "it is waited for");

    let taken = |outcome: Result<(), Error>| {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Taken { .. }), "{error}");
    };
    taken(inside.check());
    taken(several.run(&inside));
    taken(single.run(&inside));
    taken(inside.remove("/d/a"));
    taken(inside.stage(b"late").map(drop));
    assert_eq!(held(&other, "/d/a").as_deref(), Some("new"));
    assert_eq!(held(&other, "/d/b").as_deref(), Some("new"));
    drop(inside);

    run(&sleeper, &[put("/d/a", b"later")]).unwrap();
    assert_eq!(held(&other, "/d/a").as_deref(), Some("later"));
}

/// The commit is made, by others: the sleeper is told so, and leaves their next journal alone.
#[test]
fn who_sleeps_in_a_commit_that_is_made_finds_it_done() {
    for done in 0..=3 {
        let (root, sleeper) = tree();
        run(&sleeper, &[put("/d/gone", b"old")]).unwrap();
        let inside = sleeper.enter().unwrap();
        let journal = interrupted(&inside);
        do_some(&inside, &journal, done);

        let other = open(root.path());
        let next = other.enter().unwrap();
        assert_done(&other);
        other.desk.prepare().unwrap();
        drop(next);
        let next = other.enter().unwrap();
        let theirs = interrupted(&next);
        let late = carry_out(&inside, &journal.desk, &journal.steps);
        assert!(matches!(late, Err(Error::Taken { .. })), "{late:?}");
        assert!(journal_file(&other).exists(), "it is not the sleeper's");
        carry_out(&next, &theirs.desk, &theirs.steps).unwrap();
        assert_done(&other);
    }
}

/// A slow process is not a sleeping one, however many wait.
#[test]
fn who_moves_is_never_robbed() {
    let (root, busy) = tree();
    run(&busy, &[put("/d/a", b"0")]).unwrap();
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let other = open(root.path());
                    (0..20).for_each(|_| run(&other, &[put("/d/o", b"x")]).unwrap());
                })
            })
            .collect();
        while !others.iter().all(|other| other.is_finished()) {
            let inside = busy.enter().unwrap();
            std::thread::sleep(LEASE / 10);
            inside.check().unwrap();
        }
    });
}

/// A dead process leaves its note; the next one is not taken for it.
#[test]
fn a_note_of_the_dead_is_nobodys_sleep() {
    let (root, tree) = tree();
    let old = note::Visitor::new("nobody's", "1".to_owned());
    fs::write(&tree.lock_file, old.text()).unwrap();
    run(&tree, &[put("/d/a", b"a")]).unwrap();
    let left = fs::read(&tree.lock_file).unwrap();
    assert_eq!(left, b"", "the file is empty when nobody is inside");
    drop(root);
}
