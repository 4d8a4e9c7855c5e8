//! What only a store in a directory has: files that originals read, and processes that die.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use codis_runtime::coordinator::{
    self, Coordinator, Error, FileSystem, LockError, OpenError, Takeover,
};

use crate::child::Process;
use crate::support::eventually;

#[tokio::test]
async fn a_killed_holder_leaves_a_stale_record_and_no_lock() {
    let root = tempfile::tempdir().unwrap();
    let store = FileSystem::open(root.path()).await.unwrap();
    let mut child = Process::start("holds_a_lock", root.path().to_str().unwrap());
    child.wait_for("locked");
    let path = "/codis3/p/topom";
    let held = store
        .lock(path, b"ours", Takeover::Allow)
        .await
        .unwrap_err();
    assert!(matches!(held, LockError::Held { .. }), "{held:?}");
    assert!(held.to_string().contains("the child"), "{held}");
    child.kill();
    let stale = store
        .lock(path, b"ours", Takeover::Refuse)
        .await
        .unwrap_err();
    assert!(
        matches!(&stale, LockError::Stale { record, .. } if record == b"the child"),
        "{stale:?}"
    );
    let lock = store.lock(path, b"ours", Takeover::Allow).await.unwrap();
    assert_eq!(
        store.read(path).await.unwrap().as_deref(),
        Some(&b"ours"[..])
    );
    lock.release().await.unwrap();
}

#[tokio::test]
async fn a_writer_killed_at_any_moment_leaves_a_whole_record() {
    let root = tempfile::tempdir().unwrap();
    let store = FileSystem::open(root.path()).await.unwrap();
    for round in 0..10_u64 {
        let mut child = Process::start("writes_until_killed", root.path().to_str().unwrap());
        child.wait_for("writing");
        eventually("a record", || async { store.read("/d/r").await.unwrap() }).await;
        tokio::time::sleep(Duration::from_millis(round * 3)).await;
        child.kill();
        let value = store.read("/d/r").await.unwrap().unwrap();
        assert_eq!(value.len(), 64 * 1024);
        assert!(value.iter().all(|byte| *byte == value[0]));
    }
    assert_eq!(
        store.list("/d").await.unwrap(),
        ["/d/r"],
        "staged files are not records"
    );
}

#[tokio::test]
async fn staged_files_of_the_dead_are_swept_when_they_are_old() {
    let root = tempfile::tempdir().unwrap();
    FileSystem::open(root.path()).await.unwrap();
    let (old, young) = (
        root.path().join("temp/1.old"),
        root.path().join("temp/2.young"),
    );
    let hours_ago = SystemTime::now() - Duration::from_secs(2 * 3600);
    File::create(&old).unwrap().set_modified(hours_ago).unwrap();
    File::create(&young).unwrap();
    let desk = root.path().join("temp/3.desk");
    fs::create_dir(&desk).unwrap();
    let on_it = File::create(desk.join("4.old")).unwrap();
    on_it.set_modified(hours_ago).unwrap();
    File::open(&desk).unwrap().set_modified(hours_ago).unwrap();
    FileSystem::open(root.path()).await.unwrap();
    assert!(!old.exists() && !desk.exists());
    assert!(young.exists(), "somebody may be writing it");
}

#[tokio::test]
async fn files_lie_where_the_original_looks() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data/codis3/p");
    fs::create_dir_all(data.join("group")).unwrap();
    fs::write(data.join("group/group-0001"), b"by the original").unwrap();
    let store = FileSystem::open(root.path()).await.unwrap();
    assert_eq!(
        store.list("/codis3/p/group").await.unwrap(),
        ["/codis3/p/group/group-0001"]
    );
    let read = store.read("/codis3/p/group/group-0001").await.unwrap();
    assert_eq!(read.as_deref(), Some(&b"by the original"[..]));
    store
        .update("/codis3/p/slots/slot-0007", b"by us")
        .await
        .unwrap();
    assert_eq!(fs::read(data.join("slots/slot-0007")).unwrap(), b"by us");
    let desks = fs::read_dir(root.path().join("temp")).unwrap();
    let staged = desks.flat_map(|desk| fs::read_dir(desk.unwrap().path()).unwrap());
    assert_eq!(staged.count(), 0);
    let left = fs::read(root.path().join("data.lck")).unwrap();
    assert_eq!(left, b"", "the lock file is empty when nobody is inside");
}

#[tokio::test]
async fn an_original_inside_the_store_is_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let store = FileSystem::open(root.path()).await.unwrap();
    let original = File::create(root.path().join("data.lck")).unwrap();
    original.lock().unwrap();
    let writer = store.clone();
    let write = tokio::spawn(async move { writer.update("/a", b"v").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!write.is_finished(), "the write must wait");
    original.unlock().unwrap();
    write.await.unwrap().unwrap();
    assert_eq!(store.read("/a").await.unwrap().as_deref(), Some(&b"v"[..]));
}

#[tokio::test]
async fn a_store_that_is_never_free_is_reported_with_its_holder() {
    let root = tempfile::tempdir().unwrap();
    let store = FileSystem::open(root.path()).await.unwrap();
    let file = root.path().join("data.lck");
    let original = File::create(&file).unwrap();
    original.lock().unwrap();
    fs::write(&file, b"{\n    \"now\": \"...\",\n    \"pid\": 4711\n}").unwrap();
    let error = store.update("/a", b"v").await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    assert!(error.to_string().contains("4711"), "{error}");
    drop(original);
    assert_eq!(store.read("/a").await.unwrap(), None);
}

#[tokio::test]
async fn names_open_what_this_build_supports() {
    let root = tempfile::tempdir().unwrap();
    let addr = root.path().to_str().unwrap();
    for name in ["filesystem", "fs"] {
        let store = coordinator::open(name, addr, "user:ignored").await.unwrap();
        store.update("/a", b"v").await.unwrap();
    }
    for name in ["zookeeper", "zk", "etcd"] {
        // Nothing is asked of a server yet.
        let open = |addr, auth| coordinator::open(name, addr, auth);
        open("127.0.0.1:1,127.0.0.2:1", "user:pass").await.unwrap();
        let error = open("127.0.0.1:1", "user").await.unwrap_err();
        assert!(matches!(error, OpenError::Auth(_)), "{error}");
        assert!(error.to_string().starts_with("invalid auth"), "{error}");
        for odd in ["", "127.0.0.1:x", ","] {
            let error = open(odd, "").await.unwrap_err();
            assert!(matches!(error, OpenError::Address { .. }), "{error}");
        }
    }
    let error = coordinator::open("consul", "x", "").await.unwrap_err();
    assert_eq!(error.to_string(), "invalid coordinator name = consul");
    assert!(coordinator::open("fs", "", "").await.is_err());
    let file = root.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = coordinator::open("fs", file.to_str().unwrap(), "")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("make directory"), "{error}");
}

#[tokio::test]
async fn a_directory_has_no_ephemeral_records() {
    let root = tempfile::tempdir().unwrap();
    let store = FileSystem::open(root.path()).await.unwrap();
    let error = store.create_ephemeral("/a", b"v", None).await.unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert!(
        error.to_string().contains("`etcd` or `zookeeper`"),
        "{error}"
    );
}
