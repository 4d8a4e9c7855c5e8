//! The part of the contract about changes: conditional ones, and being told of them.

use std::time::Duration;

use codis_runtime::coordinator::{Error, Expected, Guard, Takeover, Watch};

use super::Fresh;
use crate::support::PATIENCE;

pub async fn a_write_is_refused_when_a_record_changed(fresh: &Fresh) {
    let (one, other) = (&fresh.one, &fresh.other);
    let (path, door) = ("/codis3/p/group/group-0001", "/codis3/p/topom");
    let guarded = |expected, value, held: &'static [u8]| async move {
        let guards = [Guard {
            path: door,
            value: held,
        }];
        one.write_if(path, expected, value, &guards).await
    };
    let write = |expected, value| one.write_if(path, expected, value, &[]);
    let changed = write(Expected::Value(b"1"), Some(b"2")).await;
    assert!(matches!(changed, Err(Error::Changed { .. })), "{changed:?}");
    write(Expected::Missing, Some(b"1")).await.unwrap();
    let exists = write(Expected::Missing, Some(b"2")).await;
    assert!(matches!(exists, Err(Error::Exists { .. })), "{exists:?}");
    write(Expected::Value(b"1"), Some(b"2")).await.unwrap();
    let changed = write(Expected::Value(b"1"), None).await;
    assert!(matches!(changed, Err(Error::Changed { .. })), "{changed:?}");
    write(Expected::Anything, Some(b"3")).await.unwrap();

    let closed = guarded(Expected::Anything, Some(b"4"), b"me")
        .await
        .unwrap_err();
    assert!(
        matches!(&closed, Error::Changed { path } if path == door),
        "{closed:?}"
    );
    let lock = other.lock(door, b"me", Takeover::Refuse).await.unwrap();
    guarded(Expected::Value(b"3"), Some(b"4"), b"me")
        .await
        .unwrap();
    let wrong = guarded(Expected::Anything, None, b"you").await;
    assert!(matches!(wrong, Err(Error::Changed { .. })), "{wrong:?}");
    assert_eq!(other.read(path).await.unwrap().as_deref(), Some(&b"4"[..]));
    guarded(Expected::Value(b"4"), None, b"me").await.unwrap();
    assert_eq!(other.read(path).await.unwrap(), None);
    write(Expected::Missing, None).await.unwrap();
    lock.release().await.unwrap();
    let directory = one.write_if("/codis3/p", Expected::Anything, Some(b""), &[]);
    one.update(path, b"").await.unwrap();
    assert!(matches!(directory.await, Err(Error::Kind { .. })));
    let bad = Guard {
        path: "..",
        value: b"",
    };
    let bad = one.write_if(path, Expected::Anything, None, &[bad]).await;
    assert!(matches!(bad, Err(Error::Path { .. })), "{bad:?}");
}

pub async fn a_watch_tells_of_records_and_of_children(fresh: &Fresh) {
    let (one, other) = (&fresh.one, &fresh.other);
    let told = |watch| async {
        let mut watch: Watch = watch;
        tokio::time::timeout(PATIENCE, watch.changed())
            .await
            .expect("a change is told");
        watch
    };
    let (dir, path) = ("/jodis/p", "/jodis/p/proxy-1");
    let record = one.watch(path).await.unwrap();
    other.create(path, b"1").await.unwrap();
    let record = told(record).await;
    let children = one.watch(dir).await.unwrap();
    other.update(path, b"2").await.unwrap();
    let record = told(record).await;
    other.create("/jodis/p/proxy-2", b"1").await.unwrap();
    let children = told(children).await;
    other.delete(path).await.unwrap();
    told(record).await;
    told(children).await;
    let mut quiet = one.watch("/elsewhere").await.unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(200), quiet.changed()).await;
    assert!(silence.is_err(), "nothing changed");
}
