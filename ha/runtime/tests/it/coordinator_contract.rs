//! The contract of every coordinator, as one suite that runs against each of them.
//!
//! A store joins by a call of [`contract`] with a factory: each part of the suite gets a store
//! that is empty, and a second handle to the same store stands for another process.

mod changes;
mod commits;
pub mod sessions;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use codis_runtime::coordinator::{
    Error, FileSystem, LockError, Memory, Shared, Takeover, VALUE_BYTES_MAX,
};

use self::changes::{
    a_watch_tells_of_records_and_of_children, a_write_is_refused_when_a_record_changed,
};
use self::commits::{
    a_commit_has_limits, a_commit_is_made_as_a_whole_or_not_at_all, a_directory_is_read_at_once,
    a_large_directory_is_read_whole, a_lock_says_how_long_it_lasts,
};
use self::sessions::contract_of_sessions;
use crate::support::{PATIENCE, eventually};

/// Two handles to one fresh, empty store, and what keeps it alive.
pub struct Fresh {
    pub one: Shared,
    pub other: Shared,
    pub _keep: Option<tempfile::TempDir>,
}

/// Runs the whole suite.
pub async fn contract<F: Future<Output = Fresh>>(fresh: impl Fn() -> F) {
    records_are_created_once(&fresh().await).await;
    records_are_replaced_and_removed(&fresh().await).await;
    directories_are_listed(&fresh().await).await;
    records_and_directories_do_not_mix(&fresh().await).await;
    any_bytes_are_kept(&fresh().await).await;
    odd_paths_are_refused(&fresh().await).await;
    of_many_creators_one_wins(&fresh().await).await;
    readers_never_see_a_torn_value(&fresh().await).await;
    a_lock_excludes_and_ends(&fresh().await).await;
    a_stale_record_is_taken_over_on_demand(&fresh().await).await;
    a_foreign_record_survives_the_release(&fresh().await).await;
    a_write_is_refused_when_a_record_changed(&fresh().await).await;
    a_watch_tells_of_records_and_of_children(&fresh().await).await;
    a_commit_is_made_as_a_whole_or_not_at_all(&fresh().await).await;
    a_commit_has_limits(&fresh().await).await;
    a_directory_is_read_at_once(&fresh().await).await;
    a_large_directory_is_read_whole(&fresh().await).await;
    a_lock_says_how_long_it_lasts(&fresh().await).await;
}

async fn records_are_created_once(fresh: &Fresh) {
    let (one, other) = (&fresh.one, &fresh.other);
    one.create("/codis3/p/group/group-0001", b"first")
        .await
        .unwrap();
    let again = other.create("/codis3/p/group/group-0001", b"second").await;
    assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
    let held = other.read("/codis3/p/group/group-0001").await.unwrap();
    assert_eq!(held.as_deref(), Some(&b"first"[..]));
}

async fn records_are_replaced_and_removed(fresh: &Fresh) {
    let (one, other) = (&fresh.one, &fresh.other);
    let path = "/codis3/p/sentinel";
    assert_eq!(one.read(path).await.unwrap(), None);
    one.delete(path).await.unwrap();
    one.delete("/not/there/at/all").await.unwrap();
    for value in [
        &b"made by update"[..],
        b"longer than the one before it",
        b"x",
    ] {
        one.update(path, value).await.unwrap();
        assert_eq!(other.read(path).await.unwrap().as_deref(), Some(value));
    }
    other.delete(path).await.unwrap();
    assert_eq!(one.read(path).await.unwrap(), None);
    one.create(path, b"again").await.unwrap();
    assert_eq!(other.read("/codis3/p/sentinel/below").await.unwrap(), None);
    other.delete("/codis3/p/sentinel/below").await.unwrap();
}

async fn directories_are_listed(fresh: &Fresh) {
    let one = &fresh.one;
    assert_eq!(one.list("/codis3").await.unwrap(), Vec::<String>::new());
    for name in [
        "b/topom",
        "a/slots/slot-0002",
        "a/slots/slot-0001",
        "a-b",
        "a!",
    ] {
        one.update(&format!("/codis3/{name}"), b"").await.unwrap();
    }
    let all = fresh.other.list("/codis3").await.unwrap();
    assert_eq!(all, ["/codis3/a", "/codis3/a!", "/codis3/a-b", "/codis3/b"]);
    let slots = one.list("/codis3/a/slots").await.unwrap();
    assert_eq!(
        slots,
        ["/codis3/a/slots/slot-0001", "/codis3/a/slots/slot-0002"]
    );
}

async fn records_and_directories_do_not_mix(fresh: &Fresh) {
    let one = &fresh.one;
    one.create("/codis3/p/topom", b"record").await.unwrap();
    let outcomes = [
        one.list("/codis3/p/topom").await.err(),
        one.read("/codis3/p").await.err(),
        one.update("/codis3/p", b"v").await.err(),
        one.delete("/codis3/p").await.err(),
        one.create("/codis3/p/topom/below", b"v").await.err(),
        one.update("/codis3/p/topom/far/below", b"v").await.err(),
    ];
    for (index, outcome) in outcomes.iter().enumerate() {
        assert!(
            matches!(outcome, Some(Error::Kind { .. })),
            "{index}: {outcome:?}"
        );
    }
    assert!(matches!(
        one.create("/codis3/p", b"v").await,
        Err(Error::Exists { .. })
    ));
    assert_eq!(
        one.read("/codis3/p/topom").await.unwrap().as_deref(),
        Some(&b"record"[..])
    );
}

async fn any_bytes_are_kept(fresh: &Fresh) {
    let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for value in [&all[..], b"", b"\0", b"no newline", b"\xff\xfe\r\n"] {
        fresh.one.update("/v", value).await.unwrap();
        assert_eq!(
            fresh.other.read("/v").await.unwrap().as_deref(),
            Some(value)
        );
    }
    let largest = vec![7; VALUE_BYTES_MAX];
    fresh.one.update("/v", &largest).await.unwrap();
    let over = fresh.one.update("/v", &vec![8; VALUE_BYTES_MAX + 1]).await;
    assert!(matches!(over, Err(Error::TooLarge { .. })), "{over:?}");
    assert_eq!(fresh.other.read("/v").await.unwrap(), Some(largest));
}

async fn odd_paths_are_refused(fresh: &Fresh) {
    let one = &fresh.one;
    let long = format!("/{}", "x".repeat(256));
    let odd = [
        "", "a", "/", "//", "/a/", "/a//b", "/..", "/a/../b", "/./a", "/a\0b", "/a\nb", &long,
    ];
    for path in odd {
        let outcomes = [
            one.create(path, b"").await.err(),
            one.update(path, b"").await.err(),
            one.delete(path).await.err(),
            one.read(path).await.err(),
            one.list(path).await.err(),
        ];
        for outcome in outcomes {
            assert!(
                matches!(outcome, Some(Error::Path { .. })),
                "{path:?}: {outcome:?}"
            );
        }
        let lock = one.lock(path, b"", Takeover::Allow).await;
        assert!(
            matches!(lock, Err(LockError::Store(Error::Path { .. }))),
            "{path:?}: {lock:?}"
        );
    }
    for path in ["/a+b", "/%41", "/...", "/a b", "/é"] {
        one.update(path, path.as_bytes()).await.unwrap();
        assert_eq!(
            one.read(path).await.unwrap().as_deref(),
            Some(path.as_bytes())
        );
    }
}

async fn of_many_creators_one_wins(fresh: &Fresh) {
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..16_u8 {
        let store = if index % 2 == 0 {
            &fresh.one
        } else {
            &fresh.other
        }
        .clone();
        tasks.spawn(async move {
            store
                .create("/race/deep/down", &[index])
                .await
                .map(|()| index)
        });
    }
    let mut winners = Vec::new();
    while let Some(outcome) = tasks.join_next().await {
        match outcome.unwrap() {
            Ok(index) => winners.push(index),
            Err(error) => assert!(matches!(error, Error::Exists { .. }), "{error}"),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(
        fresh.one.read("/race/deep/down").await.unwrap(),
        Some(winners)
    );
}

async fn readers_never_see_a_torn_value(fresh: &Fresh) {
    const ROUNDS: usize = 20;
    fresh.one.update("/torn", &[0; 1000]).await.unwrap();
    let written = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 1..=4_u8 {
        let store = if writer % 2 == 0 {
            &fresh.one
        } else {
            &fresh.other
        }
        .clone();
        writers.spawn(async move {
            for round in 0..ROUNDS {
                let len = 1000 + (round * 7919) % 60_000;
                store.update("/torn", &vec![writer; len]).await.unwrap();
            }
        });
    }
    let (reader, done) = (fresh.other.clone(), written.clone());
    let reading = tokio::spawn(async move {
        while !done.load(Ordering::Relaxed) {
            let value = reader.read("/torn").await.unwrap().unwrap();
            assert!(
                value.iter().all(|byte| *byte == value[0]),
                "a torn value was read"
            );
            assert_eq!(reader.list("/").await.ok(), None);
        }
    });
    while let Some(outcome) = writers.join_next().await {
        outcome.unwrap();
    }
    written.store(true, Ordering::Relaxed);
    reading.await.unwrap();
}

async fn a_lock_excludes_and_ends(fresh: &Fresh) {
    let (one, other) = (&fresh.one, &fresh.other);
    let path = "/codis3/p/topom";
    let lock = one.lock(path, b"who I am", Takeover::Refuse).await.unwrap();
    assert_eq!(lock.path(), path);
    for takeover in [Takeover::Refuse, Takeover::Allow] {
        for store in [one, other] {
            let refused = store.lock(path, b"me too", takeover).await.unwrap_err();
            let LockError::Held { record, .. } = &refused else {
                panic!("{refused:?}");
            };
            assert_eq!(record.as_deref(), Some(&b"who I am"[..]));
            assert!(refused.to_string().contains("who I am"), "{refused}");
        }
    }
    let second = one
        .lock("/codis3/q/topom", b"another name", Takeover::Refuse)
        .await
        .unwrap();
    lock.release().await.unwrap();
    assert_eq!(
        other.read(path).await.unwrap(),
        None,
        "the record goes with the lock"
    );
    let lock = other
        .lock(path, b"my turn", Takeover::Refuse)
        .await
        .unwrap();
    drop(lock);
    eventually("a dropped lock is released too", || async {
        one.read(path).await.unwrap().is_none().then_some(())
    })
    .await;
    drop(one.lock(path, b"me again", Takeover::Refuse).await.unwrap());
    second.release().await.unwrap();
}

async fn a_stale_record_is_taken_over_on_demand(fresh: &Fresh) {
    let path = "/codis3/p/topom";
    fresh.one.create(path, b"left by a crash").await.unwrap();
    let refused = fresh
        .other
        .lock(path, b"new", Takeover::Refuse)
        .await
        .unwrap_err();
    let LockError::Stale { record, .. } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(record, b"left by a crash");
    assert!(refused.to_string().contains("left by a crash"), "{refused}");
    let held = fresh.one.read(path).await.unwrap();
    assert_eq!(
        held.as_deref(),
        Some(&b"left by a crash"[..]),
        "a refusal changes nothing"
    );
    let lock = fresh
        .other
        .lock(path, b"new", Takeover::Allow)
        .await
        .unwrap();
    assert_eq!(
        fresh.one.read(path).await.unwrap().as_deref(),
        Some(&b"new"[..])
    );
    lock.release().await.unwrap();
}

async fn a_foreign_record_survives_the_release(fresh: &Fresh) {
    let path = "/codis3/p/topom";
    for by_drop in [false, true] {
        let lock = fresh
            .one
            .lock(path, b"ours", Takeover::Allow)
            .await
            .unwrap();
        fresh.other.update(path, b"theirs").await.unwrap();
        if by_drop {
            drop(lock);
            // What a destructor leaves to be done is done soon.
            tokio::time::sleep(Duration::from_millis(500)).await;
        } else {
            lock.release().await.unwrap()
        }
        assert_eq!(
            fresh.one.read(path).await.unwrap().as_deref(),
            Some(&b"theirs"[..])
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_contract() {
    let fresh = || async {
        let store = Memory::new();
        let (one, other) = (Arc::new(store.clone()), Arc::new(store));
        Fresh {
            one,
            other,
            _keep: None,
        }
    };
    contract(fresh).await;
    contract_of_sessions(fresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_system_keeps_the_contract() {
    let started = Instant::now();
    contract(|| async {
        let root = tempfile::tempdir().unwrap();
        let one = Arc::new(FileSystem::open(root.path()).await.unwrap());
        let other = Arc::new(FileSystem::open(root.path()).await.unwrap());
        Fresh {
            one,
            other,
            _keep: Some(root),
        }
    })
    .await;
    assert!(
        started.elapsed() < PATIENCE,
        "contention must not slow the store to a crawl"
    );
}
