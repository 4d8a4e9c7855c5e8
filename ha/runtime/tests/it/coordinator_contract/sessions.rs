//! The contract of stores with sessions: records that go with their process.

use std::future::Future;
use std::time::Duration;

use codis_runtime::coordinator::{Ephemeral, Error, Takeover};

use super::Fresh;
use crate::support::{PATIENCE, eventually};

/// What every store does that has sessions.
pub async fn contract_of_sessions<F: Future<Output = Fresh>>(fresh: impl Fn() -> F) {
    an_ephemeral_record_goes_with_its_handle(&fresh().await).await;
    an_ephemeral_record_replaces_only_what_it_is_told_to(&fresh().await).await;
    the_loss_of_an_ephemeral_record_is_told(&fresh().await).await;
}

async fn an_ephemeral_record_goes_with_its_handle(fresh: &Fresh) {
    let (one, other) = (&fresh.one, &fresh.other);
    let path = "/jodis/p/proxy-1";
    for by_drop in [false, true] {
        let record = one.create_ephemeral(path, b"me", None).await.unwrap();
        assert_eq!(record.path(), path);
        assert_eq!(other.read(path).await.unwrap().as_deref(), Some(&b"me"[..]));
        assert_eq!(other.list("/jodis/p").await.unwrap(), [path]);
        let second = other.create_ephemeral(path, b"you", None).await;
        assert!(matches!(second, Err(Error::Exists { .. })), "{second:?}");
        if by_drop {
            drop(record);
            eventually("a dropped record goes", || async {
                other.read(path).await.unwrap().is_none().then_some(())
            })
            .await;
        } else {
            record.remove().await.unwrap();
            assert_eq!(other.read(path).await.unwrap(), None);
        }
    }
}

async fn an_ephemeral_record_replaces_only_what_it_is_told_to(fresh: &Fresh) {
    let (one, other) = (&fresh.one, &fresh.other);
    let path = "/jodis/p/proxy-1";
    let none = one.create_ephemeral(path, b"new", Some(b"old")).await;
    assert!(matches!(none, Err(Error::Changed { .. })), "{none:?}");
    let old = other.create_ephemeral(path, b"old", None).await.unwrap();
    let odd = one.create_ephemeral(path, b"new", Some(b"odd")).await;
    assert!(matches!(odd, Err(Error::Changed { .. })), "{odd:?}");
    let new = one
        .create_ephemeral(path, b"new", Some(b"old"))
        .await
        .unwrap();
    let lost = tokio::time::timeout(PATIENCE, old.lost()).await;
    assert!(!lost.expect("the older one is told").is_empty());
    old.remove().await.unwrap();
    assert_eq!(one.read(path).await.unwrap().as_deref(), Some(&b"new"[..]));
    new.remove().await.unwrap();
    one.create(path, b"left by an original").await.unwrap();
    let left = Some(&b"left by an original"[..]);
    let new = one.create_ephemeral(path, b"new", left).await.unwrap();
    assert_eq!(
        other.read(path).await.unwrap().as_deref(),
        Some(&b"new"[..])
    );
    new.remove().await.unwrap();
    assert_eq!(other.read(path).await.unwrap(), None);
}

async fn the_loss_of_an_ephemeral_record_is_told(fresh: &Fresh) {
    let (one, other) = (&fresh.one, &fresh.other);
    let path = "/jodis/p/proxy-1";
    let lost = |record: Ephemeral| async move {
        let reason = tokio::time::timeout(PATIENCE, record.lost()).await;
        let reason = reason.expect("the loss is told");
        record.remove().await.unwrap();
        reason
    };
    let record = one.create_ephemeral(path, b"me", None).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), record.lost()).await;
    assert!(early.is_err(), "{early:?}");
    other.delete(path).await.unwrap();
    assert_eq!(lost(record).await, "it was deleted");
    let record = one.create_ephemeral(path, b"me", None).await.unwrap();
    other.update(path, b"you").await.unwrap();
    assert_eq!(lost(record).await, "it was changed");
    let held = one.read(path).await.unwrap();
    assert_eq!(held.as_deref(), Some(&b"you"[..]), "the change stays");

    let lock = other.lock("/l", b"me", Takeover::Refuse).await.unwrap();
    one.delete("/l").await.unwrap();
    let reason = tokio::time::timeout(PATIENCE, lock.lost()).await;
    assert_eq!(reason.expect("the loss is told"), "it was deleted");
}
