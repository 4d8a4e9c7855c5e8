//! The part of the contract about changes of several records at once.

use std::time::Instant;

use codis_runtime::coordinator::{
    COMMIT_GUARDS_MAX, COMMIT_WRITES_MAX, Error, Expected, Guard, Shared, Takeover,
    VALUE_BYTES_MAX, Write,
};

use super::Fresh;

const fn put<'a>(path: &'a str, expected: Expected<'a>, value: &'a [u8]) -> Write<'a> {
    Write {
        path,
        expected,
        value: Some(value),
    }
}

const fn gone<'a>(path: &'a str, expected: Expected<'a>) -> Write<'a> {
    Write {
        path,
        expected,
        value: None,
    }
}

async fn holds(store: &Shared, path: &str, value: Option<&[u8]>) {
    let held = store.read(path).await.unwrap();
    assert_eq!(held.as_deref(), value, "{path}");
}

pub async fn a_commit_is_made_as_a_whole_or_not_at_all(fresh: &Fresh) {
    let (one, other) = (&fresh.one, &fresh.other);
    let (group, slot, leader) = (
        "/c/p/group/group-0001",
        "/c/p/slots/slot-0001",
        "/c/p/leader",
    );
    let guards = [Guard {
        path: leader,
        value: b"me",
    }];
    other.create(leader, b"me").await.unwrap();
    let both = [
        put(group, Expected::Missing, b"g1"),
        put(slot, Expected::Anything, b"s1"),
    ];
    one.commit(&both, &guards).await.unwrap();
    holds(other, group, Some(b"g1")).await;
    holds(other, slot, Some(b"s1")).await;
    // One of two does not hold what is expected, whichever it is.
    for writes in [
        [
            put(slot, Expected::Anything, b"s2"),
            put(group, Expected::Value(b"else"), b"g2"),
        ],
        [
            put(slot, Expected::Value(b"else"), b"s2"),
            put(group, Expected::Anything, b"g2"),
        ],
    ] {
        let refused = one.commit(&writes, &guards).await.unwrap_err();
        assert!(matches!(refused, Error::Changed { .. }), "{refused}");
    }
    let writes = [
        put(slot, Expected::Value(b"s1"), b"s2"),
        put(group, Expected::Missing, b"g2"),
    ];
    let refused = one.commit(&writes, &guards).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Exists { path } if path == group),
        "{refused}"
    );
    what_is_in_the_way_is_told(one, &guards, (group, slot)).await;
    holds(other, slot, Some(b"s1")).await;
    holds(other, group, Some(b"g1")).await;
    // A deletion goes with a change.
    let writes = [
        gone(slot, Expected::Value(b"s1")),
        put(group, Expected::Value(b"g1"), b"g2"),
    ];
    one.commit(&writes, &guards).await.unwrap();
    holds(other, slot, None).await;
    holds(other, group, Some(b"g2")).await;
    // Somebody else leads.
    other.update(leader, b"you").await.unwrap();
    let writes = [put(group, Expected::Anything, b"g3")];
    let fenced = one.commit(&writes, &guards).await.unwrap_err();
    assert!(
        matches!(&fenced, Error::Changed { path } if path == leader),
        "{fenced}"
    );
    holds(other, group, Some(b"g2")).await;
    let asked = one.commit(&[], &guards).await;
    assert!(matches!(asked, Err(Error::Changed { .. })), "{asked:?}");
    other.update(leader, b"me").await.unwrap();
    one.commit(&[], &guards).await.unwrap();
    one.commit(&[], &[]).await.unwrap();
}

/// Nothing else of such a commit is written.
async fn what_is_in_the_way_is_told(one: &Shared, guards: &[Guard<'_>], at: (&str, &str)) {
    let (group, slot) = at;
    let writes = [
        put(slot, Expected::Value(b"s1"), b"s2"),
        put("/c/p/group", Expected::Anything, b""),
    ];
    let refused = one.commit(&writes, guards).await.unwrap_err();
    assert!(matches!(refused, Error::Kind { .. }), "{refused}");
    let below = format!("{group}/below");
    let writes = [
        gone(slot, Expected::Anything),
        put(&below, Expected::Anything, b""),
    ];
    let refused = one.commit(&writes, guards).await.unwrap_err();
    assert!(matches!(refused, Error::Kind { .. }), "{refused}");
}

pub async fn a_commit_has_limits(fresh: &Fresh) {
    let store = &fresh.one;
    let paths: Vec<String> = (0..=COMMIT_WRITES_MAX)
        .map(|slot| format!("/codis3/p/slots/slot-{slot:04}"))
        .collect();
    let mut writes: Vec<Write<'_>> = paths
        .iter()
        .map(|path| put(path, Expected::Missing, b"{}"))
        .collect();
    store.create("/codis3/p/ha/leader", b"me").await.unwrap();
    let guard = Guard {
        path: "/codis3/p/ha/leader",
        value: b"me",
    };
    let many = store.commit(&writes, &[]).await.unwrap_err();
    assert!(matches!(many, Error::TooMany { .. }), "{many}");
    let many = store.commit(&[], &[guard; COMMIT_GUARDS_MAX + 1]).await;
    assert!(matches!(many, Err(Error::TooMany { .. })), "{many:?}");
    writes.pop();
    store
        .commit(&writes, &[guard; COMMIT_GUARDS_MAX])
        .await
        .unwrap();
    let all = fresh.other.read_dir("/codis3/p/slots").await.unwrap();
    assert_eq!(all.len(), COMMIT_WRITES_MAX);
    let half = vec![7; VALUE_BYTES_MAX / 2 + 1];
    let large = [
        put("/a", Expected::Anything, &half),
        put("/b", Expected::Anything, &half),
    ];
    let large = store.commit(&large, &[]).await.unwrap_err();
    assert!(matches!(large, Error::TooLarge { .. }), "{large}");
    for odd in [
        [
            gone("/a", Expected::Anything),
            gone("/a", Expected::Anything),
        ],
        [
            gone("/a", Expected::Anything),
            gone("/a/b/c", Expected::Anything),
        ],
        [
            gone("/a", Expected::Anything),
            gone("a", Expected::Anything),
        ],
    ] {
        let odd = store.commit(&odd, &[]).await.unwrap_err();
        assert!(matches!(odd, Error::Path { .. }), "{odd}");
    }
}

pub async fn a_directory_is_read_at_once(fresh: &Fresh) {
    let (one, other) = (&fresh.one, &fresh.other);
    let dir = "/codis3/p/proxy";
    assert_eq!(one.read_dir(dir).await.unwrap(), Vec::new());
    let mut wanted = Vec::new();
    for name in ["b", "a", "a-b", "empty"] {
        let (path, value) = (format!("{dir}/{name}"), format!("value of {name}"));
        let value = if name == "empty" { "" } else { &value };
        one.update(&path, value.as_bytes()).await.unwrap();
        wanted.push((path, value.as_bytes().to_vec()));
    }
    one.update("/codis3/p/proxy/deep/er", b"1").await.unwrap();
    one.update("/codis3/p/proxy-other", b"1").await.unwrap();
    wanted.sort();
    assert_eq!(other.read_dir(dir).await.unwrap(), wanted);
    let record = other.read_dir("/codis3/p/proxy/a").await;
    assert!(matches!(record, Err(Error::Kind { .. })), "{record:?}");
    let odd = other.read_dir("/codis3/").await;
    assert!(matches!(odd, Err(Error::Path { .. })), "{odd:?}");
}

/// All 1024 slots of a product, which is what a new leader reads first.
pub async fn a_large_directory_is_read_whole(fresh: &Fresh) {
    let path = |slot: usize| format!("/codis3/p/slots/slot-{slot:04}");
    for first in (0..1024).step_by(COMMIT_WRITES_MAX) {
        let paths: Vec<String> = (first..first + COMMIT_WRITES_MAX).map(path).collect();
        let writes: Vec<Write<'_>> = paths
            .iter()
            .map(|path| put(path, Expected::Missing, path.as_bytes()))
            .collect();
        fresh.one.commit(&writes, &[]).await.unwrap();
    }
    let all = fresh.other.read_dir("/codis3/p/slots").await.unwrap();
    let wanted: Vec<_> = (0..1024)
        .map(|slot| (path(slot), path(slot).into_bytes()))
        .collect();
    assert_eq!(all, wanted);
}

pub async fn a_lock_says_how_long_it_lasts(fresh: &Fresh) {
    let before = Instant::now();
    let lock = fresh.one.lock("/c/p/topom", b"me", Takeover::Refuse).await;
    let lock = lock.unwrap();
    let until = lock.valid_until();
    assert!(until > before, "it is valid");
    // Renewals go on for as long as the lock is held.
    let renewed = crate::support::eventually("a renewal", || async {
        (lock.valid_until() > until).then_some(())
    });
    renewed.await;
    lock.release().await.unwrap();
}
