//! `forget-after`: dead replicas and sentinels disappear by themselves, and are found again.

use crate::support::{Kind, Quorum, Sentinel, show, wait_for};

fn counts(sentinel: &Sentinel) -> (String, String) {
    let count = |name| sentinel.master_field(name);
    (count("num-other-sentinels"), count("num-slaves"))
}

/// One of three sentinels and one of two replicas die. The other sentinels forget them, without a
/// trace in what a stock sentinel reads from their file. When they return they are found anew.
#[test]
fn the_dead_are_forgotten_and_found_again() {
    let lines = "sentinel forget-after m 4000\n";
    let mut quorum = Quorum::start(&[Kind::Ours; 3], 2, lines);
    let dead = show(&quorum.sentinels[2].call("SENTINEL MYID"));
    // Who it is must be on its disk.
    let kept = show(&quorum.sentinels[2].call("SENTINEL FLUSHCONFIG"));
    assert_eq!(kept, "+OK");
    quorum.sentinels[2].process.kill();
    quorum.servers[2].process.kill();
    for sentinel in &quorum.sentinels[..2] {
        assert!(sentinel.log().contains("forget-after 4000 is short"));
        wait_for("the dead are forgotten", || {
            counts(sentinel) == ("1".into(), "1".into())
        });
        let words = quorum.servers[2].words();
        let hidden = format!("# codis-ha forgotten-sentinel m {dead}");
        wait_for("the file says so", || {
            let config = sentinel.config();
            let replica = config.contains(&format!("known-replica m {words}"));
            !replica && config.contains(&hidden) && config.matches(&dead).count() == 1
        });
        wait_for("the log says so", || {
            let log = sentinel.log();
            log.contains(&format!("-sentinel sentinel {dead} ")) && log.contains("-slave slave ")
        });
    }
    quorum.sentinels[2].restart();
    quorum.servers[2].restart();
    let order = format!("REPLICAOF {}", quorum.servers[0].words());
    assert_eq!(show(&quorum.servers[2].call(&order)), "+OK");
    for sentinel in &quorum.sentinels {
        wait_for("all are found again", || {
            counts(sentinel) == ("2".into(), "2".into())
        });
        wait_for("the file says so", || {
            !sentinel.config().contains("forgotten-sentinel")
        });
    }
    quorum.servers[0].process.kill();
    quorum.wait_for_switch(0);
}

/// The option can be set at any time, and is written so that a stock sentinel can read the file.
#[test]
fn the_option_can_be_set_and_is_kept() {
    let server = crate::support::Server::start();
    let mut sentinel = Sentinel::ours(&format!("sentinel monitor m {} 1\n", server.words()));
    let set = |sentinel: &Sentinel, value: &str| {
        show(&sentinel.call(&format!("SENTINEL SET m forget-after {value}")))
    };
    let refused = set(&sentinel, "soon");
    assert_eq!(
        refused,
        "-ERR Invalid argument 'soon' for SENTINEL SET 'forget-after'"
    );
    assert_eq!(set(&sentinel, "60000"), "+OK");
    let line = "# codis-ha forget-after m 60000";
    assert!(sentinel.config().contains(line));
    let log = sentinel.log();
    assert!(
        log.contains("m: forget-after 60000 is short: 10 x down-after is 300000"),
        "{log}"
    );
    assert!(sentinel.process.stop().success());
    sentinel.restart();
    assert_eq!(show(&sentinel.call("SENTINEL FLUSHCONFIG")), "+OK");
    assert!(sentinel.config().contains(line), "{}", sentinel.config());
    assert_eq!(set(&sentinel, "0"), "+OK");
    assert!(!sentinel.config().contains("forget-after m 60000"));
}
