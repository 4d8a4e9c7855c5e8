//! Many processes at one store: none fails because of the others, and none writes after its time.

use std::path::Path;
use std::time::{Duration, Instant};

use codis_runtime::coordinator::{self, Expected, Guard, LockError, Shared, Takeover, Write};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::child::Process;
use crate::child::stores::{alike, increment};
use crate::stores::{Kind, Store};
use crate::support::eventually;

const SESSION: Duration = Duration::from_secs(3);

/// A store that processes share.
struct Place {
    name: &'static str,
    addr: String,
    directory: Option<TempDir>,
    _server: Option<Store>,
}

impl Place {
    fn directory() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            name: "filesystem",
            addr: directory.path().to_str().unwrap().to_owned(),
            directory: Some(directory),
            _server: None,
        }
    }

    fn server(kind: Kind) -> Self {
        let server = Store::start(kind);
        Self {
            name: server.name(),
            addr: server.addr(),
            directory: None,
            _server: Some(server),
        }
    }

    fn all() -> [Self; 3] {
        [
            Self::directory(),
            Self::server(Kind::Etcd),
            Self::server(Kind::ZooKeeper),
        ]
    }

    async fn open(&self) -> Shared {
        coordinator::open_with(self.name, &self.addr, "", SESSION)
            .await
            .unwrap()
    }

    fn process(&self, role: &str, name: &str, rounds: usize) -> Process {
        Process::start(&format!("stores::{role}"), &self.argument(name, rounds))
    }

    /// One that can be struck at points of its way.
    fn doomed(&self, role: &str, name: &str, faults: &Path) -> Process {
        let role = format!("stores::{role}");
        Process::start_with_faults(&role, &self.argument(name, 0), faults)
    }

    fn argument(&self, name: &str, rounds: usize) -> String {
        let (kind, addr, session) = (self.name, &self.addr, SESSION.as_millis());
        format!("{kind} {addr} {session} {name} {rounds}")
    }

    /// Whether a process can be inside, and keep others out.
    fn has_inside(&self) -> bool {
        self.directory.is_some()
    }
}

/// Stops the process when it passes `point` for the next time.
async fn stop_at(process: &Process, faults: &Path, point: &str) {
    let fresh = faults.with_extension("new");
    std::fs::write(&fresh, format!("{point} stop")).unwrap();
    std::fs::rename(&fresh, faults).unwrap();
    process.wait_stopped().await;
}

/// Where the original loses most of its operations: six processes, forty each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_count_together() {
    const PROCESSES: usize = 6;
    const ROUNDS: usize = 40;
    for place in Place::all() {
        let store = place.open().await;
        let children: Vec<Process> = (0..PROCESSES)
            .map(|_| place.process("counts", "counter", ROUNDS))
            .collect();
        for child in children {
            assert_eq!(child.code(), Some(0), "{}", place.name);
        }
        let count = store.read("/count").await.unwrap().unwrap();
        let wanted = (PROCESSES * ROUNDS).to_string();
        assert_eq!(String::from_utf8_lossy(&count), wanted, "{}", place.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_count_together() {
    const TASKS: usize = 8;
    const ROUNDS: usize = 10;
    for place in Place::all() {
        let stores = [place.open().await, place.open().await];
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            let store = stores[task % 2].clone();
            tasks.spawn(async move {
                for _ in 0..ROUNDS {
                    increment(&store, "/count").await.unwrap();
                }
            });
        }
        while let Some(outcome) = tasks.join_next().await {
            outcome.unwrap();
        }
        let count = stores[0].read("/count").await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&count), "80", "{}", place.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_processes_share_a_directory() {
    const PROCESSES: usize = 50;
    const ROUNDS: usize = 5;
    let place = Place::directory();
    let children: Vec<Process> = (0..PROCESSES)
        .map(|child| place.process("writes_its_own", &format!("proxy-{child:02}"), ROUNDS))
        .collect();
    for child in children {
        assert_eq!(child.code(), Some(0));
    }
    let store = place.open().await;
    let all = store.read_dir("/codis3/p/proxy").await.unwrap();
    assert_eq!(all.len(), PROCESSES);
    let last = ROUNDS.to_string();
    assert!(all.iter().all(|(_, value)| value == last.as_bytes()));
}

/// Writers that are killed at any moment, beside others that write the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_killed_writer_a_commit_stays_whole() {
    for place in Place::all() {
        let store = place.open().await;
        let mut steady = place.process("commits_until_killed", "steady", 0);
        steady.wait_for("writing");
        for round in 0..6_u64 {
            let name = format!("round-{round}");
            let mut child = place.process("commits_until_killed", &name, 0);
            child.wait_for("writing");
            eventually("a commit of this one", || async {
                let held = store.read("/t/a").await.unwrap()?;
                held.starts_with(name.as_bytes()).then_some(())
            })
            .await;
            child.kill();
        }
        steady.kill();
        let all = store.read_dir("/t").await.unwrap();
        assert_eq!(all.len(), 3, "{}", place.name);
        let (_, first) = &all[0];
        for (path, value) in &all {
            assert_eq!(value, first, "{} {path}", place.name);
        }
    }
}

/// A directory has no transactions of its own, so it is killed more often.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_finishes_what_a_killed_writer_began() {
    let place = Place::directory();
    let store = place.open().await;
    for round in 0..25_u64 {
        let mut child = place.process("commits_until_killed", &format!("round-{round}"), 0);
        child.wait_for("writing");
        tokio::time::sleep(Duration::from_millis(20 + round * 7 % 30)).await;
        child.kill();
        let all = store.read_dir("/t").await.unwrap();
        let values: Vec<_> = all.iter().map(|(_, value)| value).collect();
        assert!(
            values.windows(2).all(|two| two[0] == two[1]),
            "{round}: {all:?}"
        );
        assert!(matches!(values.len(), 0 | 3), "{round}: {all:?}");
    }
    assert!(!store.read_dir("/t").await.unwrap().is_empty());
}

/// The leader sleeps for longer than its lease. Another one leads, and nothing that the first one
/// does when it wakes changes anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_holder_that_slept_has_lost_its_lock_and_writes_nothing() {
    // Side by side: most of the time they wait.
    let runs = Place::all().map(|place| tokio::spawn(wakes_up_too_late(place)));
    for run in runs {
        run.await.unwrap();
    }
}

async fn wakes_up_too_late(place: Place) {
    let store = place.open().await;
    let faults = tempfile::tempdir().unwrap();
    let faults = faults.path().join("faults");
    let mut child = place.doomed("leads", "child", &faults);
    child.wait_for("leading");
    eventually("the child writes", || async {
        store.read("/seat").await.unwrap()
    })
    .await;
    let began = Instant::now();
    if place.has_inside() {
        stop_at(&child, &faults, "store.directory.entered 1").await;
    } else {
        child.signal(Signal::STOP);
    }
    let lock = eventually("another one gets the lock", || async {
        match store.lock("/l", b"parent", Takeover::Refuse).await {
            Ok(lock) => Some(lock),
            Err(LockError::Held { .. }) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                None
            }
            // What a directory leaves; nobody answers at the address of who sleeps.
            Err(LockError::Stale { record, .. }) => {
                assert_eq!(record, b"child");
                store.lock("/l", b"parent", Takeover::Allow).await.ok()
            }
            Err(LockError::Store(error)) => panic!("{error}"),
        }
    })
    .await;
    let waited = began.elapsed();
    // The last renewal may be a third of a session old.
    assert!(waited > SESSION / 2, "{}: {waited:?}", place.name);
    store.update("/fence", b"parent").await.unwrap();
    let guards = [Guard {
        path: "/fence",
        value: b"parent",
    }];
    let seat = store.write_if("/seat", Expected::Anything, Some(b"parent"), &guards);
    seat.await.unwrap();
    child.signal(Signal::CONT);
    assert_eq!(child.code(), Some(0), "{}: fenced, and told", place.name);
    let seat = store.read("/seat").await.unwrap();
    assert_eq!(seat.as_deref(), Some(&b"parent"[..]), "{}", place.name);
    let held = store.read("/l").await.unwrap();
    assert_eq!(held.as_deref(), Some(&b"parent"[..]), "{}", place.name);
    assert!(lock.valid_until() > Instant::now());
    lock.release().await.unwrap();
}

/// Waking up before anybody came is no loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_in_a_directory_that_nobody_replaced_goes_on() {
    let place = Place::directory();
    let store = place.open().await;
    let mut child = place.process("leads", "child", 0);
    child.wait_for("leading");
    child.signal(Signal::STOP);
    tokio::time::sleep(SESSION * 2).await;
    child.signal(Signal::CONT);
    let seat = store.read("/seat").await.unwrap();
    eventually("it leads again", || async {
        (store.read("/seat").await.unwrap() != seat).then_some(())
    })
    .await;
    let held = store.lock("/l", b"parent", Takeover::Allow).await;
    assert!(matches!(held, Err(LockError::Held { .. })), "{held:?}");
    store.delete("/l").await.unwrap();
    child.wait_for("lost");
    store.update("/fence", b"parent").await.unwrap();
    child.wait_for("fenced");
}

/// Where a process can be stopped inside, in the order in which a commit passes them.
const POINTS: [&str; 5] = [
    "store.directory.entered 1",
    "store.directory.staged 1",
    "store.directory.journal 1",
    "store.directory.step 2",
    "store.directory.synced 1",
];

/// Wherever it is stopped inside, others wait for a moment, find its commit whole, and change what
/// they like; when it wakes it is told, and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn who_is_stopped_inside_a_directory_holds_nobody_up() {
    let runs = POINTS.map(|point| tokio::spawn(stopped_inside(point)));
    for run in runs {
        run.await.unwrap();
    }
}

async fn stopped_inside(point: &str) {
    let place = Place::directory();
    let store = place.open().await;
    let faults = tempfile::tempdir().unwrap();
    let faults = faults.path().join("faults");
    let mut child = place.doomed("commits_until_fenced", "child", &faults);
    child.wait_for("writing");
    eventually("it writes", || async { store.read("/t/a").await.unwrap() }).await;
    stop_at(&child, &faults, point).await;
    let values = || async {
        let all = store.read_dir("/t").await.unwrap();
        let values: Vec<_> = all.into_iter().map(|(_, value)| value).collect();
        assert!(
            values.windows(2).all(|two| two[0] == two[1]),
            "{point}: {values:?}"
        );
        assert_eq!(values.len(), 3, "{point}");
        String::from_utf8(values[0].clone()).unwrap()
    };
    let left = values().await;
    assert!(left.starts_with("child "), "{point}: {left}");
    let fence = Write {
        path: "/fence",
        expected: Expected::Anything,
        value: Some(b"parent"),
    };
    let [a, b, c] = alike(b"parent");
    store.commit(&[fence, a, b, c], &[]).await.unwrap();
    child.signal(Signal::CONT);
    assert_eq!(child.code(), Some(0), "{point}: it is fenced");
    assert_eq!(values().await, "parent", "{point}");
    let fence = store.read("/fence").await.unwrap();
    assert_eq!(fence.as_deref(), Some(&b"parent"[..]), "{point}");
}

/// The next in the queue is stopped there, and keeps no place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_stopped_in_the_queue_holds_nobody_up() {
    let place = Place::directory();
    let store = place.open().await;
    store.update("/a", b"1").await.unwrap();
    let queue = Path::new(&place.addr).join("queue.lck");
    let queue = std::fs::File::open(queue).unwrap();
    queue.lock().unwrap();
    store.update("/a", b"2").await.unwrap();
    assert_eq!(store.read("/a").await.unwrap().as_deref(), Some(&b"2"[..]));
    drop(queue);
    store.update("/a", b"3").await.unwrap();
}
