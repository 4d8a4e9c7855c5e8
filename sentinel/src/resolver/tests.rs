use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Answers `127.0.0.1` for any name; those that start with `slow` wait until they are let go.
#[derive(Debug, Default)]
struct Fake {
    asked: AtomicUsize,
    gate: Mutex<()>,
}

impl LookUp for Fake {
    fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if host.starts_with("slow") {
            drop(self.gate.lock().unwrap());
        }
        if host.starts_with("lost") {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

#[tokio::test]
async fn a_name_is_looked_up_once_at_a_time_and_not_too_often() {
    let fake = Arc::new(Fake::default());
    let (mut resolver, mut answers) = Resolver::new(fake.clone());
    for _ in 0..5 {
        assert!(resolver.resolve("a") && resolver.resolve("A"));
    }
    let answer = answers.recv().await.unwrap();
    assert_eq!((answer.answers.len(), answer.is_last), (1, true));
    resolver.answered(&answer);
    assert_eq!(fake.asked.load(Ordering::Relaxed), 1);
    let begin = Instant::now();
    resolver.resolve("a");
    resolver.answered(&answers.recv().await.unwrap());
    assert!(begin.elapsed() > PAUSE / 2, "not twice in a second");
    resolver.resolve("lost");
    assert!(answers.recv().await.unwrap().answers.is_empty());
}

/// A lookup that hangs is answered as a failure, keeps no other name waiting, is not started a
/// second time, and its late answer still counts.
#[tokio::test]
async fn a_lookup_that_hangs_delays_nobody() {
    let fake = Arc::new(Fake::default());
    let held = fake.clone();
    let (free, freed) = std::sync::mpsc::channel();
    let (locked, is_locked) = std::sync::mpsc::channel();
    let gate = std::thread::spawn(move || {
        let _hung = held.gate.lock().unwrap();
        locked.send(()).unwrap();
        freed.recv().unwrap();
    });
    is_locked.recv().unwrap();
    let (mut resolver, mut answers) = Resolver::new(fake.clone());
    resolver.resolve("slow");
    resolver.resolve("fast");
    let first = answers.recv().await.unwrap();
    assert_eq!(first.host, "fast");
    resolver.answered(&first);
    let hosts = BTreeSet::from(["slow".to_owned(), "other".to_owned()]);
    let known = resolver.resolve_all(&hosts, &mut answers).await;
    assert_eq!(known.len(), 1, "{known:?}");
    while resolver.resolve("slow") {
        let answer = answers.recv().await.unwrap();
        assert!(answer.answers.is_empty() && !answer.is_last);
        resolver.answered(&answer);
    }
    assert_eq!(fake.asked.load(Ordering::Relaxed), 3);
    free.send(()).unwrap();
    let late = answers.recv().await.unwrap();
    assert_eq!((late.host.as_str(), late.answers.len()), ("slow", 1));
    resolver.answered(&late);
    assert!(resolver.resolve("slow"));
    gate.join().unwrap();
}
