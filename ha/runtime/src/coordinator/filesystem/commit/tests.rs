//! A process that dies in the middle of a commit.

use std::fs;

use super::*;

fn tree() -> (tempfile::TempDir, Tree) {
    let root = tempfile::tempdir().unwrap();
    let tree = Tree::open(root.path()).unwrap();
    (root, tree)
}

fn put<'a>(path: &'a str, value: &'a [u8]) -> Write<'a> {
    Write {
        path,
        expected: Expected::Anything,
        value: Some(value),
    }
}

fn commit(tree: &Tree, writes: &[Write<'_>]) -> Commit {
    Request::of("commit", writes, &[]).stage(tree).unwrap()
}

/// The steps of a commit of `/d/a`, `/d/b` and the end of `/d/gone`, written down and not done.
fn interrupted(tree: &Tree) -> Vec<Step> {
    let names = ["a", "b"].map(|value| {
        let staged = tree.stage(value.as_bytes()).unwrap();
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
    write_down(tree, &steps).unwrap();
    steps
}

fn assert_done(tree: &Tree) {
    assert_eq!(tree.read("/d/a").unwrap().as_deref(), Some(&b"a"[..]));
    assert_eq!(tree.read("/d/b").unwrap().as_deref(), Some(&b"b"[..]));
    assert_eq!(tree.read("/d/gone").unwrap(), None);
    assert!(!journal(tree).exists(), "the journal is done with");
    let left = fs::read_dir(tree.root().join("temp")).unwrap().count();
    assert_eq!(left, 0, "nothing is left behind");
}

/// However far it came, whoever enters next goes on from there.
#[test]
fn a_commit_that_was_cut_is_finished_by_the_next_one() {
    for done in 0..=3 {
        let (_root, tree) = tree();
        commit(&tree, &[put("/d/gone", b"old")]).run(&tree).unwrap();
        let steps = interrupted(&tree);
        for step in steps.iter().take(done) {
            match step {
                Step::Put { path, staged } => tree.place_unless_done(staged, path).unwrap(),
                Step::Delete { path } => drop(tree.remove_unsynced(path).unwrap()),
            }
        }
        let inside = tree.enter().unwrap();
        assert_done(&tree);
        drop(inside);
    }
}

#[test]
fn a_store_that_is_opened_finishes_the_last_commit() {
    let (root, tree) = tree();
    commit(&tree, &[put("/d/gone", b"old")]).run(&tree).unwrap();
    interrupted(&tree);
    assert_done(&Tree::open(root.path()).unwrap());
}

/// Before the journal is in place nothing was done, and nothing will be.
#[test]
fn a_commit_that_was_not_written_down_was_not_made() {
    let (root, tree) = tree();
    let both = [put("/d/a", b"a"), put("/d/b", b"b")];
    std::mem::forget(commit(&tree, &both));
    let again = Tree::open(root.path()).unwrap();
    assert_eq!(again.read("/d/a").unwrap(), None);
    assert_eq!(again.read("/d/b").unwrap(), None);
}

/// Nobody may go on over a journal that nobody understands.
#[test]
fn a_journal_that_cannot_be_read_closes_the_store() {
    let (_root, tree) = tree();
    fs::write(journal(&tree), b"[{\"move\":{}}]").unwrap();
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
    commit(&tree, &both).run(&tree).unwrap_err();
    let left = fs::read_dir(tree.root().join("temp")).unwrap().count();
    assert_eq!(left, 0);
    assert!(!journal(&tree).exists());
}
