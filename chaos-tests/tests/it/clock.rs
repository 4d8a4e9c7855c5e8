//! Wall clocks that jump under running sentinels.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use codis_chaos::preflight::Programs;
use codis_chaos::query;
use codis_chaos::quorum::lab::{NAME, Spec};
use codis_chaos::quorum::watch::Watch;
use codis_chaos::quorum::{Breed, Breeds, Lab};

/// A library that tells another time to a program, and lets the monotonic clock alone.
fn library() -> PathBuf {
    let entries = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let places = entries.map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    let mut found = places.filter(|place| place.is_file());
    found
        .next()
        .expect("libfaketime is missing: run scripts/setup")
}

/// Longer than a machine that is busy stands still.
const DOWN_AFTER: Duration = Duration::from_secs(4);

/// Three sentinels of a breed whose wall clock `offset` says.
fn spec(breed: Breed, net: &str, offset: &Path) -> Spec {
    let env = [
        ("LD_PRELOAD", library().display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", offset.display().to_string()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
    ];
    Spec {
        net: net.to_owned(),
        sentinels: vec![breed; 3],
        replicas: 1,
        quorum: 2,
        down_after: DOWN_AFTER,
        lines: String::new(),
        env: env.map(|(name, value)| (name.to_owned(), value)).into(),
    }
}

/// What the sentinels say within five seconds after the clock was set.
async fn said_after_jump(watch: &mut Watch, offset: &Path, to: &str) -> Vec<String> {
    std::fs::write(offset, format!("{to}\n")).unwrap();
    let until = tokio::time::Instant::now() + Duration::from_secs(5);
    let mut said = Vec::new();
    while let Ok(Ok(event)) =
        tokio::time::timeout_at(until, watch.next(Duration::from_secs(60))).await
    {
        said.push(event.name);
    }
    said
}

/// An hour forth and two hours back: ours say nothing at all, and replace a dead master on time.
#[tokio::test]
async fn a_clock_that_jumps_does_nothing() {
    let state = tempfile::tempdir().unwrap();
    let offset = state.path().join("offset");
    std::fs::write(&offset, "+0\n").unwrap();
    let breeds = Breeds::beside(Programs::beside_this().unwrap());
    let spec = spec(Breed::Ours, "127.76.0", &offset);
    let mut lab = Lab::start(&breeds, &spec, state.path()).await.unwrap();
    let mut watch = Watch::start(&lab.sentinels).await.unwrap();
    for to in ["+3600", "-3600"] {
        let mut said = said_after_jump(&mut watch, &offset, to).await;
        said.retain(|name| name != "+topology");
        assert!(said.is_empty(), "after a jump to {to}: {said:?}");
    }
    let begin = Instant::now();
    lab.servers[0].process.kill();
    std::fs::write(&offset, "+7200\n").unwrap();
    let new = loop {
        let said = watch.next(Duration::from_secs(60)).await.unwrap();
        assert_ne!(said.name, "+tilt");
        if let Some(new) = said.switched_to() {
            break new;
        }
    };
    let took = begin.elapsed();
    assert!(took < 5 * DOWN_AFTER, "{took:?}");
    query::ask(&new, &["SET", NAME, "1"]).await.unwrap();
    // The jump reached the program: its log says so.
    let log = std::fs::read_to_string(&lab.sentinels[0].process.plan().log).unwrap();
    let hour = |line: &str| line.split([' ', ':']).nth(5).map(str::to_owned);
    let (first, last) = (log.lines().next().unwrap(), log.lines().last().unwrap());
    assert_ne!(hour(first), hour(last), "{first}\n{last}");
}

/// The jump reaches the programs: a stock sentinel goes into TILT.
#[tokio::test]
async fn a_stock_sentinel_notices_the_jump() {
    let state = tempfile::tempdir().unwrap();
    let offset = state.path().join("offset");
    std::fs::write(&offset, "+0\n").unwrap();
    let breeds = Breeds::beside(Programs::beside_this().unwrap());
    let spec = spec(Breed::Redis62, "127.76.1", &offset);
    let lab = Lab::start(&breeds, &spec, state.path()).await.unwrap();
    let mut watch = Watch::start(&lab.sentinels).await.unwrap();
    let said = said_after_jump(&mut watch, &offset, "+3600").await;
    assert!(said.iter().any(|name| name == "+tilt"), "{said:?}");
}
