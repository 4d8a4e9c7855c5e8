//! Stores across a network that is slow or silent, and servers that are killed while they are used.

use std::sync::Arc;
use std::time::{Duration, Instant};

use codis_runtime::coordinator::{
    self, CALL_MAX, Coordinator, Error, Expected, Shared, Takeover, Write,
};
use tokio::task::JoinSet;

use crate::shim::{Mode, Shim};
use crate::stores::{Kind, Store};
use crate::support::{PATIENCE, eventually, on_both};

const SESSION: Duration = Duration::from_secs(3);

async fn open(server: &Store, addr: &str) -> Shared {
    coordinator::open_with(server.name(), addr, "", SESSION)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_server_is_waited_for() {
    on_both(waits_for_a_slow_one).await;
}

async fn waits_for_a_slow_one(kind: Kind) {
    let server = Store::start(kind);
    let shim = Shim::before(server.addr()).await;
    let store = open(&server, shim.addr()).await;
    store.update("/a", b"0").await.unwrap();
    // An exchange takes 800 ms.
    shim.set(Mode::Delay(Duration::from_millis(400)));
    let lock = store.lock("/l", b"me", Takeover::Refuse).await.unwrap();
    let began = Instant::now();
    let write = |path, value| Write {
        path,
        expected: Expected::Anything,
        value: Some(value),
    };
    let writes = [write("/a", b"1"), write("/b", b"1")];
    store.commit(&writes, &[]).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(800), "{kind:?}");
    let held = store.read("/b").await.unwrap();
    assert_eq!(held.as_deref(), Some(&b"1"[..]), "{kind:?}");
    assert!(lock.valid_until() > Instant::now(), "{kind:?}");
    // What takes longer than a call may is given up, and the outcome is not known.
    shim.set(Mode::Delay(CALL_MAX));
    let began = Instant::now();
    let error = store.update("/a", b"2").await.unwrap_err();
    assert!(
        matches!(error, Error::Unanswered { .. }),
        "{kind:?}: {error}"
    );
    let limit = CALL_MAX * 2 + Duration::from_secs(5);
    assert!(began.elapsed() < limit, "{kind:?}: {:?}", began.elapsed());
    shim.set(Mode::Pass);
    eventually("the store answers again", || async {
        store.update("/a", b"3").await.ok()
    })
    .await;
}

/// Nothing arrives any more, in neither direction, and no connection breaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn behind_a_silent_network_a_lock_is_lost_in_time() {
    on_both(loses_a_lock_in_silence).await;
}

async fn loses_a_lock_in_silence(kind: Kind) {
    let server = Store::start(kind);
    let shim = Shim::before(server.addr()).await;
    let store = open(&server, shim.addr()).await;
    let lock = store.lock("/l", b"me", Takeover::Refuse).await.unwrap();
    let silent = Instant::now();
    shim.set(Mode::Swallow);
    let lost = tokio::time::timeout(PATIENCE, lock.lost()).await;
    assert!(!lost.expect("the loss is told").is_empty(), "{kind:?}");
    assert!(lock.valid_until() <= Instant::now(), "{kind:?}");
    // ZooKeeper gives a session up by its own clock, after a connection was looked for.
    let told = silent.elapsed();
    assert!(told < SESSION * 5, "{kind:?}: {told:?}");
    let error = store.update("/a", b"1").await.unwrap_err();
    assert!(
        matches!(error, Error::Unanswered { .. } | Error::Unreachable { .. }),
        "{kind:?}: {error}"
    );
    // Another one, whose network works, gets it.
    let other = open(&server, &server.addr()).await;
    let theirs = eventually("the lock is free", || async {
        other.lock("/l", b"you", Takeover::Refuse).await.ok()
    })
    .await;
    shim.set(Mode::Pass);
    eventually("the store answers again", || async {
        store.update("/a", b"2").await.ok()
    })
    .await;
    lock.release().await.unwrap();
    let held = store.read("/l").await.unwrap();
    assert_eq!(held.as_deref(), Some(&b"you"[..]), "{kind:?}");
    theirs.release().await.unwrap();
}

/// One more in `/count`, and one more in the writer's own record, in one commit. A writer that got
/// no answer finds out by its own record.
async fn count_on(store: &dyn Coordinator, own: &str, rounds: u64) {
    let number = |text: &Option<Vec<u8>>| -> u64 {
        text.as_ref()
            .map_or(0, |text| String::from_utf8_lossy(text).parse().unwrap())
    };
    let deadline = Instant::now() + PATIENCE * 3;
    loop {
        assert!(Instant::now() < deadline, "{own} gets nowhere");
        let Ok(made) = store.read(own).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        if number(&made) >= rounds {
            return;
        }
        let Ok(count) = store.read("/count").await else {
            continue;
        };
        let (next, total) = (number(&made) + 1, number(&count) + 1);
        let (next, total) = (next.to_string(), total.to_string());
        let expected = |held: &'_ Option<Vec<u8>>| held.is_some();
        let (had_own, had_count) = (expected(&made), expected(&count));
        let (made, count) = (made.unwrap_or_default(), count.unwrap_or_default());
        let before = |had: bool, value| match had {
            true => Expected::Value(value),
            false => Expected::Missing,
        };
        let writes = [
            Write {
                path: own,
                expected: before(had_own, made.as_slice()),
                value: Some(next.as_bytes()),
            },
            Write {
                path: "/count",
                expected: before(had_count, count.as_slice()),
                value: Some(total.as_bytes()),
            },
        ];
        let _ = store.commit(&writes, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_commit_is_lost_or_doubled_while_the_server_is_killed() {
    on_both(counts_while_it_is_killed).await;
}

async fn counts_while_it_is_killed(kind: Kind) {
    const WRITERS: u64 = 4;
    const ROUNDS: u64 = 60;
    let mut server = Store::start(kind);
    let stores = [
        open(&server, &server.addr()).await,
        open(&server, &server.addr()).await,
    ];
    let lock = stores[0].lock("/l", b"me", Takeover::Refuse).await.unwrap();
    let mut watch = stores[1].watch("/count").await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&stores[usize::try_from(writer).unwrap() % 2]);
        let own = format!("/own/{writer}");
        writers.spawn(async move { count_on(store.as_ref(), &own, ROUNDS).await });
    }
    for kill in 1..=2_u64 {
        let direct = open(&server, &server.addr()).await;
        eventually("writers are under way", || async {
            let count = direct.read("/count").await.ok()??;
            let count: u64 = String::from_utf8_lossy(&count).parse().unwrap();
            (count >= kill * WRITERS * ROUNDS / 4).then_some(())
        })
        .await;
        server.kill();
        server.restart();
    }
    while let Some(outcome) = writers.join_next().await {
        outcome.unwrap();
    }
    let count = stores[0].read("/count").await.unwrap().unwrap();
    let wanted = (WRITERS * ROUNDS).to_string();
    assert_eq!(String::from_utf8_lossy(&count), wanted, "{kind:?}");
    let told = tokio::time::timeout(PATIENCE, watch.changed()).await;
    told.expect("a watch outlives a restart");
    // The session was away for about as long as it lasts: it lives on, or tells it is gone.
    match tokio::time::timeout(SESSION * 2, lock.lost()).await {
        Ok(_) => assert!(lock.valid_until() <= Instant::now()),
        Err(_) => {
            let held = stores[1].read("/l").await.unwrap();
            assert_eq!(held.as_deref(), Some(&b"me"[..]), "{kind:?}");
            assert!(lock.valid_until() > Instant::now(), "{kind:?}");
        }
    }
    lock.release().await.unwrap();
    let again = eventually("the lock can be had", || async {
        stores[1].lock("/l", b"you", Takeover::Refuse).await.ok()
    });
    again.await.release().await.unwrap();
}
