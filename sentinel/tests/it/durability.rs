//! What was answered is on disk.

use codis_core::resp::Value;

use crate::support::{Sentinel, show, wait_for};

const ORDERS: &[(&str, &str)] = &[
    ("SENTINEL MONITOR a 127.0.0.1 1 2", "+OK"),
    ("SENTINEL MONITOR b 127.0.0.1 2 2", "+OK"),
    (
        "SENTINEL SET b down-after-milliseconds 1234 parallel-syncs 3 auth-pass pa$$",
        "+OK",
    ),
    ("SENTINEL SET b epoch-floor 9", "+OK"),
    (
        "SENTINEL SET b quorum 5 frobnicate 1",
        "-ERR Unknown option or number of arguments for SENTINEL SET 'frobnicate'",
    ),
    ("SENTINEL MONITOR c 127.0.0.1 3 1", "+OK"),
    ("SENTINEL REMOVE a", "+OK"),
    ("SENTINEL CONFIG SET announce-port 7777", "+OK"),
];

fn survives_a_kill(mut sentinel: Sentinel) {
    let mut client = sentinel.client();
    for (order, reply) in ORDERS {
        assert_eq!(show(&client.call(order)), *reply, "{order}");
    }
    let myid = show(&sentinel.call("SENTINEL MYID"));
    sentinel.process.kill();
    sentinel.restart();
    assert_eq!(show(&sentinel.call("SENTINEL MYID")), myid);
    let role = show(&sentinel.call("ROLE"));
    assert_eq!(role, "[sentinel, [b, c]]");
    let fields = sentinel.call("SENTINEL MASTER b");
    let field = |name| crate::support::field(&fields, name).unwrap();
    assert_eq!(field("down-after-milliseconds"), "1234");
    assert_eq!(field("parallel-syncs"), "3");
    assert_eq!(field("quorum"), "5");
    let announced = show(&sentinel.call("SENTINEL CONFIG GET announce-port"));
    assert_eq!(announced, "[announce-port, 7777]");
}

/// Orders survive `kill -9` right after the reply, in the config file.
#[test]
fn orders_survive_a_kill() {
    survives_a_kill(Sentinel::ours(""));
}

/// The same with a state directory; the operator's file is not touched.
#[test]
fn orders_survive_a_kill_in_a_state_directory() {
    let sentinel = Sentinel::ours_with_state_dir("sentinel monitor c 127.0.0.1 30 1\n");
    let before = sentinel.config();
    let path = sentinel.dir.path().join("sentinel.conf");
    assert_eq!(show(&sentinel.call("SENTINEL REMOVE c")), "+OK");
    survives_a_kill(sentinel);
    // The directory is gone with the sentinel; the text was compared before.
    assert!(!path.exists() || std::fs::read_to_string(path).unwrap() == before);
}

/// A master of the operator's file that was removed by an order does not come back.
#[test]
fn a_removed_master_stays_removed_with_a_state_directory() {
    let mut sentinel = Sentinel::ours_with_state_dir("sentinel monitor m 127.0.0.1 30 1\n");
    let before = sentinel.config();
    assert_eq!(show(&sentinel.call("SENTINEL REMOVE m")), "+OK");
    sentinel.process.kill();
    sentinel.restart();
    assert_eq!(show(&sentinel.call("ROLE")), "[sentinel, []]");
    assert_eq!(
        sentinel.config(),
        before,
        "the operator's file is not touched"
    );
}

fn ask(sentinel: &Sentinel, epoch: u64, id: &str) -> Value {
    sentinel.call(&format!(
        "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 30 {epoch} {id}"
    ))
}

/// A vote is in the file when its reply arrives, and is never given twice: not after a crash, and
/// not after the master was removed and added again.
#[test]
fn a_vote_is_durable_before_it_is_told() {
    let (one, other) = ("1".repeat(40), "2".repeat(40));
    let mut sentinel = Sentinel::ours("sentinel monitor m 127.0.0.1 30 2\n");
    for epoch in 1..=20 {
        let vote = show(&ask(&sentinel, epoch, &one));
        let text = sentinel.config();
        assert!(vote.ends_with(&format!("{one}, :{epoch}]")), "{vote}");
        assert!(
            text.contains(&format!("sentinel leader-epoch m {epoch}\n")),
            "{text}"
        );
        assert!(
            text.contains(&format!("sentinel current-epoch {epoch}\n")),
            "{text}"
        );
    }
    let second = show(&ask(&sentinel, 20, &other));
    assert!(second.ends_with(&format!("{one}, :20]")), "{second}");
    sentinel.process.kill();
    sentinel.restart();
    let after_crash = show(&ask(&sentinel, 20, &other));
    assert!(after_crash.ends_with("*, :20]"), "{after_crash}");
    assert_eq!(show(&sentinel.call("SENTINEL REMOVE m")), "+OK");
    assert_eq!(
        show(&sentinel.call("SENTINEL MONITOR m 127.0.0.1 30 2")),
        "+OK"
    );
    let after_return = show(&ask(&sentinel, 20, &other));
    assert!(!after_return.contains(&other), "{after_return}");
    let higher = show(&ask(&sentinel, 21, &other));
    assert!(higher.ends_with(&format!("{other}, :21]")), "{higher}");
}

/// A sentinel that cannot write its state says so and does not vote.
#[test]
fn without_a_disk_there_is_no_vote() {
    let mut sentinel = Sentinel::ours("sentinel monitor m 127.0.0.1 30 2\n");
    let path = sentinel.dir.path().to_owned();
    let away = path.with_extension("away");
    std::fs::rename(&path, &away).unwrap();
    let refused = "-ERR Failed to save config file. Check server logs.";
    assert_eq!(show(&sentinel.call("SENTINEL SET m quorum 3")), refused);
    let mut voted = String::new();
    wait_for("a vote is refused", || {
        voted = show(&ask(&sentinel, 5, &"1".repeat(40)));
        voted == refused || !voted.contains("1111")
    });
    assert_eq!(show(&sentinel.call("PING")), "+PONG");
    std::fs::rename(&away, &path).unwrap();
    wait_for("votes are given again", || {
        show(&ask(&sentinel, 6, &"1".repeat(40))).ends_with(":6]")
    });
    assert!(sentinel.process.stop().success());
}
